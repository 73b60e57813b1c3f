"""Learns stall thresholds from a target's own gaps (``--stall auto``), since no fixed number fits every target.

The rule, per target and phase, once ``NEEDED`` gaps have ended: the logarithms of the gaps are taken for normal, their
spread from the 75th and the 90th percentile, and the threshold is where ``FALSE_ALARMS`` of the streams would have one
longer gap by chance. It is moved outwards for what a few gaps leave uncertain (``_UNCERTAIN``), is ``LEAST_MULTIPLE``
times the 90th percentile or more, and lies between ``FLOOR_NS`` and the ceiling of its phase.

The two percentiles lie in the upper half, because chunks that left together and came one after the other fill the lower
one, and below the last tenth, where stalls are. A gap that was called a stall teaches nothing as long as such gaps are
fewer than the others; if they are not, they are the pace of this target. Gaps that never ended are not counted, nor are
those under ``TOGETHER_NS``: such chunks arrived in one burst.

Simulated, 100 races of 20 streams of 500 gaps each (no recording that could be had holds the times of its chunks):

=========================================================  ===========================  ============================
gaps                                                       streams called stalled       stalls found
=========================================================  ===========================  ============================
the simulator's paces (lognormal, sigma 0.3 to 0.45)       0 %                          -
lognormal, median 0.05 s, sigma 1                          0.6 %                        -
lognormal, median 0.05 s, sigma 1.5                        4.8 % (at the ceiling)       -
sigma 0.6, and a median that varies between streams (0.5)  1.1 %                        -
sigma 0.5, 6 % of all gaps take 20 s, from the start on    0 %                          100 %, threshold 1.0 s
sigma 1, 10 % take 20 s in the second half of the race     0.7 %                        100 %, threshold 4.0 s
sigma 0.5, 10 % of all gaps take 4 s, from the start on    0 %                          78 %: the default is 5 s
=========================================================  ===========================  ============================
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil, exp, log, sqrt
from statistics import NormalDist

from kmon.stream.events import Event, StallThreshold
from kmon.stream.stall import StallPhase
from kmon.stream.timeline import MS, S, Timeline

NEEDED = 59
"""With fewer gaps the spread is too uncertain to say anything."""
LOWER, UPPER = 0.75, 0.9
LEAST_MULTIPLE = 3
"""A pace that is nearly constant has hardly a spread, and still hiccups."""
FALSE_ALARMS = 0.005
"""The share of streams of ``GAPS_PER_STREAM`` gaps, or of first tokens, that is called stalled by chance."""
GAPS_PER_STREAM = 500
_UNCERTAIN = 63.0
"""Variance of the logarithm of the estimated threshold, times the number of gaps, for a normal spread of 1."""
FLOOR_NS = 1 * S
"""A shorter silence disturbs no user, and a TCP retransmission takes up to a second."""
CEILING_NS = 15 * S
"""A silence this long in the middle of an answer is always reported, however slow the target usually is."""
FIRST_CEILING_NS = 30 * S
"""The ceiling before the first token."""
TOGETHER_NS = 1 * MS
WINDOW = 1_000
"""The latest gaps kept per phase: the pace of a target changes within a long race."""
GROWTH = 1.5
"""A threshold is computed again when the number of gaps has grown by this factor, and after each ``WINDOW``."""
_LEARNED_PHASES: tuple[StallPhase, ...] = ("before-first-token", "mid-text", "mid-reasoning", "mid-tool-arguments")
"""Without ``after-last-delta``: there only the end of the stream is missing, and kmon itself ends that wait."""
_NORMAL = NormalDist()


def learned_threshold(gaps_ns: Sequence[int], *, first: bool = False) -> int | None:
    """The threshold in ns for these gaps (ns, ascending); None while there are fewer than ``NEEDED``.

    ``first`` says that they are waits for a first token, of which a stream has one.
    """
    n = len(gaps_ns)
    if n < NEEDED:
        return None
    lower_ns, upper_ns = (gaps_ns[ceil(share * n) - 1] for share in (LOWER, UPPER))
    ceiling_ns = FIRST_CEILING_NS if first else CEILING_NS
    chance = FALSE_ALARMS / (1 if first else GAPS_PER_STREAM)
    z_lower, z_upper, z = (_NORMAL.inv_cdf(share) for share in (LOWER, UPPER, 1 - chance))
    spread = log(upper_ns / lower_ns) / (z_upper - z_lower)
    beyond = spread * (z * sqrt(1 + _UNCERTAIN / n) - z_upper)
    far = upper_ns >= ceiling_ns or beyond >= log(ceiling_ns / upper_ns)  # the power might be beyond a float
    chance_ns = ceiling_ns if far else int(upper_ns * exp(beyond))
    return min(ceiling_ns, max(FLOOR_NS, LEAST_MULTIPLE * upper_ns, chance_ns))


class TargetGaps:
    """The latest gaps of one target, by phase, over all its attempts in a race."""

    def __init__(self) -> None:
        self._of: dict[StallPhase, _PhaseGaps] = {phase: _PhaseGaps() for phase in _LEARNED_PHASES}

    def seen(self, phase: StallPhase) -> int:
        """How many gaps were added in total, including those no longer kept."""
        return self._of[phase].seen

    def add(self, phase: StallPhase, gap_ns: int, *, stalled: bool = False) -> None:
        """Add a gap that ended; ``stalled`` if it was called a stall."""
        if phase in self._of and gap_ns >= TOGETHER_NS:
            self._of[phase].add(gap_ns, stalled=stalled)

    def threshold(self, phase: StallPhase) -> tuple[int, int] | None:
        """The threshold in ns and the number of gaps it was learned from."""
        gaps = self._of[phase].teaching()
        threshold_ns = learned_threshold(gaps, first=phase == "before-first-token")
        return None if threshold_ns is None else (threshold_ns, len(gaps))


class _PhaseGaps:
    """The latest gaps of one phase in ns, ascending, those that were called stalls apart."""

    def __init__(self) -> None:
        self.seen = 0
        self._usual: list[int] = []
        self._stalls: list[int] = []
        self._latest: deque[tuple[int, bool]] = deque()

    def add(self, gap_ns: int, *, stalled: bool) -> None:
        self.seen += 1
        insort(self._stalls if stalled else self._usual, gap_ns)
        self._latest.append((gap_ns, stalled))
        if len(self._latest) > WINDOW:
            oldest_ns, stalled = self._latest.popleft()
            gaps = self._stalls if stalled else self._usual
            del gaps[bisect_left(gaps, oldest_ns)]

    def teaching(self) -> list[int]:
        """The gaps that a threshold is learned from."""
        return self._usual if len(self._stalls) < len(self._usual) else sorted(self._usual + self._stalls)


class ThresholdLearner:
    """Applies the thresholds of a target's gaps to one attempt. A threshold changes only when a gap has just begun."""

    def __init__(
        self, target_gaps: TargetGaps, run: str, attempt: int, timeline: Timeline, emit: Callable[[Event], None]
    ) -> None:
        self._target_gaps, self._timeline, self._emit = target_gaps, timeline, emit
        self._run, self._attempt = run, attempt
        self._due = dict.fromkeys(_LEARNED_PHASES, NEEDED)
        timeline.on_gap = self._on_gap

    def _on_gap(self, phase: StallPhase, gap_ns: int) -> None:
        self._target_gaps.add(phase, gap_ns, stalled=gap_ns >= self._timeline.threshold_ns(phase))

    def begin(self, t_ns: int) -> None:
        """Apply the thresholds known before the attempt started."""
        for phase in _LEARNED_PHASES:
            self.review(t_ns, phase)

    def review(self, t_ns: int, phase: StallPhase) -> None:
        """Compute the threshold of a phase again if enough gaps were added since the last time."""
        if phase not in self._due:
            return
        seen = self._target_gaps.seen(phase)
        if seen < self._due[phase]:
            return
        found = self._target_gaps.threshold(phase)
        if found is None:
            return
        threshold_ns, gaps = found
        self._due[phase] = min(ceil(GROWTH * seen), seen + WINDOW)
        event = StallThreshold(t_ns, self._run, self._attempt, phase, threshold_ns / MS, gaps)
        self._timeline.on_threshold(event)
        self._emit(event)
