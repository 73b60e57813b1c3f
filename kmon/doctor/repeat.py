"""Runs one step of a measurement five times, and summarizes the durations."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from msgspec import Struct

TRIES = 5
ENOUGH_FAILURES = 2
"""Consecutive failures that end the tries: each may take the full time limit."""


class Tried(Protocol):
    """One try of a step; ``error`` is a sentence, or None if the step succeeded."""

    @property
    def error(self) -> str | None: ...


T = TypeVar("T", bound=Tried)


async def try_five_times(step: Callable[[], Awaitable[T]]) -> tuple[T, ...]:
    """Run ``step`` five times in sequence, or until two consecutive tries have failed."""
    tries: list[T] = []
    while len(tries) < TRIES:
        tries.append(await step())
        if len(tries) >= ENOUGH_FAILURES and all(tried.error for tried in tries[-ENOUGH_FAILURES:]):
            break
    return tuple(tries)


class Spread(Struct, frozen=True):
    """Median and maximum of ``count`` durations."""

    median_ms: float
    worst_ms: float
    count: int


def spread(durations_ms: Iterable[float | None]) -> Spread | None:
    """The spread of the durations; a None is a try without this step. Returns None if nothing was measured."""
    known = [duration_ms for duration_ms in durations_ms if duration_ms is not None]
    if not known:
        return None
    return Spread(round(statistics.median(known), 1), round(max(known), 1), len(known))
