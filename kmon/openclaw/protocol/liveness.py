"""Whether events were lost and whether the gateway still sends ticks: pure folds over stamps and sequence numbers.

Stamps are CLOCK_MONOTONIC ns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from kmon.dialects.json_access import count, members

MS = 1_000_000
TICK_INTERVAL_MS = 30_000
"""The default of both releases; ``policy.tickIntervalMs`` of the hello overrides it."""


class Gap(Struct, frozen=True):
    """Events that did not arrive: dropped for a slow reader, or lost. Their content must be read from the history."""

    expected: int
    received: int

    @property
    def lost(self) -> int:
        return self.received - self.expected


@dataclass(slots=True)
class Sequence:
    """The outer ``seq`` of one connection.

    It counts per connection (2026.9) or for all connections (2026.2), so the first number seen is the base.
    """

    last: int | None = None

    def see(self, seq: int | None) -> Gap | None:
        """Fold one event's number in; a gap if numbers are missing. A lower number starts a new count."""
        if seq is None:
            return None
        before, self.last = self.last, seq
        if before is None or seq <= before + 1:
            return None
        return Gap(before + 1, seq)


@dataclass(slots=True)
class Ticks:
    """When a connection counts as dead: after two tick intervals without any frame."""

    interval_ms: float
    last_ns: int

    def see(self, t_ns: int) -> None:
        self.last_ns = max(self.last_ns, t_ns)

    @property
    def deadline_ns(self) -> int:
        return self.last_ns + int(2 * self.interval_ms * MS)


@dataclass(slots=True)
class ConnectionState:
    """The state of one connection to a gateway: its protocol, its last frame, an announced shutdown."""

    protocol: int = 0
    """0 before the first hello."""
    tick_interval_ms: int = TICK_INTERVAL_MS
    t_frame_ns: int | None = None
    """The last frame of any kind."""
    t_shutdown_ns: int | None = None

    def on_hello(self, t_ns: int, payload: dict[str, Any]) -> None:
        """Fold the answer to ``connect`` in: a new connection begins."""
        self.protocol = count(payload.get("protocol")) or 0
        interval = count(members(payload.get("policy")).get("tickIntervalMs"))
        self.tick_interval_ms = interval if interval and interval > 0 else TICK_INTERVAL_MS
        self.t_frame_ns, self.t_shutdown_ns = t_ns, None

    def on_event(self, t_ns: int, name: str) -> None:
        """Fold one event in, by its name."""
        self.t_frame_ns = t_ns
        if name == "shutdown":
            self.t_shutdown_ns = t_ns

    def ticking(self, now_ns: int) -> bool | None:
        """False when no frame came for more than two tick intervals; None before the first hello."""
        if self.t_frame_ns is None:
            return None
        return max(0, now_ns - self.t_frame_ns) <= 2 * self.tick_interval_ms * MS
