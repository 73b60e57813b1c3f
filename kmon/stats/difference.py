"""Intervals of the difference between the failure rates of two arms: how much more often the first one failed.

All are two-sided, 95 %, in shares from -1 to 1, and agree with the test of the same pair: an interval leaves out 0 only
if the test tells the arms apart. Counts may be fractions, for an effective sample size.
"""

from __future__ import annotations

from math import exp, fsum, log, log1p, sqrt
from typing import NamedTuple

from kmon.stats.e_values import PAIR_PRIOR
from kmon.stats.statistics import Interval, clopper_pearson

_HALVINGS = 36
_STAKES = tuple((1 - ((at + 0.5) / 64) ** 5, (2 - ((at + 0.5) / 64) ** 5) ** (PAIR_PRIOR - 1)) for at in range(64))
"""The parts of its capital that a bet stakes, with their weights: about beta(0.2, 0.2) for (1 + stake) / 2.

If u is uniform, 1 - u^5 has the density (1 - stake)^-0.8; the weight is the other factor of the density.
"""


class PairedCounts(NamedTuple):
    """Rounds that both arms took part in, by which of the two failed."""

    both: float
    only_first: float
    only_second: float
    neither: float

    @property
    def rounds(self) -> float:
        return sum(self)

    @property
    def difference(self) -> float:
        """The failure rate of the first arm minus that of the second."""
        return (self.only_first - self.only_second) / self.rounds


def paired_difference(counts: PairedCounts, *, differ: bool) -> Interval:
    """The interval of the difference, for a number of rounds that was fixed in advance. ``counts`` must not be empty.

    Newcombe's square-and-add method (1998, method 10) with exact intervals in place of Wilson's. With 5 to 50 rounds it
    holds the true difference in at least 95.2 % of the samples, Newcombe's own in 88 % at worst; it is 8 % wider.
    ``differ`` is the answer of McNemar's exact test.
    """
    first, second = counts.both + counts.only_first, counts.both + counts.only_second
    return _agreeing(_square_and_add(first, second, counts.rounds, counts.rounds, _correlation(counts)), differ)


def unpaired_difference(first: tuple[float, float], second: tuple[float, float], *, differ: bool) -> Interval:
    """The same for arms that share no rounds, each as (failed, runs). ``differ`` is the answer of Fisher's test."""
    return _agreeing(_square_and_add(first[0], second[0], first[1], second[1], 0.0), differ)


def watched_difference(counts: PairedCounts, *, differ: bool, confidence: float = 0.95) -> Interval:
    """An interval that may be looked at after every round: all of them together hold the true difference.

    A confidence sequence by betting (Waudby-Smith and Ramdas 2024): it keeps each difference d against which no gambler
    has won the factor 1 / (1 - confidence). In each round a gambler stakes a part of the capital on "more often by more
    than d"; while that is false, no stake has an expected gain. The bets are a mixture over that part. At d = 0 they
    are the bets of the sequential test, and ``differ`` is the answer of that test.
    """
    ln_limit = -log((1 - confidence) / 2)
    b, c, rest = counts.only_first, counts.only_second, counts.both + counts.neither
    low, high = _lowest_kept(b, c, rest, ln_limit), -_lowest_kept(c, b, rest, ln_limit)
    return _agreeing(Interval(low, high), differ)


def _square_and_add(first: float, second: float, n_first: float, n_second: float, correlation: float) -> Interval:
    rate, other = first / n_first, second / n_second
    ours, theirs = clopper_pearson(first, n_first), clopper_pearson(second, n_second)

    def reach(up: float, down: float) -> float:
        return sqrt(max(0.0, up * up - 2 * correlation * up * down + down * down))

    low = rate - other - reach(rate - ours.low, theirs.high - other)
    high = rate - other + reach(ours.high - rate, other - theirs.low)
    return Interval(max(-1.0, low), min(1.0, high))


def _correlation(counts: PairedCounts) -> float:
    """Phi of the two arms over the rounds, brought half a round nearer to 0 when positive, as Newcombe does."""
    failed, failed_other = counts.both + counts.only_first, counts.both + counts.only_second
    n = counts.rounds
    spread = failed * (n - failed) * failed_other * (n - failed_other)
    if spread <= 0:
        return 0.0
    product = counts.both * counts.neither - counts.only_first * counts.only_second
    return (max(0.0, product - n / 2) if product > 0 else product) / sqrt(spread)


def _agreeing(interval: Interval, differ: bool) -> Interval:
    """The interval with 0 in it unless the arms differ, and on one side of 0 if they do."""
    if not differ:
        return Interval(min(interval.low, 0.0), max(interval.high, 0.0))
    if interval.low + interval.high >= 0:
        return Interval(max(interval.low, 0.0), interval.high)
    return Interval(interval.low, min(interval.high, 0.0))


def _lowest_kept(b: float, c: float, rest: float, ln_limit: float) -> float:
    """The lowest difference against which the bets on "more" have not won the factor; their gain falls as it grows."""
    beaten, kept = -1.0, (b - c) / (b + c + rest)
    for _ in range(_HALVINGS if kept > -1 else 0):
        middle = (beaten + kept) / 2
        beaten, kept = (middle, kept) if _ln_capital(b, c, rest, middle) >= ln_limit else (beaten, middle)
    return kept


def _ln_capital(b: float, c: float, rest: float, difference: float) -> float:
    """The log capital of the bets that the first arm fails more often than the second by more than ``difference``.

    A bet f multiplies by ``1 + f (x - difference) / (1 + difference)`` in a round with the outcome x: 1 when only the
    first failed, -1 when only the second did, else 0.
    """
    odds = 1 / (1 + difference)
    gains = [
        log(weight)
        + b * log1p(stake * (1 - difference) * odds)
        + c * log1p(-stake)
        + rest * log1p(-stake * difference * odds)
        for stake, weight in _STAKES
    ]
    top = max(gains)
    return top + log(fsum(exp(gain - top) for gain in gains) / fsum(weight for _, weight in _STAKES))
