"""The share of a group that survives several steps, with an exact interval, where some members leave unobserved.

The estimate is the product limit of Kaplan and Meier. The interval is the beta product of Fay, Brittain and Proschan
(Biostatistics 14, 2013), with the product fitted by its first two moments: where nobody leaves unobserved it is that of
Clopper and Pearson, and covers at least the confidence asked for at every sample size. It needs members that are
independent of each other, not steps that are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from kmon.stats.beta import beta_quantile
from kmon.stats.statistics import Interval


class Step(NamedTuple):
    """``lost`` of the ``at_risk`` members that took a step did not survive it."""

    at_risk: int
    lost: int


def share_surviving(steps: Sequence[Step]) -> float:
    """The estimated share that survives all steps, 0 to 1."""
    return prod((1 - step.lost / step.at_risk for step in steps), start=1.0)


def survival_interval(steps: Sequence[Step], confidence: float = 0.95) -> Interval:
    """The interval of the share that survives all steps (at least one; each with somebody at risk)."""
    losses = [step for step in steps if step.lost]
    left = steps[-1].at_risk - steps[-1].lost
    # A step's share has the beta distribution of an order statistic. A lower bound must allow for the loss of the next.
    factors = [(step.at_risk - step.lost + 1, step.lost) for step in losses]
    tail = (1 - confidence) / 2
    low = 0.0 if left == 0 else beta_quantile(tail, *_product([*factors, (left, 1)]))
    high = 1.0 if not factors else beta_quantile(1 - tail, *_product(factors))
    return Interval(low, high)


def _product(factors: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The shapes of the beta distribution with the mean and the variance of a product of independent ones."""
    if len(factors) == 1:
        return factors[0]
    mean = square = 1.0
    for a, b in factors:
        mean *= a / (a + b)
        square *= a * (a + 1) / ((a + b) * (a + b + 1))
    size = (mean - square) / (square - mean * mean)
    return mean * size, (1 - mean) * size
