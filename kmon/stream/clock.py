"""The clock of one kind of arrival, and the clock of work that a server does without output. Pure, as the timeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from kmon.dialects.delta import HiddenWork

SPANS_LIMIT = 1_000
"""Spans of hidden work that are kept per attempt."""
KEEPALIVES_NEEDED = 2
"""From so many keep-alives on, more are expected: one may have come by chance."""


@dataclass(slots=True)
class Clock:
    """One clock: when it last ticked, how often, and its longest closed gap."""

    last_ns: int | None = None
    first_ns: int | None = None
    ticks: int = 0
    max_gap_ns: int = 0
    from_ns: int = 0
    """No gap counts from before this stamp: when hidden work ended."""

    def tick(self, t_ns: int) -> int:
        """Count an arrival; return the gap it closed in ns (0 for the first)."""
        gap_ns = self.open_ns(t_ns) or 0
        self.max_gap_ns = max(self.max_gap_ns, gap_ns)
        if self.first_ns is None:
            self.first_ns = t_ns
        self.last_ns = t_ns
        self.ticks += 1
        return gap_ns

    def open_ns(self, now_ns: int) -> int | None:
        """The gap that has not ended, or None before the first arrival."""
        return None if self.last_ns is None else max(0, now_ns - max(self.last_ns, self.from_ns))


@dataclass(slots=True)
class HiddenClock:
    """What the server works on without output, and whether it should have given a sign of life.

    It owes no output meanwhile, so a silence of any length is no stall: models reason for minutes without a byte. But
    a server that sends keep-alives must go on with them. Once it has sent some, a silence is a stall when the next is
    later than the longest interval between them by the stall threshold.
    """

    work: HiddenWork = "none"
    since_ns: int = 0
    """Start of the work."""
    alive_ns: int = 0
    """The last chunk or keep-alive of the work."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Start and end of earlier work, in ns."""
    _keepalives: int = 0
    _keepalive_ns: int = 0
    _interval_ns: int = 0

    @property
    def active(self) -> bool:
        return self.work != "none"

    @property
    def interval_ns(self) -> int | None:
        """The longest interval between keep-alives; None while there are too few to expect another."""
        return self._interval_ns if self._keepalives >= KEEPALIVES_NEEDED else None

    def begin(self, t_ns: int, work: HiddenWork) -> None:
        """Work begins, or goes on as another one."""
        if not self.active:
            self.since_ns = self.alive_ns = self._keepalive_ns = t_ns
            self._keepalives = self._interval_ns = 0
        self.work = work

    def end(self, t_ns: int) -> None:
        if len(self.spans) < SPANS_LIMIT:
            self.spans.append((self.since_ns, t_ns))
        self.work = "none"

    def alive(self, t_ns: int, *, keepalive: bool) -> None:
        """A sign of life. Only keep-alives make others expected: a chunk tells the state of the work."""
        self.alive_ns = t_ns
        if keepalive:
            self._keepalives += 1
            self._interval_ns = max(self._interval_ns, t_ns - self._keepalive_ns)
            self._keepalive_ns = t_ns

    def outside(self, start_ns: int, stop_ns: int) -> Iterator[tuple[int, int]]:
        """The parts of an interval without hidden work, in order."""
        spans: list[tuple[int, float]] = [*self.spans]
        if self.active:
            spans.append((self.since_ns, inf))
        for since_ns, until_ns in spans:
            if since_ns < stop_ns and until_ns > start_ns:
                if since_ns > start_ns:
                    yield start_ns, since_ns
                if until_ns >= stop_ns:
                    return
                start_ns = int(until_ns)
        yield start_ns, stop_ns
