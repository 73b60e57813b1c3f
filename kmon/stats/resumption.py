"""Will this silence end? How many of a target's earlier silences that lasted as long as the open one did end.

The share is the conditional Kaplan-Meier estimate from the length of the open gap on. Silences that were cut short by
a timeout or by the user, and those that are open elsewhere right now, are censored: up to their length they count,
beyond it nothing is claimed of them. A silence in which the stream broke never ended, which is no censoring: it counts
for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from msgspec import Struct

from kmon.stats.survival import Observation, kaplan_meier
from kmon.stream.events import StallPhase
from kmon.stream.gap_history import LEAST_NS, Fate, GapHistory
from kmon.stream.timeline import S, Timeline
from kmon.stream.view import RaceView, RunView

ENOUGH = 20
"""Silences as long as the open one, below which nothing is said."""


class Outlook(Struct, frozen=True):
    """Of ``reached`` silences this long ``ended`` did end; of ``undecided`` it is not known. ``share`` minds those.

    ``phase`` is None when the phase alone had too few and all silences of the target in an answer were counted.
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
        said = f"{self.ended} of {self.reached} {phase}silences this long ended"
        if abs(self.share - self.ended / self.reached) < 0.005:
            return f"{said} ({self.share:.0%})".replace("%", " %")
        return f"{said}, {self.undecided} cut short or open ({self.share:.0%} by Kaplan-Meier)".replace("%", " %")


def outlook(race: RaceView, run: RunView, now_ns: int) -> Outlook | None:
    """What is to be expected of the gap of a run that is open now; None without a long one or without enough others."""
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
    return expected(silences, phase, gap_ns, attempt.timeline, now_ns)


def expected(silences: GapHistory, phase: StallPhase, gap_ns: int, own: Timeline | None, now_ns: int) -> Outlook | None:
    """:func:`outlook` for any length: from the silences of the phase if they are enough, else from the target's."""
    for phases in ((phase,), tuple(silences.by_phase)):
        fates: dict[Fate, list[int]] = {"ended": [], "never": [], "cut-short": []}
        for name in phases:
            for fate, lengths in silences.by_phase.get(name, {}).items():
                fates[fate] += lengths.reaching(gap_ns)
        elsewhere = _open_elsewhere(silences, phases, own, gap_ns, now_ns)
        undecided = [*fates["cut-short"], *elsewhere]
        reached = len(fates["ended"]) + len(fates["never"]) + len(undecided)
        if reached >= ENOUGH:
            share = share_that_ends(fates["ended"], len(fates["never"]), undecided)
            one = phase if len(phases) == 1 and len(silences.by_phase) > 1 else None
            return Outlook(len(fates["ended"]), reached, len(undecided), share, one)
    return None


def share_that_ends(ended_ns: Sequence[int], never: int, undecided_ns: Sequence[int]) -> float:
    """The share of silences that end, of those that reached a length, by all that reached it."""
    curve = kaplan_meier(
        [
            *(Observation(ns / S) for ns in ended_ns),
            *(Observation(ns / S, censored=True) for ns in undecided_ns),
            *(Observation(inf, censored=True) for _ in range(never)),
        ]
    )
    return 1 - curve.shares[-1] if curve.shares else 0.0


def _open_elsewhere(
    silences: GapHistory, phases: Sequence[StallPhase], own: Timeline | None, gap_ns: int, now_ns: int
) -> list[int]:
    """The open gaps of the target's other attempts that are as long."""
    found = []
    for timeline in silences.open:
        open_ns = timeline.open_gap_ns(now_ns) if timeline is not own and timeline.stall_phase() in phases else None
        if open_ns is not None and open_ns >= gap_ns:
            found.append(open_ns)
    return found
