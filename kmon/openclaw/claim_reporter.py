"""Beside a gateway's run of a race: what its own client would show at this moment, and on which side the run hangs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

from kmon.engine.run import Companion
from kmon.openclaw.attempt import GatewayAttempt
from kmon.openclaw.provider_side import Sighting
from kmon.openclaw.reporter import Reporter
from kmon.probe.attempt import Attempt
from kmon.stream.events import Event

QUIET_S = 1.0
"""How often to look when no frame comes: a claim and a diagnosis change by themselves, too."""


def companion(stall_s: float, sightings: Mapping[str, Sighting] | None = None) -> Companion:
    """The companion of a race's attempts: it reports claim and diagnosis of those that a gateway carries.

    ``sightings`` show, per target by its name, the provider's side of a gateway.
    """

    async def beside(attempt: Attempt, emit: Callable[[Event], None]) -> None:
        if isinstance(attempt, GatewayAttempt):
            await _report(attempt, stall_s, emit, (sightings or {}).get(attempt.target_name))

    return beside


async def _report(
    attempt: GatewayAttempt, stall_s: float, emit: Callable[[Event], None], sighting: Sighting | None
) -> None:
    """Emit every change until cancelled."""
    telling = Reporter(attempt.run, attempt.attempt, stall_s, attempt.redacted)
    while True:
        run = attempt.tracker.runs.get(attempt.followed)
        if run is not None:
            now_ns = time.monotonic_ns()
            provider = None if sighting is None else sighting(attempt.tracker, run, now_ns)
            for event in telling.look(now_ns, attempt.tracker, run, attempt.claim, provider):
                emit(event)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                await attempt.moved.wait()
        attempt.moved.clear()
