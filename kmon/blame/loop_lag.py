"""Keeps the witnesses at home awake: how late the event loop is, what the clocks do, and a canary beside the race."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from kmon.blame.local_monitor import TICK_NS, LocalMonitor, clocks
from kmon.stream.events import EngineHealth, Event, Notice
from kmon.stream.timeline import MS, S

_log = logging.getLogger(__name__)
REPORT_EVERY_TICKS = 25


async def watch_lag(
    machine: LocalMonitor, emit: Callable[[Event], None], counts: Callable[[], tuple[int, int]]
) -> None:
    """Tell the machine the time every 20 ms, and report the worst lateness every half second, for ever.

    ``counts`` gives the chunks queued and dropped so far. It rests while nothing is measured: an engine whose race is
    over takes no part of a core.
    """
    since_ns = time.monotonic_ns()
    while True:
        if not machine.busy.is_set():
            machine.rest()
            await machine.busy.wait()
            machine.wake()
            since_ns = time.monotonic_ns()
        worst_ns = 0
        for _ in range(REPORT_EVERY_TICKS):
            worst_ns = max(worst_ns, machine.tick(clocks()))
            await asyncio.sleep(TICK_NS / S)
        now_ns = time.monotonic_ns()
        if asleep_ns := machine.asleep_ns(since_ns):
            slept = f"this machine slept for {asleep_ns / S:.0f} s; streams that were open may not have survived it"
            _log.warning("this machine slept for %.0f s", asleep_ns / S)
            emit(Notice(now_ns, "warning", slept))
        since_ns = now_ns
        emit(EngineHealth(now_ns, worst_ns / MS, *counts()))
