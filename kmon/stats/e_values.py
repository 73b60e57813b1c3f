"""E-values: evidence that may be examined after every round without inflating the error.

An e-value is the factor by which a bet against the null hypothesis has multiplied. While the null hypothesis holds its
expected value never exceeds 1, so the chance that it *ever* reaches 1/alpha is at most alpha (Ville's inequality).
Stopping at the first 20 keeps the error at 5 %; stopping at the first p-value below 5 % does not.

All values are natural logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import exp, log, log1p

from kmon.stats.beta import ln_beta
from kmon.stats.statistics import ln_binomial_tail

PAIR_PRIOR = 0.2
"""The bet on a pair is the beta(0.2, 0.2) mixture: most of it on one arm that nearly always fails alone.

Six episodes of one arm alone then reach 20, where equal weights (beta(1, 1)) need eight; if one in five is the other's
both need about 20.
"""
_LARGEST_LN = 500.0
"""Larger logarithms are cut, so that sums of e-values stay finite."""


def ln_e_pairs_differ(b: int, c: int) -> float:
    """Log e-value that one of two arms fails more, from events in which only the first (b) or only the second (c) did.

    The null hypothesis is that each event is equally likely in either arm.
    """
    return ln_beta(b + PAIR_PRIOR, c + PAIR_PRIOR) - ln_beta(PAIR_PRIOR, PAIR_PRIOR) + (b + c) * log(2)


def ln_e_rate_above(hits: int, n: int, rate: float) -> float:
    """Log e-value that hits come more often than ``rate`` (null: at most as often). ``rate`` is inside 0 to 1.

    All higher rates have equal weight. For "less often than", give the misses and ``1 - rate``.
    """
    misses = n - hits
    ln_mixture = ln_beta(hits + 1, misses + 1) + ln_binomial_tail(hits, n + 1, rate) - log1p(-rate)
    return ln_mixture - hits * log(rate) - misses * log1p(-rate)


def closed(ln_e_values: Sequence[float]) -> list[float]:
    """Log e-values corrected for their number, in the order given; each compares with the level of the whole family.

    Closed testing with means (Vovk and Wang 2021, section 5): a hypothesis keeps the least mean of its e-value and any
    of the others. It is never less than Bonferroni's, which divides by their number, and holds under any dependence.
    """
    order = sorted(range(len(ln_e_values)), key=ln_e_values.__getitem__)
    values = [exp(min(ln_e_values[at], _LARGEST_LN)) for at in order]
    below = list(accumulate(values, initial=0.0))
    corrected = [0.0] * len(order)
    for rank, at in enumerate(order):
        least = min((values[rank] + below[others]) / (others + 1) for others in range(rank + 1))
        corrected[at] = log(least) if least else -_LARGEST_LN
    return corrected
