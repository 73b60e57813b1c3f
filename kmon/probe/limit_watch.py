"""Ends an attempt when a limit of its own has passed: one timer, moved when a nearer limit begins to run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from kmon.probe.limits import Due, Limits, next_due
from kmon.stream.timeline import S, Timeline

AGAIN_S = 0.02
"""A limit must be found passed twice, this far apart: what arrived while the loop was late is read in between."""


class LimitWatch:
    """Calls ``end`` once, when a limit has passed; ``passed`` is that limit from then on."""

    def __init__(self, timeline: Timeline, limits: Limits, end: Callable[[], None]) -> None:
        self._timeline, self._limits, self._end = timeline, limits, end
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._stopped = not limits.any_wait
        self.passed: Due | None = None

    def look(self) -> None:
        """Something happened: see that the timer stands no later than the next limit. It is not moved per chunk."""
        due = None if self._stopped else next_due(self._timeline, self._limits)
        if due is not None and (self._timer is None or due.at_ns < self._timer_ns):
            self._set(due.at_ns, (due.at_ns - time.monotonic_ns()) / S, again=False)

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, at_ns: int, wait_s: float, *, again: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = at_ns
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._fire, again)

    def _fire(self, again: bool) -> None:
        self._timer = None
        due = next_due(self._timeline, self._limits)
        if due is None or due.at_ns > time.monotonic_ns():
            self.look()
        elif again:
            self.passed = due
            self.stop()
            self._end()
        else:
            self._set(due.at_ns, AGAIN_S, again=True)
