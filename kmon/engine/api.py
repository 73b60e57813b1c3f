"""Where a front end gets its events from: one interface over an in-process race, a child process or a recording."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from kmon.stream.events import Event

Action = Literal["cancel", "retry", "nudge", "enough"]

CLOSE_LIMIT_S = 3.0
"""How long a source in another process may take to close; then it is killed. Whoever waits for it waits longer."""


class Command(Struct, frozen=True):
    """Something the user wants done to one run; ``enough`` starts no further round and needs no run."""

    action: Action
    run: str = ""


class EventSource(Protocol):
    """A race being watched.

    ``batches`` yields events in order, a list at a time, and ends when the race is closed for good (after
    ``race_ended`` it stays open for retries until :meth:`close`). ``close`` ends every stream and is idempotent. It
    must not be cut short by a limit of the caller's: it has its own, and what it owns is gone when it returns.
    """

    def batches(self) -> AsyncIterator[Sequence[Event]]: ...

    async def command(self, command: Command) -> None: ...

    async def close(self) -> None: ...


class Host(EventSource, Protocol):
    """An ``EventSource`` that lives on the running event loop: what the engine's process, or a test, hosts."""

    def start(self) -> None:
        """Begin. Returns at once; what happens is told by ``batches``."""
        ...

    async def interrupt(self) -> None:
        """End what is going on; ``race_ended`` then follows by itself."""
        ...
