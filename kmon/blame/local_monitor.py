"""Records what this machine did during a silence: event-loop lag, suspension, clock steps, late canary beats.

There is one per race, shared by its attempts. Every moment is passed in; only :func:`read_clocks` and :func:`watch_lag`
read a clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from kmon.stream.events import EngineHealth, Event, Notice
from kmon.stream.timeline import MS, S

TICK_NS = 20 * MS
LATE_LEAST_NS = 50 * MS
"""Less lag than this is normal for a busy event loop and explains no silence."""
CANARY_EVERY_NS = 250 * MS
CANARY_LATE_NS = 100 * MS
SUSPEND_LEAST_NS = 500 * MS
WALL_STEP_LEAST_NS = 500 * MS
"""A difference between wall clock and boot clock that counts as a step; slewing stays far below."""
TOGETHER_NS = 250 * MS
"""Streams whose last bytes are no further apart than this stopped together."""
TOGETHER_LEAST = 3
KEPT = 1_000


class Clocks(NamedTuple):
    """Three clocks read at once, in ns. ``boot_ns`` counts suspended time as well; None where no clock does."""

    monotonic_ns: int
    boot_ns: int | None
    wall_ns: int


class TimeSpan(NamedTuple):
    """A span of ``long_ns`` that ended at ``t_ns``; for a wall-clock step its size, which may be negative."""

    t_ns: int
    long_ns: int


class Stream(Protocol):
    """One open stream, as the monitor needs it."""

    @property
    def peer(self) -> str: ...

    @property
    def last_byte_ns(self) -> int | None:
        """Stamp of the last byte, once output had begun; None before that and after the end."""


class LocalMonitor:
    """The facts about this machine, in ns. None means: not measured now, or not measurable on this system."""

    def __init__(self) -> None:
        self.streams: set[Stream] = set()
        self.busy = asyncio.Event()
        """Set while an attempt is running; otherwise loop lag and canary are paused."""
        self.paused = False
        self.on_resume: Callable[[], None] | None = None
        """Called by :meth:`resume`; the canary starts again."""
        self._clocks: Clocks | None = None
        self._last_beat_ns: int | None = None
        self._late: deque[TimeSpan] = deque(maxlen=KEPT)
        self._overdue_beats: deque[TimeSpan] = deque(maxlen=KEPT)
        self._suspensions: deque[TimeSpan] = deque(maxlen=KEPT)
        self._wall_steps: deque[TimeSpan] = deque(maxlen=KEPT)

    def tick(self, now: Clocks) -> int:
        """Record one tick, due ``TICK_NS`` after the previous one; returns how late it was in ns."""
        last, self._clocks = self._clocks, now
        if last is None:
            return 0
        passed_ns = now.monotonic_ns - last.monotonic_ns
        late_ns = max(0, passed_ns - TICK_NS)
        if late_ns >= LATE_LEAST_NS:
            self._late.append(TimeSpan(now.monotonic_ns, late_ns))
        if now.boot_ns is not None and last.boot_ns is not None:
            suspended_ns = now.boot_ns - last.boot_ns - passed_ns
            if suspended_ns >= SUSPEND_LEAST_NS:
                self._suspensions.append(TimeSpan(now.monotonic_ns, suspended_ns))
        beside_ns = (now.boot_ns or now.monotonic_ns) - (last.boot_ns or last.monotonic_ns)
        step_ns = now.wall_ns - last.wall_ns - beside_ns
        if abs(step_ns) >= WALL_STEP_LEAST_NS:
            self._wall_steps.append(TimeSpan(now.monotonic_ns, step_ns))
        return late_ns

    def on_canary_beat(self, now_ns: int) -> None:
        """Record that a beat of the canary was read."""
        if self.paused:
            return
        if self._last_beat_ns is not None and (mute_ns := self._overdue(now_ns)) > 0:
            self._overdue_beats.append(TimeSpan(now_ns, mute_ns))
        self._last_beat_ns = now_ns

    def pause(self) -> None:
        """Stop measuring; the time until :meth:`resume` does not count as lag."""
        self.paused = True
        self._clocks = self._last_beat_ns = None

    def resume(self) -> None:
        """Measure again."""
        self.paused = False
        if self.on_resume is not None:
            self.on_resume()

    def on_canary_lost(self) -> None:
        """Record that there is no canary any more."""
        self._last_beat_ns = None

    # -- reading -------------------------------------------------------------------------------------------------------

    def late_ns(self, since_ns: int, now_ns: int) -> int | None:
        """Total event-loop lag since then, including a block that is still going on."""
        if self._clocks is None:
            return None
        last_ns = self._clocks.monotonic_ns
        pending_ns = now_ns - last_ns - TICK_NS
        pending = [TimeSpan(now_ns, pending_ns)] if pending_ns >= LATE_LEAST_NS else []
        return _overlap_ns([*self._late, *pending], since_ns, now_ns)

    def canary_overdue_ns(self, since_ns: int, now_ns: int) -> int | None:
        """Total time since then during which a beat of the canary was overdue."""
        if self._last_beat_ns is None:
            return None
        overdue_ns = self._overdue(now_ns)
        overdue = [TimeSpan(now_ns, overdue_ns)] if overdue_ns > 0 else []
        return _overlap_ns([*self._overdue_beats, *overdue], since_ns, now_ns)

    def suspended_ns(self, since_ns: int) -> int | None:
        """Total time of suspension since then; the monotonic clock stops meanwhile."""
        if self._clocks is None or self._clocks.boot_ns is None:
            return None
        return sum(interval.long_ns for interval in self._suspensions if interval.t_ns > since_ns)

    def wall_step_ns(self, since_ns: int) -> int:
        """Sum of the wall clock's steps since then."""
        return sum(interval.long_ns for interval in self._wall_steps if interval.t_ns > since_ns)

    def stopped_together(self, stream: Stream) -> int:
        """The number of open streams if all of them, to two peers or more, stopped at the same moment; else 0."""
        last_ns = stream.last_byte_ns
        flowing = [(other.peer, at) for other in self.streams if (at := other.last_byte_ns) is not None]
        if last_ns is None or len(flowing) < TOGETHER_LEAST or len({peer for peer, _ in flowing}) < 2:
            return 0
        return len(flowing) if all(abs(at - last_ns) <= TOGETHER_NS for _, at in flowing) else 0

    def _overdue(self, now_ns: int) -> int:
        assert self._last_beat_ns is not None
        overdue_ns = now_ns - self._last_beat_ns - CANARY_EVERY_NS
        return overdue_ns if overdue_ns >= CANARY_LATE_NS else 0


