"""How often the interval that is shown for a pass rate holds the true rate: exact, not simulated."""

from __future__ import annotations

from functools import cache
from math import exp, log, log1p

from kmon.stats.statistics import Interval, ln_choose
from kmon.stats.summary import figures
from kmon.stats.trial import Trial
from tests.bench.sure_table import Figure, Table

CONFIDENCE = 0.95
STEPS = 400
"""True rates at which the coverage is computed."""


@cache
def shown(passes: int, n: int) -> Interval:
    runs = [Trial(target="t", round=at, outcome="pass" if at < passes else "hang-mid-stream") for at in range(n)]
    interval = figures("t", runs).interval
    assert interval is not None
    return interval


def coverage(n: int, rate: float) -> float:
    """The probability that the interval of ``n`` runs holds ``rate``."""
    return sum(
        exp(ln_choose(n, passes) + passes * log(rate) + (n - passes) * log1p(-rate))
        for passes in range(n + 1)
        if shown(passes, n).low <= rate <= shown(passes, n).high
    )


def coverages(worlds: int, seed: int) -> Table:
    """The least and the mean coverage over all true rates. Needs neither worlds nor a seed."""
    rows = []
    for n in (3, 5, 10, 20, 50):
        found = [coverage(n, step / STEPS) for step in range(1, STEPS)]
        rows.append((str(n), (Figure(min(found), CONFIDENCE, least=True), Figure(sum(found) / len(found)))))
    return Table("Coverage of the 95 % interval of a pass rate", ("runs", "worst", "mean"), rows)
