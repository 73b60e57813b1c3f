"""The lengths of one target's long silences and how each ended: the sample from which an open one is estimated.

Kept are progress gaps of at least ``LEAST_NS``, per phase, the latest ``WINDOW`` of each fate.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from kmon.stream.events import Ending
from kmon.stream.stall import StallPhase
from kmon.stream.timeline import S, Timeline

LEAST_NS = 1 * S
"""Shorter gaps are normal and not kept."""
WINDOW = 200

Fate = Literal["ended", "never", "cut-short"]
"""``ended``: output came. ``never``: the stream broke first. ``cut-short``: kmon's timeout or the user ended the
wait, so the observation is censored."""
_FATE: dict[Ending, Fate] = {
    "done": "cut-short", "incomplete": "never", "failed": "never", "timed-out": "cut-short", "cancelled": "cut-short",
}  # fmt: skip


@dataclass(slots=True)
class GapLengths:
    """Lengths in ns, ascending; past ``WINDOW`` the oldest is dropped."""

    ascending: list[int] = field(default_factory=list)
    _latest: deque[int] = field(default_factory=deque)

    def add(self, length_ns: int) -> None:
        insort(self.ascending, length_ns)
        self._latest.append(length_ns)
        if len(self._latest) > WINDOW:
            del self.ascending[bisect_left(self.ascending, self._latest.popleft())]

    def reaching(self, length_ns: int) -> list[int]:
        """The lengths of at least ``length_ns``."""
        return self.ascending[bisect_left(self.ascending, length_ns) :]


@dataclass(slots=True)
class GapHistory:
    """The long silences of one target, and the timelines of its open attempts."""

    by_phase: dict[StallPhase, dict[Fate, GapLengths]] = field(default_factory=dict)
    open: list[Timeline] = field(default_factory=list)

    def follow(self, timeline: Timeline) -> None:
        """Add the gaps of an attempt that begins, as they end."""
        timeline.on_gap = self.on_gap
        self.open.append(timeline)

    def on_gap(self, phase: StallPhase, length_ns: int) -> None:
        """Add a gap that an arrival ended."""
        self.add(phase, length_ns, "ended")

    def on_attempt_ended(self, timeline: Timeline, ending: Ending, t_ns: int) -> None:
        """Add the open gap of an attempt that ends at ``t_ns``. Call it before the timeline is closed."""
        gap_ns = timeline.open_gap_ns(t_ns)
        own = gap_ns is not None and timeline.is_own is not None and timeline.is_own(t_ns - gap_ns, t_ns, False)
        if gap_ns is not None and not own:
            self.add(timeline.stall_phase(), gap_ns, _FATE[ending])
        self.open = [other for other in self.open if other is not timeline]

    def add(self, phase: StallPhase, length_ns: int, fate: Fate) -> None:
        """Add a silence if it is long enough and in a phase that is estimated."""
        if length_ns >= LEAST_NS and phase != "after-last-delta":  # kmon itself ends the wait for the end
            self.by_phase.setdefault(phase, {}).setdefault(fate, GapLengths()).add(length_ns)
