"""Beside a gateway's run of a race: what its own client would show at this moment, and on which side the run hangs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from kmon.dialects.registry import dialect
from kmon.openclaw.provider_side import Sighting
from kmon.openclaw.reporter import Reporter
from kmon.probe.attempt import Attempt
from kmon.stream.events import Event

QUIET_S = 1.0
"""How often to look when no frame comes: a claim and a diagnosis change by themselves, too."""


async def mirrored(
    attempt: Attempt, stall_s: float, emit: Callable[[Event], None], sighting: Sighting | None = None
) -> None:
    """Tell of every change until cancelled. Returns at once for an attempt that no gateway carries."""
    if dialect(attempt.dialect).transport != "gateway":
        return
    from kmon.openclaw.attempt import GatewayAttempt

    if not isinstance(attempt, GatewayAttempt):
        return
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
