"""Power: the probability that a test of so many rounds proves a difference that is there, computed before it is paid.

Exact for rounds that do not depend on each other, by following every possible count of the evidence from round to
round. The evidence is what the tests count: episodes, in which one arm was the first to fail alone and before which
both passed. For two arms of one target (``every_round``) it is each round in which one failed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import count
from math import log2

from msgspec import Struct

from kmon.stats.statistics import mcnemar_exact

ALPHA = 0.05
POWER = 0.8
"""The usual aim: a difference of the size that is asked for is found in four of five tests."""
LONGEST = 2_000
"""The largest number of rounds that is suggested."""
_CERTAIN = 1 - 1e-9
_UNSEEN = 1e-12
"""Counts less likely than this are no longer followed."""

Proves = Callable[[int, int], bool]
"""Whether so many episodes of the first arm, and of the second, prove that the first fails more often."""


class FailureRates(Struct, frozen=True):
    """True failure rates of the arm that is worse and of the one beside it, as shares."""

    worse: float
    better: float


class _Now(Enum):
    """What the last rounds leave: clean, an episode in which no arm has failed alone yet, or one that is counted."""

    CLEAN = 0
    OPEN = 1
    COUNTED = 2


def mcnemar_proves(claims: int, alpha: float = ALPHA) -> Proves:
    """The rule of McNemar's exact test at the level that Holm's correction gives to the smallest of ``claims``."""
    return lambda worse, better: worse > better and mcnemar_exact(worse, better) <= alpha / claims


def episodes_needed(claims: int, alpha: float = ALPHA) -> int:
    """How many episodes of one arm prove a difference by McNemar's test, if the other has none: 6 for one claim."""
    return next(m for m in count(1) if m - 1 >= log2(claims / alpha))


def least_rounds(episodes: int, *, every_round: bool = False) -> int:
    """The fewest rounds with so many episodes: a clean round lies between any two."""
    return episodes if every_round else 2 * episodes - 1


def power(
    rates: FailureRates, rounds: int, proves: Proves, *, watched: bool = False, every_round: bool = False
) -> float:
    """The probability that ``rounds`` rounds prove that the worse arm is worse.

    A ``watched`` test proves it as soon as ``proves`` is true after any round, the others only at the end.
    """
    found = _powers(rates, proves, watched=watched, every_round=every_round)
    return next(chance for n, chance in found if n == rounds or chance > _CERTAIN)


def rounds_for(
    rates: FailureRates, proves: Proves, *, aim: float = POWER, watched: bool = False, every_round: bool = False
) -> int | None:
    """The fewest rounds with a power of at least ``aim``; None if :data:`LONGEST` are not enough."""
    for rounds, chance in _powers(rates, proves, watched=watched, every_round=every_round):
        if chance >= aim:
            return rounds
        if rounds >= LONGEST:
            return None
    return None


def _powers(rates: FailureRates, proves: Proves, *, watched: bool, every_round: bool) -> Iterator[tuple[int, float]]:
    """The power after 1, 2, 3 ... rounds. Keys are the state and the episodes of the worse and of the better arm."""
    a, b = rates.worse, rates.better
    only_worse, only_better, both = a * (1 - b), b * (1 - a), a * b
    neither = 1 - only_worse - only_better - both
    chances: dict[tuple[_Now, int, int], float] = {(_Now.CLEAN, 0, 0): 1.0}
    proven = 0.0
    for rounds in count(1):
        after: dict[tuple[_Now, int, int], float] = {}
        for (now, worse, better), chance in chances.items():
            counted = now is _Now.COUNTED
            closing = _Now.CLEAN if every_round else _Now.COUNTED
            ahead = (
                (neither, (_Now.CLEAN, worse, better)),
                (only_worse, (closing, worse + (not counted), better)),
                (only_better, (closing, worse, better + (not counted))),
                (both, (_Now.CLEAN if every_round else _Now.COUNTED if counted else _Now.OPEN, worse, better)),
            )
            for share, state in ahead:
                if (part := chance * share) > _UNSEEN:
                    after[state] = after.get(state, 0.0) + part
        reached = {state for state in after if proves(state[1], state[2])}
        found = sum(after[state] for state in reached)
        if watched:
            proven += found
            chances = {state: chance for state, chance in after.items() if state not in reached}
        else:
            chances, proven = after, found
        yield rounds, proven
