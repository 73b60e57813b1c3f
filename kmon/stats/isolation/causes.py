"""What may explain the failures, and how probable a block's outcomes are under each explanation."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Literal

from msgspec import Struct

from kmon.stats.isolation.blocks import Mask
from kmon.stats.isolation.design import Design

Kind = Literal["factor", "pair", "either"]

RATES = tuple(
    (with_cause, without)
    for with_cause in (0.15, 0.35, 0.6, 0.95)
    for without in (0.004, 0.03, 0.12, 0.3)
    if with_cause / (1 - with_cause) >= 5 * without / (1 - without)
)
"""Failure rates with and without the cause. Mostly their odds ratio matters, so that a coarse grid is enough.

An odds ratio below 5 is no cause here: to see it takes hundreds of requests.
"""

TROUBLE = 0.02
"""Share of blocks in which something else is wrong: all requests fail at one unknown rate, whatever is in them."""

WEIGHTS: dict[Kind | None, float] = {None: 0.35, "factor": 0.4, "pair": 0.2, "either": 0.05}
"""What is believed before the first request; None: no factor makes a difference."""


class Cause(Struct, frozen=True):
    """A cause. "factor": fails with it; "pair": only with both together; "either": each of the two is enough alone."""

    kind: Kind
    factors: tuple[int, ...]


def causes(design: Design) -> dict[Cause, float]:
    """All causes that can be told apart, with their probabilities beforehand."""
    singles = [Cause("factor", (factor,)) for factor in range(design.factors)]
    found: dict[Cause, float] = dict.fromkeys(singles, WEIGHTS["factor"] / len(singles))
    pairs = []
    for first, second in combinations(range(design.factors), 2):
        levels = design.levels(first, second)
        # Without (True, False) the second is never reported alone: the pair fails exactly when the first does.
        if {(True, False), (False, True)} <= levels:
            pairs.append(Cause("pair", (first, second)))
            if (False, False) in levels:
                pairs.append(Cause("either", (first, second)))
    for kind in ("pair", "either"):
        alike = [pair for pair in pairs if pair.kind == kind]
        found |= dict.fromkeys(alike, WEIGHTS[kind] / max(1, len(alike)))
    return found


@lru_cache(maxsize=4096)
def likelihoods(size: int, failed: Mask, passed: Mask) -> tuple[tuple[float, ...], ...]:
    """Per mask of the requests that have the cause, and per pair of rates: the probability of the outcomes.

    Requests that neither failed nor passed say nothing.
    """
    return tuple(tuple(_likelihood(mask, failed, passed, rates) for rates in RATES) for mask in range(1 << size))


def _likelihood(caused: Mask, failed: Mask, passed: Mask, rates: tuple[float, float]) -> float:
    high, low = rates
    probability = (
        high ** (failed & caused).bit_count()
        * (1 - high) ** (passed & caused).bit_count()
        * low ** (failed & ~caused).bit_count()
        * (1 - low) ** (passed & ~caused).bit_count()
    )
    return (1 - TROUBLE) * probability + TROUBLE * _at_any_rate(failed.bit_count(), passed.bit_count())


def _at_any_rate(failed: int, passed: int) -> float:
    """The probability of these outcomes in this order, if every rate from 0 to 1 is equally likely."""
    return 1 / ((failed + passed + 1) * comb(failed + passed, failed))
