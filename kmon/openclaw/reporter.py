"""Reports what the gateway's own client would show of a run, and on which side the run hangs, as events on change."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kmon.dialects.bounds import SENTENCE_LIMIT_CHARS, bounded
from kmon.dialects.text import clean
from kmon.engine.run import Companion
from kmon.openclaw.attempt import GatewayAttempt
from kmon.openclaw.diagnosis import STALL_S, diagnose
from kmon.openclaw.protocol.client_status import ClientStatus
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.tracker import Tracker
from kmon.openclaw.provider_side import ProviderLookup, ProviderSide
from kmon.openclaw.snapshot import take_snapshot
from kmon.probe.attempt import Attempt
from kmon.stream.claim import Claim
from kmon.stream.events import ClaimChanged, Diagnosed, Event

QUIET_S = 1.0
"""How often to look when no frame comes: claims and diagnoses also change with time alone."""


@dataclass(slots=True)
class GatewayReporter:
    """Finds the changes of claim and diagnosis of one run. Call :meth:`changes` after every frame and every second.

    ``safe`` cleans text of the gateway (a close reason, a tool's name) and removes keys from it.
    """

    run: str
    attempt: int
    stall_s: float = STALL_S
    safe: Callable[[str], str] = clean
    _line: str = ""
    _since_ns: int = 0
    _diagnosis: str = ""

    def changes(
        self,
        now_ns: int,
        tracker: Tracker,
        gateway_run: GatewayRun,
        status: ClientStatus,
        provider: ProviderSide | None = None,
        *,
        closed: bool = False,
    ) -> list[ClaimChanged | Diagnosed]:
        """The events that are due. A diagnosis is sent when its name changes, and with an empty name when it ends."""
        due: list[ClaimChanged | Diagnosed] = []
        shown = status.shown(now_ns)
        if shown.claim.standing != self._line:
            self._line, self._since_ns = shown.claim.standing, now_ns
            claim = Claim(
                bounded(self.safe(shown.claim.activity), SENTENCE_LIMIT_CHARS),
                bounded(self.safe(shown.claim.connection), SENTENCE_LIMIT_CHARS),
                shown.busy,
            )
            line, run = bounded(claim.standing, SENTENCE_LIMIT_CHARS), self.safe(gateway_run.short)
            due.append(ClaimChanged(now_ns, self.run, self.attempt, line, run, gateway_run.begun_ns, claim))
        now = take_snapshot(
            tracker,
            gateway_run,
            now_ns,
            provider=provider,
            claim=shown,
            claim_since_ns=self._since_ns,
            closed=closed,
        )
        found = diagnose(now, stall_s=self.stall_s)
        name = found.name if found else ""
        if name != self._diagnosis:
            self._diagnosis = name
            sentence = bounded(self.safe(found.sentence), SENTENCE_LIMIT_CHARS) if found else ""
            due.append(Diagnosed(now_ns, self.run, self.attempt, name, sentence))
        return due


def companion(stall_s: float, lookups: Mapping[str, ProviderLookup] | None = None) -> Companion:
    """The companion of a race's attempts: it reports claim and diagnosis of those that go through a gateway.

    ``lookups`` give, by the name of the target, the provider's side of its gateway.
    """

    async def beside(attempt: Attempt, emit: Callable[[Event], None]) -> None:
        if isinstance(attempt, GatewayAttempt):
            await _report(attempt, stall_s, emit, (lookups or {}).get(attempt.target_name))

    return beside


async def _report(
    attempt: GatewayAttempt, stall_s: float, emit: Callable[[Event], None], lookup: ProviderLookup | None
) -> None:
    """Emit every change until cancelled."""
    reporter = GatewayReporter(attempt.run, attempt.attempt, stall_s, attempt.redacted)
    while True:
        run = attempt.tracker.runs.get(attempt.followed)
        if run is not None:
            now_ns = time.monotonic_ns()
            provider = None if lookup is None else lookup(attempt.tracker, run, now_ns)
            for event in reporter.changes(now_ns, attempt.tracker, run, attempt.client_status, provider):
                emit(event)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                await attempt.frame_arrived.wait()
        attempt.frame_arrived.clear()
