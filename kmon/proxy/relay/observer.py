"""What passes through a relay, told to whoever watches. Calls return at once; nothing waits for a watcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from kmon.dialects.delta import StreamError
from kmon.proxy.relay.head import RequestHead, ResponseHead
from kmon.transport.phase import Phase
from kmon.transport.tcp_info import TcpSampler

How = Literal["complete", "client-left", "upstream-ended", "unreachable", "aborted"]
"""How an exchange ended: answered to its end; the client, or the upstream, went first; nobody there; told to stop."""
Side = Literal["client", "upstream"]


class End(Struct, frozen=True):
    """``error`` says what the network did; None where it did nothing wrong."""

    how: How
    error: StreamError | None = None


class Delivery:
    """How the client takes what is passed on to it: one per connection, which keeps it up to date."""

    __slots__ = ("offered_ns",)

    def __init__(self) -> None:
        self.offered_ns: int | None = None
        """Since when the piece is offered that the client has not taken whole, CLOCK_MONOTONIC; None if it has all."""

    def waiting_ns(self, now_ns: int) -> int:
        """For how long the client has kept kmon waiting."""
        return 0 if self.offered_ns is None else now_ns - self.offered_ns


class Watcher(Protocol):
    """One request and its answer as they pass. Stamps are CLOCK_MONOTONIC ns of the arrival here."""

    def request_body(self, t_ns: int, payload: bytes) -> None: ...

    def phase(self, phase: Phase, t_ns: int, detail: str) -> None: ...

    def upstream_line(self, line: TcpSampler) -> None: ...

    def delivered_by(self, delivery: Delivery) -> None:
        """Called at the start: how the client takes the answer can be seen there from now on."""
        ...

    def answered(self, t_ns: int, head: ResponseHead) -> None: ...

    def answer_body(self, t_ns: int, payload: bytes) -> None: ...

    def tunnelled(self, t_ns: int, side: Side, data: bytes) -> None:
        """After a 101: bytes that ``side`` sent."""
        ...

    def ended(self, t_ns: int, end: End) -> None: ...


Abort = Callable[[], None]
"""Closes the connection on both sides, now."""
Watch = Callable[[int, RequestHead, Abort], Watcher]
"""Called with each request's head and its stamp."""
