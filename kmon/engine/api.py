"""The interface between a front end and its source of events: an in-process race, a child process or a recording."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from kmon.engine.plan import Row
from kmon.stream.events import Event

Action = Literal["cancel", "retry", "nudge", "enough", "round"]

CLOSE_LIMIT_S = 3.0
"""Longest time in s that a source in another process may take to close before it is killed; callers wait longer."""


class Command(Struct, frozen=True):
    """A command of the user for one run, or of the front end for the race: ``enough`` stops further rounds, ``round``
    begins one of ``rows`` in a race that is fed (:class:`~kmon.engine.plan.RacePlan`). Neither has a ``run``."""

    action: Action
    run: str = ""
    rows: tuple[Row, ...] = ()


class EventSource(Protocol):
    """A source of the events of a race.

    ``batches`` yields lists of events in order and ends after :meth:`close`; after ``race_ended`` it stays open for
    retries. ``close`` ends every stream and is idempotent. Callers set no timeout for it, because it has its own; it
    returns when all resources are released.
    """

    def batches(self) -> AsyncIterator[Sequence[Event]]: ...

    async def command(self, command: Command) -> None: ...

    async def close(self) -> None: ...


class Host(EventSource, Protocol):
    """An ``EventSource`` on the running event loop of the engine process or of a test."""

    def start(self) -> None:
        """Begin and return at once; the events come from ``batches``."""
        ...

    async def interrupt(self) -> None:
        """Cancel all runs; ``race_ended`` follows."""
        ...
