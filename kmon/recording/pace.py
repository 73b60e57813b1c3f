"""The longest silence of a recorded answer, from the arrival times of its events. Only output ends a silence."""

from __future__ import annotations

from msgspec import Struct

from kmon.dialects.delta import Delta, output


class Gap(Struct, frozen=True):
    """A time without output between two pieces of output. ``at_ms`` is its beginning, from the first event on."""

    ms: float
    at_ms: float
    after_chunks: int
    """How many chunks with data came before it."""


class Pace:
    """Takes the deltas of an answer with their times (ms from the first event on)."""

    def __init__(self) -> None:
        self.longest: Gap | None = None
        self._chunks = 0
        self._last_ms: float | None = None
        self._last_chunks = 0

    def add(self, delta: Delta, ms: float) -> None:
        self._chunks += delta.chunk
        if not any(output(delta.text, delta.reasoning, delta.tools)):
            return
        if self._last_ms is not None:
            gap = Gap(ms - self._last_ms, self._last_ms, self._last_chunks)
            if self.longest is None or gap.ms > self.longest.ms:
                self.longest = gap
        self._last_ms, self._last_chunks = ms, self._chunks
