"""Estimates whether an open silence will end, from earlier silences of the same target that lasted as long.

The share is the conditional Kaplan-Meier estimate from the length of the open gap on. Silences that a timeout or the
user cut short, and silences that are open in other attempts, are censored at their length. A silence in which the
stream broke never ended: it is censored at infinity, so that it stays in the sample. The interval is that of
:mod:`kmon.stats.product_limit`; it holds if silences end independently of each other, and within an outage they do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from kmon.format import percent
from kmon.stats.product_limit import Step, share_surviving, survival_interval
from kmon.stats.statistics import Interval, interval_words
from kmon.stream.gap_history import LEAST_NS, GapHistory, length_class
from kmon.stream.stall import StallPhase
from kmon.stream.timeline import Timeline
from kmon.stream.view import RaceView, RunView

SILENCES_NEEDED = 20
"""Silences at least as long as the open one that an estimate needs."""


class Resumption(Struct, frozen=True):
    """Of ``reached`` silences this long ``ended`` did end; ``undecided`` are censored.

    ``share`` is the estimated share that ends, 0 to 1, with its 95 % interval. ``phase`` is None when the phase had too
    few silences and all silences of the target were counted.
    """

    ended: int
    reached: int
    undecided: int
    share: float
    interval: Interval
    phase: StallPhase | None = None

    @property
    def words(self) -> str:
        """``11 of 23 silences this long ended (48 %, 27-69 %)``."""
        phase = "" if self.phase is None else f"{self.phase} "
        undecided = "" if abs(self.share - self.ended / self.reached) < 0.005 else f", {self.undecided} undecided"
        likely = f"{percent(self.share)} %, {interval_words(self.interval)}"
        return f"{self.ended} of {self.reached} {phase}silences this long ended{undecided} ({likely})"


def resumption_of_gap(race: RaceView, run: RunView, now_ns: int) -> Resumption | None:
    """The estimate for the open gap of ``run``; None if the gap is short or too few silences lasted as long."""
    attempt = run.main
    if attempt is None or attempt.ending is not None:
        return None
    silences = race.gap_histories.get(run.asked)
    if silences is None:
        return None
    gap_ns = attempt.timeline.open_gap_ns(now_ns)
    phase = attempt.timeline.stall_phase()
    if gap_ns is None or gap_ns < LEAST_NS or phase == "after-last-delta":
        return None
    return resumption_after(silences, phase, gap_ns, attempt.timeline, now_ns)


def resumption_after(
    silences: GapHistory, phase: StallPhase, gap_ns: int, own: Timeline | None, now_ns: int
) -> Resumption | None:
    """The estimate for a gap of ``gap_ns``: from silences of ``phase`` if there are enough, else from all silences."""
    for phases in ((phase,), tuple(silences.by_phase)):
        known = [silences.by_phase[name] for name in phases if name in silences.by_phase]
        ended = _by_length(counts.reaching(gap_ns, "ended") for counts in known)
        cut_short = _by_length(counts.reaching(gap_ns, "cut-short") for counts in known)
        never = sum(n for counts in known for _, n in counts.reaching(gap_ns, "never"))
        elsewhere = _open_elsewhere(silences, phases, own, gap_ns, now_ns)
        undecided = _by_length((cut_short.items(), ((length_ns, 1) for length_ns in elsewhere)))
        reached = sum(ended.values()) + never + sum(undecided.values())
        if reached >= SILENCES_NEEDED:
            steps = steps_of(ended, never, undecided)
            left = survival_interval(steps or [Step(reached - len(elsewhere), 0)])  # what is open says nothing yet
            share, interval = 1 - share_surviving(steps), Interval(1 - left.high, 1 - left.low)
            one = phase if len(phases) == 1 and len(silences.by_phase) > 1 else None
            return Resumption(sum(ended.values()), reached, sum(undecided.values()), share, interval, one)
    return None


def _by_length(counted: Iterable[Iterable[tuple[int, int]]]) -> dict[int, int]:
    """Lengths with their numbers, as one sum."""
    found: dict[int, int] = {}
    for length_ns, n in chain.from_iterable(counted):
        found[length_ns] = found.get(length_ns, 0) + n
    return found


def steps_of(ended: Mapping[int, int], never: int, undecided: Mapping[int, int]) -> list[Step]:
    """The steps of the survival curve of silences, one for each length in ``ended``.

    ``ended`` and ``undecided`` are the number of silences by length. ``never`` counts those in which the stream broke.
    """
    at_risk = never + sum(ended.values()) + sum(undecided.values())
    steps = []
    for length in sorted(ended.keys() | undecided.keys()):
        if ending := ended.get(length, 0):
            steps.append(Step(at_risk, ending))
        at_risk -= ending + undecided.get(length, 0)
    return steps


def _open_elsewhere(
    silences: GapHistory, phases: Sequence[StallPhase], own: Timeline | None, gap_ns: int, now_ns: int
) -> list[int]:
    """Lengths of the open gaps of other attempts of the target that are at least ``gap_ns`` long, as classes in ns."""
    found = []
    for timeline in silences.open:
        open_ns = timeline.open_gap_ns(now_ns) if timeline is not own and timeline.stall_phase() in phases else None
        if open_ns is not None and open_ns >= gap_ns:
            found.append(length_class(open_ns))
    return found
