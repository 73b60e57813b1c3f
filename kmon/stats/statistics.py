"""Confidence intervals of rates, exact tests and Holm's correction: pure functions of counts, without dependencies.

One convention: every interval of a rate is two-sided, exact (Clopper-Pearson) and 95 %, also where everything or
nothing passed. Definitions are those of scipy (``binomtest``, ``fisher_exact``). Sums are computed in log space, so
that counts up to 100,000 neither overflow nor lose precision. All of them need a sample size that was fixed in advance;
for repeated looks see ``sequential_test.py``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain, takewhile
from math import exp, fsum, lgamma, log, log1p

from msgspec import Struct

from kmon.format import percent, plural
from kmon.stats.beta import beta_quantile

TIE_TOLERANCE = 1e-7
"""Relative tolerance within which two tables are equally probable, so that rounding splits no tie (as in R)."""
MORE_ROUNDS_LIMIT = 10_000
"""Largest number of further rounds that is reported."""
LN_UNSEEN = -50.0
"""Terms of a sum that are smaller than the largest by this natural logarithm are lost in rounding."""
_NEGLIGIBLE = 1e-5


class Interval(Struct, frozen=True):
    """A confidence interval of a rate; both ends are shares from 0 to 1."""

    low: float
    high: float


def clopper_pearson(hits: float, n: float, confidence: float = 0.95) -> Interval:
    """The exact two-sided interval of a rate: it holds the true rate in at least ``confidence`` of all samples.

    Each end is the rate at which a count as extreme as ``hits`` has the probability (1 - confidence) / 2. Counts may be
    fractions, for an effective sample size (Korn and Graubard 1998). Raises ValueError unless 0 <= hits <= n, n >= 1.
    """
    _counts(hits, n)
    tail = (1 - confidence) / 2
    return Interval(beta_quantile(tail, hits, n - hits + 1), 1 - beta_quantile(tail, n - hits, hits + 1))


def exact_bounds(passes: int, n: int, confidence: float = 0.95) -> Interval:
    """The two one-sided bounds of a rate, each exact at ``confidence`` (Clopper and Pearson 1934).

    The rate is at least ``low`` with that confidence, and at most ``high`` with that confidence; the two together hold
    with ``2 * confidence - 1``. Raises ValueError unless 0 <= passes <= n > 0.
    """
    return clopper_pearson(passes, n, 2 * confidence - 1)


def interval_words(interval: Interval) -> str:
    """``31-83 %``; an end within a thousandth of a percent of 0 or 100 is told as that."""
    low = 0.0 if interval.low < _NEGLIGIBLE else interval.low
    high = 1.0 if interval.high > 1 - _NEGLIGIBLE else interval.high
    return f"{percent(low)}-{percent(high)} %"


def rate_words(passes: int, n: int) -> str:
    """``60 % (26-88 %), 10 runs``."""
    if n == 0:
        return "no run counts"
    return f"{percent(passes / n)} % ({interval_words(clopper_pearson(passes, n))}), {plural(n, 'run')}"


def compound(rate: float, interval: Interval, uses: int) -> tuple[float, Interval]:
    """The probability that ``uses`` independent uses all pass, and its interval."""
    return rate**uses, Interval(interval.low**uses, interval.high**uses)


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided p-value of McNemar's exact test: only the first failed in ``b`` pairs, only the second in ``c``."""
    if b < 0 or c < 0:
        raise ValueError("a number of pairs cannot be negative")
    n = b + c
    if b == c:
        return 1.0
    return min(1.0, 2 * exp(ln_binomial_tail(min(b, c), n, 0.5)))


def fisher_exact(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p-value of the table ``[[a, b], [c, d]]``: the probability of all tables no more probable than it."""
    if min(a, b, c, d) < 0:
        raise ValueError("a count cannot be negative")
    row, other, column = a + b, c + d, a + c
    first, last = max(0, column - other), min(row, column)
    weights = [ln_choose(row, k) + ln_choose(other, column - k) for k in range(first, last + 1)]
    top = max(weights)
    limit = weights[a - first] + TIE_TOLERANCE
    extreme = fsum(exp(weight - top) for weight in weights if weight <= limit)
    return min(1.0, extreme / fsum(exp(weight - top) for weight in weights))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given; each compares with the level of the whole family."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, at in enumerate(order):
        floor = max(floor, min(1.0, (len(order) - rank) * p_values[at]))
        adjusted[at] = floor
    return tuple(adjusted)


def need_more(b: int, c: int, rounds: int, alpha: float = 0.05) -> int | None:
    """Further rounds at the observed rates until McNemar's test could reach ``alpha``.

    0 if it has. None if more than ``MORE_ROUNDS_LIMIT`` would be needed, or if ``b`` equals ``c``.
    """
    _counts(b + c, rounds)

    def reached(total: int) -> bool:
        return mcnemar_exact(total * b // rounds, total * c // rounds) <= alpha

    if b == c:
        return None
    enough = rounds + MORE_ROUNDS_LIMIT
    total = bisect_left(range(enough), True, lo=rounds, key=reached)
    return None if total == enough else total - rounds


def ln_choose(n: int, k: int) -> float:
    """Natural logarithm of the number of ways to choose ``k`` of ``n``."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def ln_binomial_tail(k: int, n: int, rate: float) -> float:
    """Natural logarithm of the probability of at most ``k`` hits in ``n`` at ``rate`` (strictly between 0 and 1)."""
    ln_hit, ln_miss = log(rate), log1p(-rate)

    def term(i: int) -> float:
        return ln_choose(n, i) + i * ln_hit + (n - i) * ln_miss

    # Terms rise up to the most likely number of hits and fall beyond it. Terms too small for a float are skipped, so
    # that 10,000 rounds need a few hundred terms.
    last = min(k, n)
    highest = min(last, int((n + 1) * rate))
    top = term(highest)
    below = takewhile(lambda ln_term: ln_term > top + LN_UNSEEN, (term(i) for i in range(highest, -1, -1)))
    above = takewhile(lambda ln_term: ln_term > top + LN_UNSEEN, (term(i) for i in range(highest + 1, last + 1)))
    return min(0.0, top + log(fsum(exp(ln_term - top) for ln_term in chain(below, above))))


def _counts(hits: float, n: float) -> None:
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"{hits:g} of {n:g} is no share; there must be at least one run")
