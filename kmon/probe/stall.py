"""Tells of a stall while it is open: one timer per attempt, moved along by every progress."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from kmon.probe.events import Event, Stall, StallEnded, StallPhase, StallStarted
from kmon.probe.timeline import MS, S, Timeline
from kmon.transport.witness import Witness, witness_of


class StallWatch:
    """Emits ``stall_started`` when the open progress gap passes the threshold, and ``stall_ended`` for each."""

    def __init__(self, run: str, attempt: int, timeline: Timeline, emit: Callable[[Event], None]) -> None:
        self._run, self._attempt, self._timeline, self._emit = run, attempt, timeline, emit
        self._timer: asyncio.TimerHandle | None = None
        self._announced = False
        self._sock: socket.socket | None = None

    def on_socket(self, sock: socket.socket) -> None:
        """The attempt has a connection; it is looked at when a stall begins."""
        self._sock = sock

    def arm(self, now_ns: int) -> None:
        """Make sure a timer is running. It is not moved per chunk: when it fires it looks again.

        Only where thresholds are learned can one be due sooner than the timer that runs; then it is set anew.
        """
        if self._announced or (self._timer is not None and not self._timeline.learned):
            return
        gap_ns = self._timeline.open_gap_ns(now_ns)
        if gap_ns is None:
            return
        loop = asyncio.get_running_loop()
        wait_s = max(0.0, (self._timeline.threshold_ns() - gap_ns) / S)
        if self._timer is not None and self._timer.when() > loop.time() + wait_s:
            self.stop()
        if self._timer is None:
            self._timer = loop.call_later(wait_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns()
        gap_ns = self._timeline.open_gap_ns(now_ns)
        if gap_ns is not None and gap_ns >= self._timeline.threshold_ns():
            witness = None if self._sock is None else witness_of(self._sock)
            self._announce(now_ns, self._timeline.stall_phase(), gap_ns / MS, witness)
        else:
            self.arm(now_ns)

    def _announce(self, t_ns: int, phase: StallPhase, gap_ms: float, witness: Witness | None = None) -> None:
        self._announced = True
        threshold_ms = self._timeline.threshold_ns(phase) / MS
        self._emit(StallStarted(t_ns, self._run, self._attempt, phase, gap_ms, witness, threshold_ms))

    def ended(self, t_ns: int, stall: Stall) -> None:
        """An arrival ended a stall."""
        self._close(t_ns, stall, ended=True)

    def left_open(self, t_ns: int, stall: Stall) -> None:
        """The attempt ended with the gap still open."""
        self._close(t_ns, stall, ended=False)

    def _close(self, t_ns: int, stall: Stall, *, ended: bool) -> None:
        if not self._announced:  # the arrival was processed before the timer could fire
            self._announce(t_ns, stall.phase, stall.duration_ms)
        self._emit(StallEnded(t_ns, self._run, self._attempt, stall.phase, stall.duration_ms, ended))
        self._announced = False

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
