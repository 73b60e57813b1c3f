"""Keeps the witnesses at home awake: how late the event loop is, what the clocks do, and a canary beside the race."""

from __future__ import annotations

import asyncio
import logging
import time

from kmon.blame.local_monitor import TICK_NS, clocks
from kmon.engine.event_queue import EventQueue
from kmon.stream.events import EngineHealth, Notice
from kmon.stream.timeline import MS, S
from kmon.transport.network import Network

_log = logging.getLogger(__name__)
REPORT_EVERY_TICKS = 25


async def watch_lag(outbox: EventQueue, network: Network) -> None:
    """Tell the machine the time every 20 ms, and report the worst lateness every half second, for ever.

    It rests while nothing is measured: an engine whose race is over takes no part of a core.
    """
    machine = network.machine
    since_ns = time.monotonic_ns()
    while True:
        if not network.busy.is_set():
            machine.rest()
            await network.busy.wait()
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
            outbox.put(Notice(now_ns, "warning", slept))
        since_ns = now_ns
        outbox.put(EngineHealth(now_ns, worst_ns / MS, outbox.chunks, outbox.dropped))
