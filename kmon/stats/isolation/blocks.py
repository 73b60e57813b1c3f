"""Blocks of requests whose factors are assigned at random, and where a factor could have stood as well.

In a block every varied factor is as reported in half of the requests, and which half is drawn at random, independently
for each factor. So each request says something about every factor at once, and a comparison never leaves the block:
an outage or a drift hits both halves alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import cache, lru_cache
from itertools import combinations, product
from operator import and_, or_
from random import Random

from msgspec import Struct

from kmon.stats.isolation.design import Config, Design

Mask = int
"""Requests of a block: bit s is set for the s-th of them."""
Weighted = tuple[tuple[Mask, float], ...]
"""Masks with their probabilities."""


class Block(Struct, frozen=True):
    """Requests to send together, in this order. ``varied`` factors were drawn at random, the rest are constant."""

    configs: tuple[Config, ...]
    varied: tuple[int, ...]

    def column(self, factor: int) -> Mask:
        """The requests in which a factor is as reported."""
        return sum(1 << at for at, config in enumerate(self.configs) if config[factor])


def draw(design: Design, opened: Collection[int], size: int, random: Random) -> Block:
    """A block that varies the open factors, one at a time of those that depend on each other."""
    base = [True] * design.factors
    varied: list[int] = []
    for group in design.groups():
        if candidates := [factor for factor in group if factor in opened]:
            factor = random.choice(candidates)
            varied.append(factor)
            row = design.base(factor)
            for other in group:
                base[other] = row[other]
    configs = [list(base) for _ in range(size)]
    for factor in varied:
        # An odd block cannot be halved: which level gets one request more is drawn as well.
        kept = (size + random.randint(0, 1)) // 2
        for at in random.sample(range(size), size - kept):
            configs[at][factor] = False
    return Block(tuple(map(tuple, configs)), tuple(varied))


def as_reported(design: Design, size: int) -> Block:
    """A block of the request as it was reported."""
    return Block(((True,) * design.factors,) * size, ())


def placements(block: Block, factor: int, own_outages: bool) -> tuple[Mask, ...]:
    """The columns that the draw could have given to a factor, all equally likely.

    For a factor with outages of its own they are only the column and its opposite: all that may be assumed is that the
    two who serve it could change places.
    """
    column = block.column(factor)
    if factor not in block.varied:
        return (column,)
    size = len(block.configs)
    return (column, column ^ ((1 << size) - 1)) if own_outages else subsets(size, column.bit_count())


@cache
def subsets(size: int, chosen: int) -> tuple[Mask, ...]:
    """All sets of ``chosen`` out of ``size`` requests."""
    return tuple(sum(1 << at for at in places) for places in combinations(range(size), chosen))


@lru_cache(maxsize=4096)
def overlaps(first: tuple[Mask, ...], second: tuple[Mask, ...], either: bool) -> Weighted:
    """The requests in which both (or either) of two factors are as reported, over all their placements."""
    join: Callable[[Mask, Mask], Mask] = or_ if either else and_
    counts = Counter(join(a, b) for a, b in product(first, second))
    total = len(first) * len(second)
    return tuple((mask, count / total) for mask, count in counts.items())


def slots(block: Block, results: Sequence[tuple[Config, bool | None]]) -> list[bool | None]:
    """The outcomes in the order of the block; requests without one say nothing. Raises ValueError for another's."""
    waiting: dict[Config, list[int]] = {}
    for at, config in enumerate(block.configs):
        waiting.setdefault(config, []).append(at)
    outcomes: list[bool | None] = [None] * len(block.configs)
    for config, failed in results:
        places = waiting.get(tuple(config))
        if not places:
            raise ValueError("a result of a request that was not in the block, or that has come already")
        outcomes[places.pop(0)] = failed
    return outcomes
