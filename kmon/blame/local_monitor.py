"""What this program knows of itself and its monitor: was it late, asleep, or was every stream cut at the same moment?

One per race, on the network that its attempts share. It is told the time again and again (``tick``), hears from the
canary, and keeps what was out of the ordinary. Every moment is passed in; nothing here reads a clock, except
:func:`read_clocks`.
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
"""Lateness below this is the ordinary business of a busy loop, however often; it makes no silence."""
CANARY_EVERY_NS = 250 * MS
CANARY_LATE_NS = 100 * MS
SUSPEND_LEAST_NS = 500 * MS
WALL_STEP_LEAST_NS = 500 * MS
"""How far the wall clock moves between two ticks before it was moved; slewing stays far below."""
TOGETHER_NS = 250 * MS
"""Streams whose last bytes lie no further apart fell silent in the same instant."""
TOGETHER_LEAST = 3
KEPT = 1_000


class Clocks(NamedTuple):
    """Three clocks read at once. ``boot_ns`` goes on while the monitor sleeps; None where no clock does so."""

    monotonic_ns: int
    boot_ns: int | None
    wall_ns: int


class Interval(NamedTuple):
    """Something that went on until ``t_ns`` for ``long_ns``."""

    t_ns: int
    long_ns: int


class Stream(Protocol):
    """One open stream, as far as its silence is concerned."""

    @property
    def peer(self) -> str: ...

    @property
    def last_byte_ns(self) -> int | None:
        """When anything last came, once output had begun; None before, and after the end."""


class LocalMonitor:
    """The witnesses at home. Figures are in ns; None means that nobody watches it, or nobody can here."""

    def __init__(self) -> None:
        self.streams: set[Stream] = set()
        self.busy = asyncio.Event()
        """Set while anything is measured; without that, loop lag and canary rest."""
        self.paused = False
        self.on_resume: Callable[[], None] | None = None
        """Told when something is measured again: the canary rests as well."""
        self._clocks: Clocks | None = None
        self._last_beat_ns: int | None = None
        self._late: deque[Interval] = deque(maxlen=KEPT)
        self._overdue_beats: deque[Interval] = deque(maxlen=KEPT)
        self._suspensions: deque[Interval] = deque(maxlen=KEPT)
        self._wall_steps: deque[Interval] = deque(maxlen=KEPT)

    def tick(self, now: Clocks) -> int:
        """Note that the loop got round to this, ``TICK_NS`` after the last time if it was in time; how late it was."""
        last, self._clocks = self._clocks, now
        if last is None:
            return 0
        passed_ns = now.monotonic_ns - last.monotonic_ns
        late_ns = max(0, passed_ns - TICK_NS)
        if late_ns >= LATE_LEAST_NS:
            self._late.append(Interval(now.monotonic_ns, late_ns))
        if now.boot_ns is not None and last.boot_ns is not None:
            suspended_ns = now.boot_ns - last.boot_ns - passed_ns
            if suspended_ns >= SUSPEND_LEAST_NS:
                self._suspensions.append(Interval(now.monotonic_ns, suspended_ns))
        beside_ns = (now.boot_ns or now.monotonic_ns) - (last.boot_ns or last.monotonic_ns)
        step_ns = now.wall_ns - last.wall_ns - beside_ns
        if abs(step_ns) >= WALL_STEP_LEAST_NS:
            self._wall_steps.append(Interval(now.monotonic_ns, step_ns))
        return late_ns

    def on_canary_beat(self, now_ns: int) -> None:
        """A beat of the canary was read."""
        if self.paused:
            return
        if self._last_beat_ns is not None and (mute_ns := self._overdue(now_ns)) > 0:
            self._overdue_beats.append(Interval(now_ns, mute_ns))
        self._last_beat_ns = now_ns

    def pause(self) -> None:
        """Nothing is measured for a while: what passes until :meth:`resume` is nobody's lateness."""
        self.paused = True
        self._clocks = self._last_beat_ns = None

    def resume(self) -> None:
        """Something is measured again."""
        self.paused = False
        if self.on_resume is not None:
            self.on_resume()

    def on_canary_lost(self) -> None:
        """There is no canary any more: it is no witness."""
        self._last_beat_ns = None

    # -- what they say -------------------------------------------------------------------------------------------------

    def late_ns(self, since_ns: int, now_ns: int) -> int | None:
        """For how long, in all, the loop did nothing since then; a block that is not over yet counts."""
        if self._clocks is None:
            return None
        last_ns = self._clocks.monotonic_ns
        pending_ns = now_ns - last_ns - TICK_NS
        pending = [Interval(now_ns, pending_ns)] if pending_ns >= LATE_LEAST_NS else []
        return _overlap_ns([*self._late, *pending], since_ns, now_ns)

    def canary_overdue_ns(self, since_ns: int, now_ns: int) -> int | None:
        """For how long, in all, the canary was overdue since then."""
        if self._last_beat_ns is None:
            return None
        overdue_ns = self._overdue(now_ns)
        overdue = [Interval(now_ns, overdue_ns)] if overdue_ns > 0 else []
        return _overlap_ns([*self._overdue_beats, *overdue], since_ns, now_ns)

    def suspended_ns(self, since_ns: int) -> int | None:
        """For how long the monitor was suspended since then; the monotonic clock stood still meanwhile."""
        if self._clocks is None or self._clocks.boot_ns is None:
            return None
        return sum(interval.long_ns for interval in self._suspensions if interval.t_ns > since_ns)

    def wall_step_ns(self, since_ns: int) -> int:
        """By how much the wall clock was set since then."""
        return sum(interval.long_ns for interval in self._wall_steps if interval.t_ns > since_ns)

    def stopped_together(self, stream: Stream) -> int:
        """How many streams there are, when they all fell silent at one moment and not one peer explains it; else 0."""
        last_ns = stream.last_byte_ns
        flowing = [(other.peer, at) for other in self.streams if (at := other.last_byte_ns) is not None]
        if last_ns is None or len(flowing) < TOGETHER_LEAST or len({peer for peer, _ in flowing}) < 2:
            return 0
        return len(flowing) if all(abs(at - last_ns) <= TOGETHER_NS for _, at in flowing) else 0

    def _overdue(self, now_ns: int) -> int:
        assert self._last_beat_ns is not None
        overdue_ns = now_ns - self._last_beat_ns - CANARY_EVERY_NS
        return overdue_ns if overdue_ns >= CANARY_LATE_NS else 0


def _overlap_ns(intervals: Iterable[Interval], since_ns: int, now_ns: int) -> int:
    """How much of the time from then to now the intervals cover."""
    return sum(max(0, min(s.t_ns, now_ns) - max(s.t_ns - s.long_ns, since_ns)) for s in intervals)


def read_clocks() -> Clocks:
    """The clocks of this monitor, now."""
    boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else None
    return Clocks(time.monotonic_ns(), boot_ns, time.time_ns())


_log = logging.getLogger(__name__)
REPORT_EVERY_TICKS = 25


async def watch_lag(
    monitor: LocalMonitor, emit: Callable[[Event], None], counts: Callable[[], tuple[int, int]]
) -> None:
    """Tell the monitor the time every 20 ms, and report the worst lateness every half second, for ever.

    ``counts`` gives the chunks queued and dropped so far. It rests while nothing is measured: an engine whose race is
    over takes no part of a core.
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
