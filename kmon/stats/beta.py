"""The beta distribution in log space: its distribution function and its quantiles, of which exact intervals are made.

Definitions are those of scipy (``special.betaln``, ``special.betainc``, ``special.betaincinv``).
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, log, log1p

_NEWTON_STEPS = 200
"""Upper bound; four to eight are usual."""
_FRACTION_TERMS = 10_000
"""Upper bound; a continued fraction of n runs needs about the root of n."""
_CONVERGED = 1e-15


@lru_cache(maxsize=1024)  # a screen asks for the same ones in every frame
def beta_quantile(share: float, a: float, b: float) -> float:
    """The point below which ``share`` of the distribution with shapes ``a`` and ``b`` lies; 0 or 1 for a shape of 0.

    It is the rate at which ``a`` or more hits in ``a + b - 1`` have the probability ``share``. Newton's method on the
    logarithms of both, held inside a bracket.
    """
    if a <= 0 or b <= 0:
        return 0.0 if a <= 0 else 1.0
    if share > 0.5:  # the nearer tail is the more exact one
        return 1 - beta_quantile(1 - share, b, a)
    low, high, rate = 0.0, 1.0, a / (a + b)
    for _ in range(_NEWTON_STEPS):
        ln_tail = ln_beta_tail(rate, a, b)
        over = ln_tail - log(share)
        low, high = (low, rate) if over > 0 else (rate, high)
        ln_slope = a * log(rate) + (b - 1) * log1p(-rate) - ln_beta(a, b) - ln_tail
        step = over * exp(min(700.0, -ln_slope))
        nearer = rate * exp(-step) if abs(step) < 100 else 0.0
        before, rate = rate, nearer if low < nearer < high else (low + high) / 2
        if abs(rate - before) <= 1e-13 * rate:
            break
    return rate


def ln_beta_tail(rate: float, a: float, b: float) -> float:
    """Natural logarithm of the regularised incomplete beta function I(a, b) at ``rate`` (strictly between 0 and 1).

    It is the probability of ``a`` or more hits in ``a + b - 1`` at that rate. By the continued fraction of DLMF
    8.17.22, evaluated with Lentz's algorithm.
    """
    if rate > (a + 1) / (a + b + 2):  # it converges quickly on the other side
        return log1p(-exp(ln_beta_tail(1 - rate, b, a)))
    upper, lower = 1.0, 1 / (1 - (a + b) * rate / (a + 1))
    fraction = lower
    for m in range(1, _FRACTION_TERMS):
        even = m * (b - m) * rate / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * rate / ((a + 2 * m) * (a + 2 * m + 1))
        before = fraction
        for term in (even, odd):
            lower = 1 / (1 + term * lower)
            upper = 1 + term / upper
            fraction *= lower * upper
        if abs(fraction / before - 1) <= _CONVERGED:
            break
    return a * log(rate) + b * log1p(-rate) - log(a) - ln_beta(a, b) + log(fraction)


def ln_beta(a: float, b: float) -> float:
    """Natural logarithm of the beta function."""
    return lgamma(a) + lgamma(b) - lgamma(a + b)
