"""Whether a difference stands out from slow spells: a test that holds when neighbouring rounds resemble each other.

Rank tests take rounds as independent. A provider that has slow spells of several rounds breaks that. Percentage of
tests of two equal arms that proved any difference (300 simulated tests; "with" also asks for this test):

==================================  ============  =============  =============
noise                               5 rounds      10 rounds      30 rounds
==================================  ============  =============  =============
independent                         2, with 0     3, with 0      2, with 0
correlated in one arm by 0.5        11, with 3    15, with 3     23, with 1
correlated in one arm by 0.8        28, with 11   44, with 9     55, with 4
spells of 3 rounds, 10 % of time    7, with 2     12, with 0     28, with 0
spells of 10 rounds, 10 % of time   15, with 10   23, with 9     38, with 2
==================================  ============  =============  =============

Of four arms with spells of 10 rounds it is 16 % of 10 rounds and 4 % of 30. It does not hold where every arm and every
metric is correlated by 0.8 on its own: 29 % of 10 rounds and 7 % of 30, of four arms 49 and 23 % (by 0.5: 6 and 3 %, of
four arms 9 and 3 %); such tests need more rounds, or rounds further apart.

No test can tell a spell that lasts as long as the test from a lasting difference. The price: a shift by one standard
deviation is proven in 20 % of tests of 10 rounds instead of 64 %, by two in 81 % instead of 100 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import exp, expm1, fsum, pi, sin, sqrt

SPELL_LEVEL = 0.001
"""A difference is proven only if this test, times the number of pairs, is below it as well as the rank test below 5 %.

So strict because the test is asymptotic and tests are short; a hang of 20 s against 0.1 s passes it after five rounds.
"""
_STEPS = 200


def slow_spells_p(values: Sequence[float]) -> float:
    """Two-sided p-value that the mean of a series is 0, whatever its autocorrelation (Lobato 2001, JASA 96, 1066).

    The mean is compared with the swings of the partial sums around it, which grow with the autocorrelation. That needs
    no estimate of it. Asymptotic: at 5 rounds it rejects in 8 % instead of 5 % of independent rounds.
    """
    n = len(values)
    if not n:
        return 1.0
    mean = fsum(values) / n
    swings = fsum(total * total for total in accumulate(value - mean for value in values)) / (n * n)
    pull = n * mean * mean
    if not pull:
        return 1.0
    return _tail(pull / swings) if swings else 0.0


def _tail(statistic: float) -> float:
    """The chance that a squared normal, over the integral of a squared Brownian bridge, exceeds ``statistic``.

    Craig's form of the normal tail, with the Laplace transform of that integral: sqrt(u / sinh u), u^2 = 2 s.
    """
    root = sqrt(statistic)
    if not root:
        return 1.0
    terms = []
    for step in range(_STEPS):
        u = root / sin((step + 0.5) / _STEPS * pi / 2)
        terms.append(exp(-u / 2) * sqrt(2 * u / -expm1(-2 * u)))
    return fsum(terms) / _STEPS
