"""How late the event loop wakes up: what a measurement made on this loop may be wrong by."""

from __future__ import annotations

import asyncio
import time

from kmon.probe.events import EngineHealth
from kmon.probe.timeline import MS
from kmon.race.outbox import Outbox

TICK_S = 0.02
REPORT_EVERY_TICKS = 25


async def watch_lag(outbox: Outbox) -> None:
    """Report the worst lateness of a 20 ms tick every half second, for ever."""
    while True:
        worst_ns = 0
        for _ in range(REPORT_EVERY_TICKS):
            before_ns = time.monotonic_ns()
            await asyncio.sleep(TICK_S)
            worst_ns = max(worst_ns, time.monotonic_ns() - before_ns - int(TICK_S * 1e9))
        outbox.put(EngineHealth(time.monotonic_ns(), worst_ns / MS, outbox.chunks, outbox.dropped))
