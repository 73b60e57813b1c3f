"""The beta distribution: its distribution function and its quantiles, from which exact intervals of shares are made.

Definitions are those of scipy (``special.betainc``, ``special.betaincinv``). The distribution function is computed by
the continued fraction of the incomplete beta function (DLMF 8.17.22) with Lentz's method.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, log, log1p

_TERMS = 10_000
"""More than any shape up to 1,000,000 needs."""
_CLOSE = 1e-15
_TINY = 1e-300
_STEPS = 200


def beta_share(x: float, a: float, b: float) -> float:
    """The share of a beta distribution with shapes ``a`` and ``b`` (both above 0) that lies below ``x``, 0 to 1."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side only
        return 1 - _below(1 - x, b, a)
    return _below(x, a, b)


@lru_cache(maxsize=1024)  # a screen asks for the same ones in every frame
def beta_quantile(share: float, a: float, b: float) -> float:
    """The point below which ``share`` of the distribution lies. A shape of 0 stands for all of it at that end."""
    if a <= 0 or b <= 0:
        return 0.0 if a <= 0 else 1.0
    low, high, x = 0.0, 1.0, a / (a + b)
    ln_norm = lgamma(a + b) - lgamma(a) - lgamma(b)
    for _ in range(_STEPS):
        over = beta_share(x, a, b) - share
        low, high = (low, x) if over > 0 else (x, high)
        if high - low < _CLOSE:
            break
        slope = exp(min(700.0, ln_norm + (a - 1) * log(x) + (b - 1) * log1p(-x)))
        step = x - over / slope if slope else low
        at = step if low < step < high else (low + high) / 2  # Newton's method, held inside the bracket
        if at == x or abs(at - x) < _CLOSE * x:
            break
        x = at
    return x


def _below(x: float, a: float, b: float) -> float:
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction whose inverse, times the leading term, is the share below ``x``."""
    value, numerators, denominators = 1.0, 1.0, 0.0
    for term in range(1, _TERMS):
        m = term // 2
        if term % 2:
            part = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            part = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominators = 1 / ((1 + part * denominators) or _TINY)
        numerators = (1 + part / numerators) or _TINY
        value *= numerators * denominators
        if abs(numerators * denominators - 1) < _CLOSE:
            break
    return value
