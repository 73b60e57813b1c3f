"""Exact rank tests of differences: signed ranks of pairs, rank sums of two samples, ranks within rounds.

All are permutation tests: the p-value is the share of all ways to exchange the labels that give a statistic at least as
large as the one seen. They hold for any distribution, with ties (midranks), and need a sample size that was fixed in
advance. Ranks are doubled, so that midranks are integers, and the number of ways per value of the statistic is a
coefficient of one polynomial, kept in one long integer. Definitions are those of scipy (``wilcoxon`` with
``zero_method="wilcox"`` and ``mannwhitneyu``, each by complete enumeration).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import groupby
from math import comb, fsum, inf, isfinite, prod, sqrt
from statistics import NormalDist
from typing import NamedTuple

EXACT_ROUNDS = 100
"""Up to so many rounds the distribution is exact; beyond, normal with corrections for ties and continuity."""
EXACT_RUNS = 60
"""The same for the runs of two samples together."""
_PRECISION = 1e-13
_LISTED = 150


class ShiftInterval(NamedTuple):
    """The Hodges-Lehmann estimate of a difference, and its interval with the ``confidence`` (0 to 1) it really has.

    An end is infinite where it is not known.
    """

    estimate: float
    low: float
    high: float
    confidence: float


def signed_rank_above(differences: Sequence[float]) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test that the differences of pairs are above 0.

    Zeros are dropped, as Wilcoxon did. 1 if nothing is left.
    """
    kept = [difference for difference in differences if difference]
    ranks = doubled_ranks([abs(difference) for difference in kept])
    seen = sum(rank for rank, difference in zip(ranks, kept, strict=True) if difference > 0)
    return _upper_tail([(0, rank) for rank in ranks], seen)


def rank_within_rounds_above(rounds: Sequence[tuple[float, Sequence[float]]]) -> float:
    """One-sided p-value that one arm ranks high within its rounds: its own value and those of the other arms, by round.

    If the arm is like the others, each rank of its round is equally likely (Friedman's ranks, of one arm only).
    """
    blocks, seen = [], 0
    for own, others in rounds:
        block = doubled_ranks([own, *others])
        blocks.append(block)
        seen += block[0]
    return _upper_tail(blocks, seen)


def rank_sum_above(first: Sequence[float], second: Sequence[float]) -> float:
    """One-sided p-value of the rank-sum test (Mann-Whitney) that ``first`` is above ``second``; 1 if one is empty."""
    ranks = doubled_ranks([*first, *second])
    n, runs, seen = len(first), len(ranks), sum(ranks[: len(first)])
    if not first or not second:
        return 1.0
    if runs > EXACT_RUNS:
        centre = (runs + 1) * n
        spread = n * (runs - n) / (runs * (runs - 1)) * fsum((rank - runs - 1) ** 2 for rank in ranks)
        return _normal_above(seen, centre, spread)
    ways = comb(runs, n)
    width = ways.bit_length() + 1
    chosen = [1] + [0] * n
    for rank in ranks:
        for size in range(n, 0, -1):
            chosen[size] += chosen[size - 1] << (rank * width)
    return _sum_from(chosen[n], seen, width) / ways


def doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, from 2 for the smallest; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, before = [0] * len(values), 0
    for _, tied in groupby(order, key=values.__getitem__):
        group = list(tied)
        for at in group:
            ranks[at] = 2 * before + len(group) + 1
        before += len(group)
    return ranks


