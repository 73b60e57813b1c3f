"""Whether frames were lost and whether the gateway still ticks. Pure folds over stamps and sequence numbers."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

MS = 1_000_000


class Gap(Struct, frozen=True):
    """Events that never came: dropped for a slow reader, or lost. What they said must be read from the history."""

    expected: int
    received: int

    @property
    def lost(self) -> int:
        return self.received - self.expected


@dataclass(slots=True)
class Sequence:
    """The outer ``seq`` of one connection. It counts per connection (2026.9) or for all (2026.2): the first is the
    base."""

    last: int | None = None

    def see(self, seq: int | None) -> Gap | None:
        """Fold one event's number in; a gap if some are missing. A number that goes back starts anew."""
        if seq is None:
            return None
        before, self.last = self.last, seq
        if before is None or seq <= before + 1:
            return None
        return Gap(before + 1, seq)


@dataclass(slots=True)
class Ticks:
    """The gateway's heart. Any frame is life; silence for twice the interval means that nothing comes any more."""

    interval_ms: float
    last_ns: int

    def see(self, t_ns: int) -> None:
        self.last_ns = max(self.last_ns, t_ns)

    @property
    def deadline_ns(self) -> int:
        return self.last_ns + int(2 * self.interval_ms * MS)

    def dead(self, now_ns: int) -> bool:
        return now_ns >= self.deadline_ns
