"""A bounded queue of events to the front end that never blocks the reader of a socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from kmon.stream.events import BytesArrived, DeltaArrived, EngineHealth, Event

_log = logging.getLogger(__name__)
LIMIT_EVENTS = 200_000
LIMIT_CHARS = 64_000_000
"""Limits of the events that wait for a front end that does not read; beyond either, events of chunks are dropped."""


class EventQueue:
    """A bounded queue of events. Only events of chunks are dropped and counted; all others arrive, in order."""

    def __init__(self, limit_events: int = LIMIT_EVENTS, limit_chars: int = LIMIT_CHARS) -> None:
        self._limit_events, self._limit_chars = limit_events, limit_chars
        self._waiting_chars = 0
        self._waiting: list[Event] = []
        self._wake = asyncio.Event()
        self._closed = False
        self.chunks = 0
        self.dropped = 0

    def put(self, event: Event) -> None:
        if isinstance(event, DeltaArrived):
            self.chunks += event.chunk
            self._waiting_chars += len(event.text) + len(event.reasoning) + len(event.raw)
        full = len(self._waiting) >= self._limit_events or self._waiting_chars >= self._limit_chars
        if full and isinstance(event, DeltaArrived | BytesArrived | EngineHealth):
            if not self.dropped:
                _log.warning("the front end does not keep up: events of chunks are let go")
            self.dropped += 1
            return
        self._waiting.append(event)
        self._wake.set()

    def counts(self) -> tuple[int, int]:
        """The numbers of chunks put and of events dropped so far."""
        return self.chunks, self.dropped

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def batches(self) -> AsyncIterator[Sequence[Event]]:
        """Yield all events put since the last batch, until the queue is closed and empty."""
        while True:
            if self._waiting:
                batch, self._waiting, self._waiting_chars = self._waiting, [], 0
                yield batch
            elif self._closed:
                return
            else:
                self._wake.clear()
                await self._wake.wait()
