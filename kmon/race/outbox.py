"""Events on their way out: in order, a batch at a time, bounded, never blocking the reader of a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from kmon.probe.events import BytesArrived, DeltaArrived, EngineHealth, Event

LIMIT_EVENTS = 500_000
"""Events that may wait for a front end that does not read. Past it chunks are let go, counted and said."""


class Outbox:
    """A bounded queue of events. Only chunks are ever let go; what frames them always arrives."""

    def __init__(self, limit_events: int = LIMIT_EVENTS) -> None:
        self._limit = limit_events
        self._waiting: list[Event] = []
        self._wake = asyncio.Event()
        self._closed = False
        self.chunks = 0
        self.dropped = 0

    def put(self, event: Event) -> None:
        if isinstance(event, DeltaArrived):
            self.chunks += event.chunk
        if len(self._waiting) >= self._limit and isinstance(event, DeltaArrived | BytesArrived | EngineHealth):
            self.dropped += 1
            return
        self._waiting.append(event)
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def batches(self) -> AsyncIterator[Sequence[Event]]:
        """Everything put since the last batch, until closed and empty."""
        while True:
            if self._waiting:
                batch, self._waiting = self._waiting, []
                yield batch
            elif self._closed:
                return
            else:
                self._wake.clear()
                await self._wake.wait()
