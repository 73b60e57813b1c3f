"""Five tries of one step, and their spread: a single measurement of a network proves nothing."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from msgspec import Struct

TRIES = 5
ENOUGH_FAILURES = 2
"""So many failures in a row end the tries: what is dead need not be waited for five times."""


class Tried(Protocol):
    """One try of a step; ``error`` is a sentence, or None if the step was done."""

    @property
    def error(self) -> str | None: ...


T = TypeVar("T", bound=Tried)


async def five(step: Callable[[], Awaitable[T]]) -> tuple[T, ...]:
    """Try ``step`` five times, one after the other, or until two in a row have failed."""
    tries: list[T] = []
    while len(tries) < TRIES:
        tries.append(await step())
        if len(tries) >= ENOUGH_FAILURES and all(tried.error for tried in tries[-ENOUGH_FAILURES:]):
            break
    return tuple(tries)


class Spread(Struct, frozen=True):
    """Median and worst of the tries that came through."""

    median_ms: float
    worst_ms: float
    count: int


def spread(durations_ms: Iterable[float | None]) -> Spread | None:
    """The spread of what was measured; None stands for a try that did not get that far."""
    known = [duration_ms for duration_ms in durations_ms if duration_ms is not None]
    if not known:
        return None
    return Spread(round(statistics.median(known), 1), round(max(known), 1), len(known))
