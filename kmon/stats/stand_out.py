"""One arm of a test against all the others of the same rounds.

With four arms, one that is the slowest in 5 of 5 rounds has p = 1/4^5 = 0.001; a pair of arms needs eleven such rounds
for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from msgspec import Struct

from kmon.stats.latency_pairs import ALPHA, LatencyComparison, Metric, MetricName, Times, at_most, bounds, finite
from kmon.stats.rank_tests import rank_within_rounds_above
from kmon.stats.slow_spells import SPELL_LEVEL
from kmon.stats.survival import quantile

FEWEST_ARMS = 3


class StandOut(Struct, frozen=True, kw_only=True):
    """An arm that was compared with all others of its rounds, by a metric of which more is slower.

    ``p`` is one-sided, because only a slow arm is looked for. ``next`` has the largest median of the others. ``least``
    and ``most`` are the range over the rounds of how much longer it took than the slowest other one, in seconds; None
    where a run was cut off. The rest as in :class:`~kmon.stats.latency_pairs.LatencyComparison`; ``p_slow_spells`` is
    the largest of its pairs.
    """

    metric: MetricName
    arm: str
    arms: int
    rounds: int
    slowest_in: int
    median: float
    median_cut: bool
    next: str
    next_median: float
    next_median_cut: bool
    least: float | None
    most: float | None
    felt: bool
    p: float
    p_adjusted: float
    p_slow_spells: float
    more_rounds: int | None = None

    @property
    def proven(self) -> bool:
        return self.p_adjusted <= ALPHA and self.p_slow_spells <= SPELL_LEVEL


def stand_out(
    metric: Metric, arm: str, times: Mapping[str, Times], comparisons: Sequence[LatencyComparison]
) -> StandOut | None:
    """``arm`` against all other arms with ``times``, without correction. None for fewer than three arms.

    ``comparisons`` are those of its pairs. Only rounds in which every arm has a time count.
    """
    spells = [pair.p_slow_spells for pair in comparisons if (pair.metric, pair.slower) == (metric.name, arm)]
    medians = {name: found for name, of_arm in times.items() if (found := quantile(list(of_arm.values()), 0.5))}
    others = [name for name in times if name != arm]
    if len(times) < FEWEST_ARMS or arm not in medians:
        return None
    shared = sorted(set(times[arm]).intersection(*(times[name] for name in others)))
    rounds = [(times[arm][at], [times[name][at] for name in others]) for at in shared]
    ranked = [(own.seconds, [at_most(other) for other in rest]) for own, rest in rounds]
    leads = [bounds(own, max(rest, key=at_most)) for own, rest in rounds]
    nearest = max(others, key=lambda name: medians[name])
    p = rank_within_rounds_above(ranked)
    return StandOut(
        metric=metric.name,
        arm=arm,
        arms=len(times),
        rounds=len(shared),
        slowest_in=sum(seconds > max(rest) for seconds, rest in ranked),
        median=medians[arm].seconds,
        median_cut=medians[arm].censored,
        next=nearest,
        next_median=medians[nearest].seconds,
        next_median_cut=medians[nearest].censored,
        least=finite(min((low for low, _ in leads), default=inf)),
        most=finite(max((high for _, high in leads), default=inf)),
        felt=metric.is_felt(medians[arm].seconds - medians[nearest].seconds, medians[nearest].seconds),
        p=p,
        p_adjusted=p,
        p_slow_spells=max(spells) if len(spells) == len(others) else 1.0,
    )


def more_rounds(one: StandOut, factor: float, limit: int) -> int | None:
    """Further rounds, up to ``limit``, that would prove it if the arm is the slowest in all; p counts ``factor`` times.

    None where it was not the slowest in all rounds so far.
    """
    if not one.rounds or one.slowest_in < one.rounds:
        return None
    needed = (more for more in range(limit + 1) if one.arms ** -(one.rounds + more) * factor <= ALPHA)
    return next(needed, None)
