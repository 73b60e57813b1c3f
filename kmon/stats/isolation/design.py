"""What an isolation may vary: factors, combinations that are impossible, and the limits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil, comb, log

from msgspec import Struct

Config = tuple[bool, ...]
"""One entry per factor. True: as in the failing request. False: changed. All True is the request as it was reported."""

Level = tuple[int, bool]
"""A factor, counted from 0, and whether it is as reported."""

MOST_FACTORS = 16
MOST_LINKED = 10
"""Factors that may depend on each other, directly or over others: all their combinations are looked at."""


class Design(Struct, frozen=True):
    """The experiment that is possible.

    ``linked`` lists levels that cannot occur together: ``((0, False), (1, True))`` says that a request without tools
    (0) cannot have a tool result in its history (1). ``own_outages`` lists factors whose changed level is served by
    somebody else, who has outages at other times: their failures count once per run of failures.
    ``block`` requests are sent together. ``rate`` is the failure rate that "does not fail" rules out.
    Raises ValueError, with a sentence, for a design that cannot be carried out.
    """

    factors: int
    linked: tuple[tuple[Level, ...], ...] = ()
    max_requests: int = 80
    seed: int = 0
    block: int = 4
    own_outages: tuple[int, ...] = ()
    rate: float = 0.15

    def __post_init__(self) -> None:
        if not 1 <= self.factors <= MOST_FACTORS:
            raise ValueError(f"from 1 to {MOST_FACTORS} factors can be varied, not {self.factors}")
        if not 2 <= self.block <= 8:
            raise ValueError(f"a block has from 2 to 8 requests, not {self.block}")
        if not 0 < self.rate < 1:
            raise ValueError(f"the failure rate to rule out must be between 0 and 1, not {self.rate:g}")
        named = {factor for levels in self.linked for factor, _ in levels} | set(self.own_outages)
        if unknown := sorted(named - set(range(self.factors))):
            raise ValueError(f"there is no factor {unknown[0]}; the factors are 0 to {self.factors - 1}")
        if not self.allowed((True,) * self.factors):
            raise ValueError("the request as reported is among the impossible combinations")
        if self.max_requests < self.least_requests:
            raise ValueError(
                f"{self.max_requests} requests cannot isolate anything among {self.factors} factors; "
                f"the least that can is {self.least_requests}"
            )
        for factor in range(self.factors):
            self.base(factor)

    @property
    def ln_needed(self) -> float:
        """Natural logarithm of the e-value that accuses a single factor: at most one in 100 experiments accuses any
        factor wrongly (Bonferroni), however failures depend on each other in time."""
        return log(100 * self.factors)

    @property
    def ln_needed_of_two(self) -> float:
        """The same for each of two factors that are accused together: at most one in 50 experiments."""
        return log(50 * self.factors)

    @property
    def least_requests(self) -> int:
        """Requests below which nothing can be accused: of a block, at best all requests with the cause fail and no
        other, which has one chance in so many."""
        blocks = ceil(self.ln_needed / log(comb(self.block, self.block // 2)))
        return blocks * self.block

    def allowed(self, config: Sequence[bool]) -> bool:
        """Whether such a request exists."""
        return not any(all(config[factor] == level for factor, level in levels) for levels in self.linked)

    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The factors in groups; factors of different groups can be changed independently of each other."""
        group_of = {factor: {factor} for factor in range(self.factors)}
        for levels in self.linked:
            joined = set().union(*(group_of[factor] for factor, _ in levels))
            group_of |= dict.fromkeys(joined, joined)
        return tuple(sorted({tuple(sorted(group)) for group in group_of.values()}))

    def rows(self, group: Sequence[int]) -> tuple[Config, ...]:
        """Every allowed combination of the factors of a group, all other factors as reported; fewest changes first."""
        if len(group) > MOST_LINKED:
            raise ValueError(f"{len(group)} factors depend on each other; at most {MOST_LINKED} may")
        rows = []
        for levels in product((True, False), repeat=len(group)):
            row = [True] * self.factors
            for factor, level in zip(group, levels, strict=True):
                row[factor] = level
            if self.allowed(row):
                rows.append(tuple(row))
        return tuple(sorted(rows, key=lambda row: row.count(False)))

    def levels(self, first: int, second: int) -> set[tuple[bool, bool]]:
        """The combinations of two factors that exist."""
        for group in self.groups():
            if first in group and second in group:
                return {(row[first], row[second]) for row in self.rows(group)}
        return {(True, True), (True, False), (False, True), (False, False)}

    def base(self, factor: int) -> Config:
        """The request with the fewest changes of which ``factor`` can be changed alone; there it is as reported."""
        group = next(group for group in self.groups() if factor in group)
        rows = self.rows(group)
        for row in rows:
            if row[factor] and changed(row, factor) in rows:
                return row
        raise ValueError(f"factor {factor} can never be changed alone, so that its effect cannot be told")


def changed(config: Config, factor: int) -> Config:
    """``config`` with one factor at its other level."""
    return (*config[:factor], not config[factor], *config[factor + 1 :])
