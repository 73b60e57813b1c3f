"""Learns stall thresholds from a target's own gaps (``--stall auto``), since no fixed number fits every target.

The rule, per target and phase: ``MULTIPLE`` times the 95th percentile (nearest rank) of its gaps that ended, at least
``FLOOR_NS`` and at most ``CEILING_NS``, once there are ``NEEDED`` gaps. A percentile, not the longest: up to one gap in
twenty may itself have been a stall without moving the threshold. Gaps that never ended are not counted. Gaps under
``TOGETHER_NS`` are not counted either: such chunks arrived in one burst, and their gaps say nothing about the pace.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from math import ceil

from kmon.stream.events import Event, StallThreshold
from kmon.stream.stall import StallPhase
from kmon.stream.timeline import MS, S, Timeline

SHARE = 0.95
NEEDED = 59
"""Fewer gaps do not bound the 95th percentile: that all of 59 fall below it has a chance under 5 % (0.95^59)."""
MULTIPLE = 4
FLOOR_NS = 1 * S
"""A shorter silence disturbs no user, and a TCP retransmission takes up to a second."""
CEILING_NS = 60 * S
"""A silence of a minute is always reported, however slow the target usually is."""
TOGETHER_NS = 1 * MS
WINDOW = 5_000
"""The latest gaps kept per phase: the pace of a target changes within a long race."""
GROWTH = 1.5
"""A threshold is computed again when the number of gaps has grown by this factor."""
_LEARNED_PHASES: tuple[StallPhase, ...] = ("before-first-token", "mid-text", "mid-reasoning", "mid-tool-arguments")
"""Without ``after-last-delta``: there only the end of the stream is missing, and kmon itself ends that wait."""


def learned_threshold(gaps_ns: list[int]) -> int | None:
    """The threshold in ns for these gaps (ns, ascending); None while there are fewer than ``NEEDED``."""
    if len(gaps_ns) < NEEDED:
        return None
    usual_ns = gaps_ns[ceil(SHARE * len(gaps_ns)) - 1]
    return min(CEILING_NS, max(FLOOR_NS, MULTIPLE * usual_ns))


class TargetGaps:
    """The gaps of one target, by phase, over all its attempts in a race."""

    def __init__(self) -> None:
        self._sorted: dict[StallPhase, list[int]] = {phase: [] for phase in _LEARNED_PHASES}
        self._latest: dict[StallPhase, deque[int]] = {phase: deque() for phase in _LEARNED_PHASES}
        self.seen: dict[StallPhase, int] = dict.fromkeys(_LEARNED_PHASES, 0)
        """Gaps added per phase in total, including those no longer kept."""

    def add(self, phase: StallPhase, gap_ns: int) -> None:
        """Add a gap that ended."""
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
    """Applies the thresholds of a target's gaps to one attempt. A threshold changes only when a gap has just begun."""

    def __init__(
        self, target_gaps: TargetGaps, run: str, attempt: int, timeline: Timeline, emit: Callable[[Event], None]
    ) -> None:
        self._target_gaps, self._timeline, self._emit = target_gaps, timeline, emit
        self._run, self._attempt = run, attempt
        self._due = dict.fromkeys(_LEARNED_PHASES, NEEDED)
        timeline.on_gap = target_gaps.add

    def begin(self, t_ns: int) -> None:
        """Apply the thresholds known before the attempt started."""
        for phase in _LEARNED_PHASES:
            self.review(t_ns, phase)

    def review(self, t_ns: int, phase: StallPhase) -> None:
        """Compute the threshold of a phase again if enough gaps were added since the last time."""
        if phase not in self._due or self._target_gaps.seen[phase] < self._due[phase]:
            return
        found = self._target_gaps.threshold(phase)
        if found is None:
            return
        threshold_ns, gaps = found
        self._due[phase] = ceil(GROWTH * self._target_gaps.seen[phase])
        event = StallThreshold(t_ns, self._run, self._attempt, phase, threshold_ns / MS, gaps)
        self._timeline.on_threshold(event)
        self._emit(event)
