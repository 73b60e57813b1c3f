"""Estimates whether an open silence will end, from earlier silences of the same target that lasted as long.

The share is the conditional Kaplan-Meier estimate from the length of the open gap on. Silences that a timeout or the
user cut short, and silences that are open in other attempts, are censored at their length. A silence in which the
stream broke never ended: it is censored at infinity, so that it stays in the sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from msgspec import Struct

from kmon.stats.survival import SurvivalTime, kaplan_meier
from kmon.stream.gap_history import LEAST_NS, Fate, GapHistory
from kmon.stream.stall import StallPhase
from kmon.stream.timeline import S, Timeline
from kmon.stream.view import RaceView, RunView

SILENCES_NEEDED = 20
"""Silences at least as long as the open one that an estimate needs."""


class Resumption(Struct, frozen=True):
    """Of ``reached`` silences this long ``ended`` did end; ``undecided`` are censored.

    ``share`` is the estimated share that ends, 0 to 1. ``phase`` is None when the phase had too few silences and all
    silences of the target were counted.
    """

    ended: int
    reached: int
    undecided: int
    share: float
    phase: StallPhase | None = None

    @property
    def words(self) -> str:
        """``11 of 23 silences this long ended (48 %)``."""
        phase = "" if self.phase is None else f"{self.phase} "
        text = f"{self.ended} of {self.reached} {phase}silences this long ended"
        if abs(self.share - self.ended / self.reached) < 0.005:
            return f"{text} ({self.share:.0%})".replace("%", " %")
        return f"{text}, {self.undecided} cut short or open ({self.share:.0%} by Kaplan-Meier)".replace("%", " %")


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
        fates: dict[Fate, list[int]] = {"ended": [], "never": [], "cut-short": []}
        for name in phases:
            for fate, lengths in silences.by_phase.get(name, {}).items():
                fates[fate] += lengths.reaching(gap_ns)
        elsewhere = _open_elsewhere(silences, phases, own, gap_ns, now_ns)
        undecided = [*fates["cut-short"], *elsewhere]
        reached = len(fates["ended"]) + len(fates["never"]) + len(undecided)
        if reached >= SILENCES_NEEDED:
            share = share_that_ends(fates["ended"], len(fates["never"]), undecided)
            one = phase if len(phases) == 1 and len(silences.by_phase) > 1 else None
            return Resumption(len(fates["ended"]), reached, len(undecided), share, one)
    return None


def share_that_ends(ended_ns: Sequence[int], never: int, undecided_ns: Sequence[int]) -> float:
    """The Kaplan-Meier share of silences that end. ``never`` counts those in which the stream broke."""
    curve = kaplan_meier(
        [
            *(SurvivalTime(ns / S) for ns in ended_ns),
            *(SurvivalTime(ns / S, censored=True) for ns in undecided_ns),
            *(SurvivalTime(inf, censored=True) for _ in range(never)),
        ]
    )
    return 1 - curve.shares[-1] if curve.shares else 0.0


def _open_elsewhere(
    silences: GapHistory, phases: Sequence[StallPhase], own: Timeline | None, gap_ns: int, now_ns: int
) -> list[int]:
    """Lengths in ns of the open gaps of other attempts of the target that are at least ``gap_ns`` long."""
    found = []
    for timeline in silences.open:
        open_ns = timeline.open_gap_ns(now_ns) if timeline is not own and timeline.stall_phase() in phases else None
        if open_ns is not None and open_ns >= gap_ns:
            found.append(open_ns)
    return found
