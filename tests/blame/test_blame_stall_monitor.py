"""Promises of the watch over stalls: each that is open is told, also after one that turned out to be none."""

from __future__ import annotations

import asyncio
import time

from kmon.blame.local_monitor import LocalMonitor
from kmon.blame.stall_monitor import StallMonitor
from kmon.stream.events import Event, StallStarted
from kmon.stream.timeline import MS, Timeline

STALL_NS = 100 * MS


async def test_a_stall_is_told_after_one_that_late_reading_had_feigned() -> None:
    told: asyncio.Queue[Event] = asyncio.Queue()
    timeline = Timeline(t_start=time.monotonic_ns(), stall_ns=STALL_NS)
    watch = StallMonitor("r1", 1, timeline, LocalMonitor(), told.put_nowait)
    timeline.on_phase("request_sent", timeline.t_start)
    stamp_ns = timeline.t_start
    watch.arm(stamp_ns)
    try:
        for _ in range(3):
            async with asyncio.timeout(20):
                while not isinstance(await told.get(), StallStarted):
                    pass
            while (stamp_ns := stamp_ns + STALL_NS // 2) < time.monotonic_ns():  # read now, but all came in time
                assert timeline.on_chunk(stamp_ns, text=True) is None
            stamp_ns -= STALL_NS // 2
            watch.arm(time.monotonic_ns())
    finally:
        watch.stop()
