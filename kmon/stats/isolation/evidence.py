"""What the blocks so far say for and against each cause.

Nothing is assumed about when requests fail: outages, drift and clusters may be of any kind. The only thing with a known
probability is the draw, which kmon made itself. So a cause is judged by how well it predicts the *draw* from the
outcomes: ``P(outcomes | columns as drawn) / mean of the same over all columns that could have been drawn``. If no
factor has an effect, the outcomes would have been the same under every draw, and the expected value of this ratio is
exactly 1, whatever the outcomes are (Fisher's randomisation test; here as a bet, so that one may look at any time).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import exp, fsum, log
from operator import mul, truediv

from kmon.stats.isolation.blocks import Block, Mask, overlaps, placements
from kmon.stats.isolation.causes import RATES, WEIGHTS, Cause, causes, likelihoods
from kmon.stats.isolation.design import Design

Ratios = tuple[float, ...]
"""One number per pair of rates."""


class Evidence:
    """Adds blocks up."""

    def __init__(self, design: Design) -> None:
        self._prior = causes(design)
        self._own = {factor: Episodes() for factor in design.own_outages}
        self._weights = {cause: (prior / len(RATES),) * len(RATES) for cause, prior in self._prior.items()}
        """Prior probability times all ratios so far, per pair of rates. That of "no effect" stays what it was."""
        self._ln_e_learned = [0.0] * design.factors

    def add(self, block: Block, outcomes: Sequence[bool | None]) -> None:
        """Add a block with its outcomes; None says nothing."""
        live = [factor for factor in block.varied if factor not in self._own or not self._own[factor].begun]
        draw = _Draw(block, outcomes, live, self._own)
        bets = dict.fromkeys(live, 0.0)
        stakes = dict.fromkeys(live, 0.0)
        for cause, weights in self._weights.items():
            moved = [factor for factor in cause.factors if factor in bets]
            for factor in moved:
                stakes[factor] += fsum(weights)
                bets[factor] += fsum(map(mul, weights, draw.ratios(cause, (factor,))))
            if moved:
                self._weights[cause] = tuple(map(mul, weights, draw.ratios(cause, moved)))
        for factor, episodes in self._own.items():
            episodes.add(block.column(factor), outcomes)
        for factor in live:
            self._ln_e_learned[factor] += log(bets[factor] / stakes[factor])

    def probabilities(self) -> dict[Cause | None, float]:
        """How probable each cause is now; None: no factor makes a difference that these causes describe."""
        weights: dict[Cause | None, float] = {None: WEIGHTS[None]}
        weights |= {cause: fsum(parts) for cause, parts in self._weights.items()}
        total = fsum(weights.values())
        return {cause: weight / total for cause, weight in weights.items()}

    def ln_e_alone(self, factor: int) -> float:
        """Log e-value against "this factor has no effect": a bet that it is the cause by itself."""
        cause = Cause("factor", (factor,))
        return log(fsum(self._weights[cause]) / self._prior[cause])

    def ln_e_learned(self, factor: int) -> float:
        """Log e-value against the same: a bet on all causes that it belongs to, as probable as they were before each
        block. Better if the factor needs another."""
        return self._ln_e_learned[factor]

    def ln_e(self, factor: int) -> float:
        """Log e-value against the same: half the stake on either bet."""
        return log(fsum(exp(ln_e) / 2 for ln_e in (self.ln_e_alone(factor), self.ln_e_learned(factor))))


class _Draw:
    """One block: how probable its outcomes are under the columns as drawn, beside the columns that could have been."""

    def __init__(
        self, block: Block, outcomes: Sequence[bool | None], live: Collection[int], own: Collection[int]
    ) -> None:
        failed = sum(1 << at for at, outcome in enumerate(outcomes) if outcome is True)
        passed = sum(1 << at for at, outcome in enumerate(outcomes) if outcome is False)
        self._table = likelihoods(len(block.configs), failed, passed)
        self._everything = len(self._table) - 1
        self._drawn = [(block.column(factor),) for factor in range(len(block.configs[0]))]
        self._could = {factor: placements(block, factor, factor in own) for factor in live}
        self._means: dict[tuple[tuple[Mask, ...], tuple[Mask, ...], bool], Ratios] = {}

    def ratios(self, cause: Cause, moved: Collection[int]) -> Ratios:
        """What the block multiplies the weights of a cause by, if the columns of ``moved`` could have been others."""
        actual = self._mean(cause, ())
        return tuple(map(truediv, actual, self._mean(cause, moved)))

    def _mean(self, cause: Cause, moved: Collection[int]) -> Ratios:
        columns = [self._could[factor] if factor in moved else self._drawn[factor] for factor in cause.factors]
        key = (columns[0], columns[1] if len(columns) > 1 else (self._everything,), cause.kind == "either")
        if key not in self._means:
            weighted = overlaps(*key)
            self._means[key] = tuple(
                fsum(weight * self._table[mask][at] for mask, weight in weighted) for at in range(len(RATES))
            )
        return self._means[key]


class Episodes:
    """Runs of failures of a factor whose levels have outages of their own."""

    def __init__(self) -> None:
        self._failing = {True: False, False: False}

    @property
    def begun(self) -> bool:
        """Whether a level had nothing but failures when it was last seen.

        As long as that lasts, nothing is learned: the outage that goes on was counted when it began, and while one side
        is known to be down the two could not change places.
        """
        return any(self._failing.values())

    def add(self, column: Mask, outcomes: Sequence[bool | None]) -> None:
        """Add a block."""
        for level in (True, False):
            here = [outcome for at, outcome in enumerate(outcomes) if (column >> at & 1) == level]
            if True in here or False in here:
                self._failing[level] = False not in here
