"""The long silences of one target: how long each was, and what became of it. What is told of an open one rests on them.

Kept are progress gaps of ``LEAST_NS`` and more, per phase, the latest ``WINDOW`` of each fate; folded from the events.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from kmon.stream.events import Ending, StallPhase
from kmon.stream.timeline import S, Timeline

LEAST_NS = 1 * S
"""Below it nobody asks whether a silence will end."""
WINDOW = 200

Fate = Literal["ended", "never", "cut-short"]
"""``ended``: output came. ``never``: the stream broke first, so none ever will. ``cut-short``: kmon's timeout or the
user ended the wait, and what would have become of it is not known."""
_FATE: dict[Ending, Fate] = {
    "done": "cut-short", "incomplete": "never", "failed": "never", "timed-out": "cut-short", "cancelled": "cut-short",
}  # fmt: skip


@dataclass(slots=True)
class GapLengths:
    """Lengths in ns, in ascending order; past ``WINDOW`` the oldest leaves."""

    ascending: list[int] = field(default_factory=list)
    _latest: deque[int] = field(default_factory=deque)

    def add(self, length_ns: int) -> None:
        insort(self.ascending, length_ns)
        self._latest.append(length_ns)
        if len(self._latest) > WINDOW:
            del self.ascending[bisect_left(self.ascending, self._latest.popleft())]

    def reaching(self, length_ns: int) -> list[int]:
        """Those of at least this length."""
        return self.ascending[bisect_left(self.ascending, length_ns) :]


@dataclass(slots=True)
class GapHistory:
    """The history of one target, and the timelines of its attempts that are open now."""

    by_phase: dict[StallPhase, dict[Fate, GapLengths]] = field(default_factory=dict)
    open: list[Timeline] = field(default_factory=list)

    def follow(self, timeline: Timeline) -> None:
        """Remember the gaps of an attempt that begins."""
        timeline.on_gap = self.on_gap
        self.open.append(timeline)

    def on_gap(self, phase: StallPhase, length_ns: int) -> None:
        """A gap was ended by an arrival."""
        self.add(phase, length_ns, "ended")

    def on_attempt_ended(self, timeline: Timeline, ending: Ending, t_ns: int) -> None:
        """An attempt is about to be closed, perhaps within a gap."""
        gap_ns = timeline.open_gap_ns(t_ns)
        own = gap_ns is not None and timeline.is_own is not None and timeline.is_own(t_ns - gap_ns, t_ns, False)
        if gap_ns is not None and not own:
            self.add(timeline.stall_phase(), gap_ns, _FATE[ending])
        self.open = [other for other in self.open if other is not timeline]

    def add(self, phase: StallPhase, length_ns: int, fate: Fate) -> None:
        """Remember a silence, if it is one that is asked about."""
        if length_ns >= LEAST_NS and phase != "after-last-delta":  # kmon itself ends the wait for the end
            self.by_phase.setdefault(phase, {}).setdefault(fate, GapLengths()).add(length_ns)
