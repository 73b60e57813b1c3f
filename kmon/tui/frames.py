"""The frame timer: it ticks while something changes on the screen, and pauses while nothing does."""

from __future__ import annotations

from collections.abc import Callable

from textual.timer import Timer

FPS, FPS_CROWDED, CROWD = 10, 5, 16
AWAKE_S = 1.0
"""Seconds for which frames go on after the last change: a new pane needs several to be laid out and drawn."""


class FrameTimer:
    """Calls ``draw`` in time. ``timer`` calls :meth:`tick`; ``wake`` when anything may have changed.

    ``slow`` is a second timer for what is done once a second; it goes on when frames rest, until :meth:`sleep`.
    """

    def __init__(self, fps: int | None, draw: Callable[[], None]) -> None:
        self.interval_s = 1 / (fps or FPS)
        self._fixed = fps is not None
        self._draw = draw
        self._timer: Timer | None = None
        self._slow: Timer | None = None
        self._ticks = self._left = 0
        self.resting = False

    def begin(self, timer: Timer, slow: Timer) -> None:
        """Tick with these timers from now on."""
        self._timer, self._slow = timer, slow
        self.wake()

    def wake(self) -> None:
        """Something happened: draw, and for a while go on doing so."""
        self._left = round(AWAKE_S / self.interval_s)
        if self.resting and self._timer is not None:
            self.resting = False
            self._timer.resume()
            if self._slow is not None:
                self._slow.resume()

    def sleep(self) -> None:
        """Nothing is left to be done once a second either: no timer runs until :meth:`wake`."""
        if self.resting and self._slow is not None:
            self._slow.pause()

    def tick(self, runs: int, *, moving: bool) -> None:
        """One tick, with so many ``runs`` on the screen; ``moving`` while their figures change by themselves."""
        self._ticks += 1
        crowded = not self._fixed and runs > CROWD
        if not crowded or self._ticks % (FPS // FPS_CROWDED) == 0:
            self._draw()
        self._left -= 1
        if self._left <= 0 and not moving and self._timer is not None:
            self.resting = True
            self._timer.pause()
