"""Thresholds learned from a target's own gaps (``--stall auto``): one fixed number is wrong for somebody.

The rule, per target and phase: ``MULTIPLE`` times the 95th percentile (nearest rank) of its gaps that ended, at least
``FLOOR_NS`` and at most ``CEILING_NS``, once there are ``NEEDED`` gaps. A percentile, not the longest: up to one gap in
twenty may itself have been a stall without moving the threshold. Gaps that never ended teach nothing, and neither do
gaps under ``TOGETHER_NS``: such chunks came together, and a provider that sends in bursts is not a fast one.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from math import ceil

from kmon.stream.events import Event, StallPhase, StallThreshold
from kmon.stream.timeline import MS, S, Timeline

SHARE = 0.95
NEEDED = 59
"""Fewer gaps do not bound the 95th percentile: that all of 59 fall below it has a chance under 5 % (0.95^59)."""
MULTIPLE = 4
FLOOR_NS = 1 * S
"""A shorter silence troubles nobody, and a lost packet that TCP sends again takes up to a second."""
CEILING_NS = 60 * S
"""After a minute a person wants to be told, whatever a target's habits are."""
TOGETHER_NS = 1 * MS
WINDOW = 5_000
"""Gaps that are remembered per phase, the latest: habits change within a long race."""
SOONER = 1.5
"""A threshold is looked at again when there are so many times as many gaps."""
_TAUGHT: tuple[StallPhase, ...] = ("before-first-token", "mid-text", "mid-reasoning", "mid-tool-arguments")
"""After the last delta nothing but the end is owed, and kmon itself ends that wait."""


def learned_threshold(gaps_ns: list[int]) -> int | None:
    """The threshold that these gaps, in ascending order, teach; None while they are too few."""
    if len(gaps_ns) < NEEDED:
        return None
    usual_ns = gaps_ns[ceil(SHARE * len(gaps_ns)) - 1]
    return min(CEILING_NS, max(FLOOR_NS, MULTIPLE * usual_ns))


class TargetGaps:
    """The gaps of one target, by phase, over all its attempts in a race."""

    def __init__(self) -> None:
        self._sorted: dict[StallPhase, list[int]] = {phase: [] for phase in _TAUGHT}
        self._latest: dict[StallPhase, deque[int]] = {phase: deque() for phase in _TAUGHT}
        self.seen: dict[StallPhase, int] = dict.fromkeys(_TAUGHT, 0)
        """Gaps of each phase in all, those forgotten included."""

    def add(self, phase: StallPhase, gap_ns: int) -> None:
        """Remember a gap that ended."""
        if phase not in self._sorted or gap_ns < TOGETHER_NS:
            return
        gaps, latest = self._sorted[phase], self._latest[phase]
        insort(gaps, gap_ns)
        latest.append(gap_ns)
        self.seen[phase] += 1
        if len(latest) > WINDOW:
            del gaps[bisect_left(gaps, latest.popleft())]

    def threshold(self, phase: StallPhase) -> tuple[int, int] | None:
        """The threshold in ns and the number of gaps it was learned from."""
        gaps = self._sorted[phase]
        threshold_ns = learned_threshold(gaps)
        return None if threshold_ns is None else (threshold_ns, len(gaps))


class ThresholdLearner:
    """What one attempt learns from its target's target_gaps. A threshold only changes where a gap has just begun."""

    def __init__(
        self, target_gaps: TargetGaps, run: str, attempt: int, timeline: Timeline, emit: Callable[[Event], None]
    ) -> None:
        self._target_gaps, self._timeline, self._emit = target_gaps, timeline, emit
        self._run, self._attempt = run, attempt
        self._due = dict.fromkeys(_TAUGHT, NEEDED)
        timeline.on_gap = target_gaps.add

    def begin(self, t_ns: int) -> None:
        """The attempt starts with all that was learned before it."""
        for phase in _TAUGHT:
            self.review(t_ns, phase)

    def review(self, t_ns: int, phase: StallPhase) -> None:
        """Learn anew for a phase if enough gaps were added since the last time."""
        if phase not in self._due or self._target_gaps.seen[phase] < self._due[phase]:
            return
        found = self._target_gaps.threshold(phase)
        if found is None:
            return
        threshold_ns, gaps = found
        self._due[phase] = ceil(SOONER * self._target_gaps.seen[phase])
        event = StallThreshold(t_ns, self._run, self._attempt, phase, threshold_ns / MS, gaps)
        self._timeline.on_threshold(event)
        self._emit(event)