def _overlap_ns(intervals: Iterable[TimeSpan], since_ns: int, now_ns: int) -> int:
    """How much of the time from ``since_ns`` to ``now_ns`` the intervals cover."""
    return sum(max(0, min(s.t_ns, now_ns) - max(s.t_ns - s.long_ns, since_ns)) for s in intervals)


def read_clocks() -> Clocks:
    """Read the clocks of this machine."""
    boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else None
    return Clocks(time.monotonic_ns(), boot_ns, time.time_ns())


_log = logging.getLogger(__name__)
REPORT_EVERY_TICKS = 25


async def watch_lag(
    monitor: LocalMonitor, emit: Callable[[Event], None], counts: Callable[[], tuple[int, int]]
) -> None:
    """Tick the monitor every 20 ms and emit the worst lag every half second, until cancelled.

    ``counts`` returns the chunks queued and dropped so far. While no attempt runs nothing is measured, so that an
    engine whose race is over uses no CPU time.
    """
    since_ns = time.monotonic_ns()
    while True:
        if not monitor.busy.is_set():
            monitor.pause()
            await monitor.busy.wait()
            monitor.resume()
            since_ns = time.monotonic_ns()
        worst_ns = 0
        for _ in range(REPORT_EVERY_TICKS):
            worst_ns = max(worst_ns, monitor.tick(read_clocks()))
            await asyncio.sleep(TICK_NS / S)
        now_ns = time.monotonic_ns()
        if suspended_ns := monitor.suspended_ns(since_ns):
            slept = f"this machine slept for {suspended_ns / S:.0f} s; streams that were open may not have survived it"
            _log.warning("this machine slept for %.0f s", suspended_ns / S)
            emit(Notice(now_ns, "warning", slept))
        since_ns = now_ns
        emit(EngineHealth(now_ns, worst_ns / MS, *counts()))
