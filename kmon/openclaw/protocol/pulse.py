"""The life of one connection to a gateway: who it is, its ticks, and frames that are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded
from kmon.dialects.json_access import count, members, text
from kmon.openclaw.protocol.frames import GatewayEvent

TICK_INTERVAL_MS = 30_000
"""What both releases use; ``policy.tickIntervalMs`` of the hello rules."""


@dataclass(slots=True)
class Pulse:
    """Stamps are CLOCK_MONOTONIC ns or None."""

    protocol: int = 0
    server_version: str = ""
    t_hello_ns: int | None = None
    t_tick_ns: int | None = None
    t_health_ns: int | None = None
    t_heard_ns: int | None = None
    t_shutdown_ns: int | None = None
    tick_interval_ms: int = TICK_INTERVAL_MS
    last_seq: int | None = None
    gaps: int = 0
    missing_frames: int = 0
    ticks: int = 0

    def on_hello(self, t_ns: int, said: dict[str, Any]) -> None:
        """The answer to ``connect``: a new connection, so that sequence numbers begin anew."""
        self.protocol = count(said.get("protocol")) or 0
        self.server_version = bounded(text(members(said.get("server")).get("version")), NAME_LIMIT_CHARS)
        interval = count(members(said.get("policy")).get("tickIntervalMs"))
        self.tick_interval_ms = interval if interval and interval > 0 else TICK_INTERVAL_MS
        self.t_hello_ns = self.t_heard_ns = t_ns
        self.t_tick_ns = self.last_seq = self.t_shutdown_ns = None

    def on_event(self, t_ns: int, frame: GatewayEvent) -> bool:
        """Count an event; True if events before it are missing.

        The first number seen is the base: 2026.2 counts for all connections together.
        """
        self.t_heard_ns = t_ns
        if frame.event == "tick":
            self.t_tick_ns = t_ns
            self.ticks += 1
        elif frame.event == "health":
            self.t_health_ns = t_ns
        elif frame.event == "shutdown":
            self.t_shutdown_ns = t_ns
        if frame.seq is None:
            return False
        missing = 0 if self.last_seq is None else frame.seq - self.last_seq - 1
        self.last_seq = frame.seq if self.last_seq is None else max(self.last_seq, frame.seq)
        if missing <= 0:
            return False
        self.gaps += 1
        self.missing_frames += missing
        return True

    def silent_ns(self, now_ns: int) -> int | None:
        """Time since the last frame of any kind."""
        return None if self.t_heard_ns is None else max(0, now_ns - self.t_heard_ns)

    def ticking(self, now_ns: int) -> bool | None:
        """False when nothing came for more than two tick intervals; None before the first hello."""
        silent_ns = self.silent_ns(now_ns)
        return None if silent_ns is None else silent_ns <= 2 * self.tick_interval_ms * 1_000_000