def shift_interval(low: Sequence[float], high: Sequence[float], confidence: float = 0.95) -> ShiftInterval:
    """The median of the pairwise means of differences (Hodges-Lehmann), with the interval of the signed-rank test.

    Each difference is known to lie from ``low`` to ``high``, both in the same order; they are equal where it is exact.
    The estimate is that of ``low``, so it is a lower bound where some are not exact. Fewer than six pairs bear no
    interval of 95 %: it then spans all differences, and ``confidence`` says how sure that is. Needs a pair.
    """
    n = len(low)
    means = n * (n + 1) // 2
    least = _critical(n, (1 - confidence) / 2)
    sure = 1 - 2 * _tail_of_signed_ranks(n, least)
    lows, highs = sorted(low), sorted(high)
    middle = (_walsh(lows, (means - 1) // 2) + _walsh(lows, means // 2)) / 2
    return ShiftInterval(middle, _walsh(lows, least), _walsh(highs, means - 1 - least), sure)


def smallest_signed_rank(rounds: int) -> float:
    """The smallest two-sided p-value that so many pairs can reach."""
    return 2.0 ** (1 - rounds)


def smallest_rank_sum(n: int, m: int) -> float:
    """The smallest two-sided p-value that samples of ``n`` and ``m`` runs can reach."""
    return 2 / comb(n + m, n)


def _upper_tail(blocks: Sequence[Sequence[int]], seen: int) -> float:
    """The chance that a sum reaches ``seen`` if it has one value of each block, all of a block equally likely."""
    if len(blocks) > EXACT_ROUNDS:
        means = [sum(block) / len(block) for block in blocks]
        spread = fsum(
            (value - mean) ** 2 / len(block) for block, mean in zip(blocks, means, strict=True) for value in block
        )
        return _normal_above(seen, fsum(means), spread)
    ways = prod(map(len, blocks))
    width = ways.bit_length() + 1
    polynomial = 1
    for block in blocks:
        polynomial = sum(polynomial << (value * width) for value in block)
    return _sum_from(polynomial, seen, width) / ways


def _sum_from(polynomial: int, degree: int, width: int) -> int:
    """The sum of the coefficients from ``degree`` on; each has ``width`` bits, and their sum less than all bits set."""
    return (polynomial >> (degree * width)) % ((1 << width) - 1)


def _normal_above(seen: float, centre: float, spread: float) -> float:
    if not spread:
        return 1.0
    return NormalDist().cdf((centre - seen + 1) / sqrt(spread))  # 1: half a step of doubled ranks


@cache
def _critical(rounds: int, level: float) -> int:
    """The largest sum of signed ranks whose lower tail is at most ``level``; 0 if there is none."""
    least, beyond = 0, rounds * (rounds + 1) // 4 + 1
    while beyond - least > 1:
        middle = (least + beyond) // 2
        least, beyond = (middle, beyond) if _tail_of_signed_ranks(rounds, middle) <= level else (least, middle)
    return least


@cache
def _tail_of_signed_ranks(rounds: int, at_most: int) -> float:
    """The chance that the sum of the ranks with one sign, without ties, is ``at_most`` so much."""
    ranks = range(1, rounds + 1)
    return _upper_tail([(0, 2 * rank) for rank in ranks], rounds * (rounds + 1) - 2 * at_most)


def _walsh(values: Sequence[float], at: int) -> float:
    """The mean of two of the sorted ``values``, or of one with itself, that has ``at`` such means below it.

    Of many values it is found by halving the range of means and counting in linear time: 2,000 have two million means.
    """
    if len(values) <= _LISTED:
        return _means(tuple(values))[at]
    known = [value for value in values if isfinite(value)]
    unknown = len(values) * (len(values) + 1) // 2 - len(known) * (len(known) + 1) // 2
    if values[0] == -inf:
        if at < unknown:
            return -inf
        at -= unknown
    if at >= len(known) * (len(known) + 1) // 2:
        return inf
    low, high = known[0], known[-1]
    if _means_up_to(known, low) > at:
        return low
    while high - low > _PRECISION * max(abs(low), abs(high), _PRECISION):
        middle = (low + high) / 2
        if _means_up_to(known, middle) > at:
            high = middle
        else:
            low = middle
    return high


@lru_cache(maxsize=2)
def _means(values: tuple[float, ...]) -> list[float]:
    """All of them, in order; kept because several are picked."""
    return sorted((value + other) / 2 for at, value in enumerate(values) for other in values[at:])


def _means_up_to(values: Sequence[float], limit: float) -> int:
    """How many means of two of the sorted ``values``, each with itself and all later ones, are ``limit`` or less."""
    found, last = 0, len(values) - 1
    for first, value in enumerate(values):
        while last >= first and value + values[last] > 2 * limit:
            last -= 1
        if last < first:
            break
        found += last - first + 1
    return found
