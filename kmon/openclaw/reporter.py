"""What a watched gateway run has to say beside its deltas, as events: each only when it changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kmon.dialects.bounds import SENTENCE_LIMIT_CHARS, bounded
from kmon.dialects.text import clean
from kmon.openclaw.diagnosis import STALL_S, Diagnosis, diagnose
from kmon.openclaw.protocol.claim import ClientStatus
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.runs import Tracker
from kmon.openclaw.snapshot import ProviderSide, sight
from kmon.stream.claim import Claim
from kmon.stream.events import ClaimChanged, Diagnosed


@dataclass(slots=True)
class Reporter:
    """One kmon run that watches one run of a gateway. Asked after every frame, and every second without one.

    ``safe`` cleans what the gateway said of itself (a close reason, a tool's name) and takes the keys out.
    """

    run: str
    attempt: int
    stall_s: float = STALL_S
    safe: Callable[[str], str] = clean
    _line: str = ""
    _since_ns: int = 0
    _told: str = ""

    def look(
        self,
        now_ns: int,
        tracker: Tracker,
        gateway_run: GatewayRun,
        claim: ClientStatus,
        provider: ProviderSide | None = None,
        *,
        closed: bool = False,
    ) -> list[ClaimChanged | Diagnosed]:
        """The events that are due. A diagnosis is told anew when its name changes, and taken back when it ends."""
        due: list[ClaimChanged | Diagnosed] = []
        shown = claim.shown(now_ns)
        if shown.claim.standing != self._line:
            self._line, self._since_ns = shown.claim.standing, now_ns
            opened_ns = gateway_run.t_started_ns or gateway_run.t_first_ns
            said = Claim(
                bounded(self.safe(shown.claim.activity), SENTENCE_LIMIT_CHARS),
                bounded(self.safe(shown.claim.connection), SENTENCE_LIMIT_CHARS),
                shown.busy,
            )
            line, run = bounded(said.standing, SENTENCE_LIMIT_CHARS), self.safe(gateway_run.short)
            due.append(ClaimChanged(now_ns, self.run, self.attempt, line, run, opened_ns, said))
        seen = sight(
            tracker,
            gateway_run,
            now_ns,
            provider=provider,
            claim=shown,
            claim_since_ns=self._since_ns,
            closed=closed,
        )
        found: Diagnosis | None = diagnose(seen, stall_s=self.stall_s)
        name = found.name if found else ""
        if name != self._told:
            self._told = name
            sentence = bounded(self.safe(found.sentence), SENTENCE_LIMIT_CHARS) if found else ""
            due.append(Diagnosed(now_ns, self.run, self.attempt, name, sentence))
        return due
