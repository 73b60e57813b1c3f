"""Compares the times of two arms: by one metric, over the rounds both took part in, with censored times.

Of a pair of times, one may be censored: the run was cut off, so that its time is only known to be at least so long.
Every claim is held against the least favourable case:

- cut off against a time that is known: the difference is at least what was seen, which helps the claim that the first
  is slower only as far as that;
- a known time against one that was cut off: that one may have been any longer, so it counts most against the claim;
- both cut off: a tie, which says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, log
from typing import Literal, NamedTuple

from msgspec import Struct

from kmon.stats.rank_tests import (
    rank_sum_above,
    shift_interval,
    signed_rank_above,
    smallest_rank_sum,
    smallest_signed_rank,
)
from kmon.stats.slow_spells import SPELL_LEVEL, slow_spells_p
from kmon.stats.survival import SurvivalTime, quantile
from kmon.stats.trial import Trial

ALPHA = 0.05
MetricName = Literal["worst-gap", "ttft", "duration", "tokens-per-s"]
TestName = Literal["signed-rank", "rank-sum"]
Times = Mapping[int, SurvivalTime]
"""Times of one arm by round; for tokens per second, rates."""
_LEAST_S = 0.001
"""Shorter times count as this long in a ratio."""
_FELT_SHARE = 0.1


class Metric(NamedTuple):
    """What is measured of a run: seconds, or tokens per second, of which more is better.

    ``weight`` is its part of the error rate, ``felt`` the least difference that anybody feels, in its own unit.
    """

    name: MetricName
    of: Callable[[Trial], SurvivalTime | None]
    weight: float
    felt: float
    more_is_slower: bool = True

    def is_felt(self, difference: float, faster: float) -> bool:
        """Whether anybody would feel a difference from ``faster``: also a tenth of it, at least."""
        return difference >= max(self.felt, _FELT_SHARE * faster)


METRICS = (
    Metric("worst-gap", Trial.longest_gap, 1.0, 0.1),
    Metric("ttft", Trial.first_token, 1.0, 0.1),
    Metric("duration", Trial.whole, 0.25, 0.5),
    Metric("tokens-per-s", Trial.output_rate, 0.25, 1.0, more_is_slower=False),
)
"""The waits, which users feel, have four fifths of the error rate; the speed of the answer has the rest."""


class LatencyComparison(Struct, frozen=True, kw_only=True):
    """Two arms by one metric, in seconds or tokens per second (``unit`` by the metric).

    ``difference`` is how much slower ``slower`` is: the Hodges-Lehmann estimate over the rounds of both. It, ``low``
    and ``high`` are the ends of the interval of ``confidence`` (a share); None where there are no such rounds, and
    ``high`` also where runs were cut off. ``slower_in`` and ``faster_in`` count rounds, the rest are ties or undecided.
    A median is a lower bound if it is marked ``cut``. ``p`` is two-sided; ``p_adjusted`` is corrected over all pairs
    and metrics of the test and compares with 5 %; ``p_slow_spells`` allows for slow spells, is
    corrected for the number of pairs, and compares with :data:`~kmon.stats.slow_spells.SPELL_LEVEL`.
    """

    metric: MetricName
    slower: str
    faster: str
    slower_median: float
    slower_median_cut: bool
    faster_median: float
    faster_median_cut: bool
    rounds: int
    slower_in: int
    faster_in: int
    difference: float | None
    low: float | None
    high: float | None
    confidence: float | None
    separated: bool
    """Whether every run of the one was slower than every run of the other."""
    felt: bool
    """Whether the difference is large enough for anybody to feel it, as the estimate and between the medians.

    Timeouts in less than half of the runs of one arm make the estimate large, but they are told as failures already.
    """
    test: TestName
    p: float
    p_adjusted: float
    p_slow_spells: float
    more_rounds: int | None = None
    """Further rounds that would prove it if all go the same way; None where some did not."""

    @property
    def proven(self) -> bool:
        return self.p_adjusted <= ALPHA and self.p_slow_spells <= SPELL_LEVEL


def bounds(own: SurvivalTime, other: SurvivalTime) -> tuple[float, float]:
    """The least and the largest difference ``own`` less ``other``; 0 if both were cut off."""
    difference = own.seconds - other.seconds
    if own.censored and other.censored:
        return 0.0, 0.0
    return (-inf if other.censored else difference), (inf if own.censored else difference)


def paired_p(own: Times, other: Times) -> float:
    """Two-sided p-value of the exact signed-rank test over the rounds that both have; 1 if there are none."""
    shared = [bounds(own[at], other[at]) for at in sorted(own.keys() & other.keys())]
    above, below = signed_rank_above([low for low, _ in shared]), signed_rank_above([-high for _, high in shared])
    return min(1.0, 2 * min(above, below))


def compare_times(
    metric: Metric, first: tuple[str, Times], second: tuple[str, Times], test: TestName
) -> LatencyComparison:
    """The two arms by one metric, the slower one first, without correction. Both need a run.

    ``signed-rank`` compares within rounds, so that hours that are slow for both cancel out. ``rank-sum`` compares all
    runs of the one with all of the other, for tests of so few rounds that no result within rounds could ever prove
    anything. It too holds if the rounds are independent; what the arms share in a round only makes it cautious.
    """
    names, times = (first[0], second[0]), (first[1], second[1])
    slow = times if metric.more_is_slower else times[::-1]  # the first is slower where these differ upwards
    above, below = _one_sided(*slow, test), _one_sided(*slow[::-1], test)
    shared = sorted(times[0].keys() & times[1].keys())
    pairs = [bounds(slow[0][at], slow[1][at]) for at in shared]
    if (below, sum(low > 0 for low, _ in pairs)) < (above, sum(high < 0 for _, high in pairs)):
        return compare_times(metric, second, first, test)
    medians = [_median(arm, metric) for arm in times]
    interval = shift_interval([low for low, _ in pairs], [high for _, high in pairs]) if pairs else None
    between_medians = abs(medians[0].seconds - medians[1].seconds)
    difference = between_medians if interval is None else interval.estimate
    ratios = [log(max(slow[0][at].seconds, _LEAST_S) / max(slow[1][at].seconds, _LEAST_S)) for at in shared]
    p = min(1.0, 2 * above)
    return LatencyComparison(
        metric=metric.name,
        slower=names[0],
        faster=names[1],
        slower_median=medians[0].seconds,
        slower_median_cut=medians[0].censored,
        faster_median=medians[1].seconds,
        faster_median_cut=medians[1].censored,
        rounds=len(shared),
        slower_in=sum(low > 0 for low, _ in pairs),
        faster_in=sum(high < 0 for _, high in pairs),
        difference=None if interval is None else finite(interval.estimate),
        low=None if interval is None else finite(interval.low),
        high=None if interval is None else finite(interval.high),
        confidence=None if interval is None else interval.confidence,
        separated=_separated(*slow),
        felt=metric.is_felt(min(difference, between_medians), medians[1].seconds),
        test=test,
        p=p,
        p_adjusted=p,
        p_slow_spells=slow_spells_p(ratios) if ratios else 1.0,
    )


def can_prove_within_rounds(rounds: int, factor: float) -> bool:
    """Whether the test within rounds can prove anything, if p-values count ``factor`` times."""
    return smallest_signed_rank(rounds) * factor <= ALPHA


def more_rounds(pair: LatencyComparison, factor: float, limit: int) -> int | None:
    """Further rounds, up to ``limit``, that would prove it if all go the same way; p-values count ``factor`` times.

    None where some round did not go that way.
    """
    if not pair.rounds or pair.slower_in < pair.rounds:
        return None
    for more in range(limit + 1):
        n = pair.rounds + more
        if can_prove_within_rounds(n, factor) or (pair.separated and smallest_rank_sum(n, n) * factor <= ALPHA):
            return more
    return None


def _one_sided(own: Times, other: Times, test: TestName) -> float:
    """The p-value of the claim that ``own`` is above ``other``."""
    if test == "signed-rank":
        return signed_rank_above([bounds(own[at], other[at])[0] for at in sorted(own.keys() & other.keys())])
    return rank_sum_above([wait.seconds for wait in own.values()], [at_most(wait) for wait in other.values()])


def at_most(wait: SurvivalTime) -> float:
    """The longest that a time may be, in seconds."""
    return inf if wait.censored else wait.seconds


def _separated(own: Times, other: Times) -> bool:
    return min(wait.seconds for wait in own.values()) > max(at_most(wait) for wait in other.values())


def _median(times: Times, metric: Metric) -> SurvivalTime:
    found = quantile(list(times.values()), 0.5)
    if found is None:
        raise ValueError(f"an arm without a run has no {metric.name}")
    return found


def finite(value: float) -> float | None:
    """``value``, or None if it is not known."""
    return None if value in (inf, -inf) else value
