"""Evidence one may watch as it grows: e-values, valid at whatever moment one stops.

An e-value is the factor by which a bet against the null hypothesis has multiplied. While the null holds its expected
value never exceeds 1, so the chance that it *ever* reaches 1/alpha is at most alpha (Ville's inequality): looking after
every round and stopping at the first 20 keeps the error at 5 %, where a p-value looked at so often does not.

The bets are beta-binomial mixtures: every rate the alternative allows is backed equally. All values are natural logs.
"""

from __future__ import annotations

from math import lgamma, log, log1p

from kmon.stats.statistics import ln_binomial_tail


def ln_e_rate_above(hits: int, n: int, rate: float) -> float:
    """Evidence that hits come more often than ``rate`` (null: at most as often). ``rate`` is inside 0 to 1.

    For "less often than", give the misses and ``1 - rate``.
    """
    misses = n - hits
    ln_mixture = ln_beta(hits + 1, misses + 1) + ln_binomial_tail(hits, n + 1, rate) - log1p(-rate)
    return ln_mixture - hits * log(rate) - misses * log1p(-rate)


def ln_e_pairs_differ(b: int, c: int) -> float:
    """Evidence that one of two targets fails more, from rounds where only the first (b) or only the second (c) failed.

    The null is that a round with one failure is as likely to be either's. Against it: any other split, equally backed.
    """
    return ln_beta(b + 1, c + 1) + (b + c) * log(2)


def ln_beta(a: int, b: int) -> float:
    """Natural logarithm of the beta function."""
    return lgamma(a) + lgamma(b) - lgamma(a + b)
