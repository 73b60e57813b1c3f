"""Every request that was sent, with its outcome: counts, exact intervals, and what they say without a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from math import fsum, log

from kmon.stats.e_values import ln_e_rate_above
from kmon.stats.episodes import few_runs
from kmon.stats.isolation.blocks import Block
from kmon.stats.isolation.causes import Cause
from kmon.stats.isolation.design import Config, Design
from kmon.stats.isolation.state import Rate, rate_of
from kmon.stats.statistics import fisher_exact

LOWER_RATES = ((0.0, 0.5), (0.125, 0.3), (0.35, 0.2))
"""Failure rates, as shares of the rate to rule out, and the stake on each."""
ALWAYS = 0.6
"""A request that fails more often than this with every change fails whatever is changed."""


class Ledger:
    """Requests in the order of their blocks."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._sent: list[tuple[Config, bool | None]] = []
        self._troubled: list[bool] = []
        self.quiet = 0
        """Passes since the last block with a failure."""
        self.quiet_as_reported = 0
        """The same in blocks of the request as reported."""

    def add(self, block: Block, outcomes: Sequence[bool | None]) -> None:
        """Add a block with its outcomes."""
        self._sent += zip(block.configs, outcomes, strict=True)
        if True in outcomes or False in outcomes:
            self._troubled.append(True in outcomes)
        if True in outcomes:
            self.quiet = self.quiet_as_reported = 0
        else:
            self.quiet += outcomes.count(False)
            self.quiet_as_reported += outcomes.count(False) if not block.varied else 0

    @property
    def requests(self) -> int:
        """Requests sent."""
        return len(self._sent)

    @property
    def failures(self) -> int:
        """Requests that failed."""
        return sum(failed is True for _, failed in self._sent)

    @property
    def silent(self) -> int:
        """Requests that said nothing."""
        return sum(failed is None for _, failed in self._sent)

    def rate(self, chosen: Callable[[Config], bool]) -> Rate:
        """How often the requests failed whose combination is chosen."""
        return rate_of(*self._counts(chosen))

    def _counts(self, chosen: Callable[[Config], bool]) -> tuple[int, int]:
        """Failures and runs."""
        outcomes = [failed for config, failed in self._sent if failed is not None and chosen(config)]
        return outcomes.count(True), len(outcomes)

    def rates(self, cause: Cause | None) -> tuple[Rate, Rate]:
        """The rates with a cause and without; of no cause, as reported and with any change."""

        def has(config: Config) -> bool:
            levels = config if cause is None else [config[factor] for factor in cause.factors]
            return any(levels) if cause is not None and cause.kind == "either" else all(levels)

        return self.rate(has), self.rate(lambda config: not has(config))

    def ln_e_does_not_fail(self) -> float:
        """Log e-value that the request as reported fails less often than the rate to rule out."""
        (failures, runs), rate = self._counts(all), self._design.rate
        return log(
            fsum(
                stake * share**failures * ((1 - share * rate) / (1 - rate)) ** (runs - failures)
                for share, stake in LOWER_RATES
            )
        )

    def ln_e_always_fails(self) -> float:
        """Log e-value that the request fails mostly, whichever factor is changed."""
        changed = [self._counts(partial(_changed, factor)) for factor in range(self._design.factors)]
        return min(ln_e_rate_above(failures, runs, ALWAYS) if runs else 0.0 for failures, runs in changed)

    def clustered_p(self) -> float:
        """Exact probability of so few runs of blocks with failures, if all orders are equally likely."""
        troubled = self._troubled.count(True)
        runs = sum(failed for failed, _ in groupby(self._troubled))
        return few_runs(troubled, len(self._troubled) - troubled, runs)

    def drift_p(self) -> float:
        """Fisher's exact p-value for blocks with a failure in the first half of them against the second."""
        half = len(self._troubled) // 2
        halves = self._troubled[:half], self._troubled[half:]
        (a, b), (c, d) = ((part.count(True), part.count(False)) for part in halves)
        return fisher_exact(a, b, c, d)


def _changed(factor: int, config: Config) -> bool:
    return not config[factor]
