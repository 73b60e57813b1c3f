"""The interface of a relay's observers. Their calls return at once: the relay does not wait for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from kmon.dialects.delta import StreamError
from kmon.proxy.relay.head import RequestHead, ResponseHead
from kmon.transport.phase import Phase
from kmon.transport.tcp_info import TcpSampler

How = Literal["complete", "client-left", "upstream-ended", "unreachable", "aborted"]
"""How an exchange ended. ``client-left`` and ``upstream-ended``: that side closed first. ``aborted``: by kmon."""
Side = Literal["client", "upstream"]


class End(Struct, frozen=True):
    """How an exchange ended; ``error`` is the network's fault, if any."""

    how: How
    error: StreamError | None = None


class Delivery:
    """Whether the client reads what is passed on to it. One per connection, which updates it."""

    __slots__ = ("offered_ns",)

    def __init__(self) -> None:
        self.offered_ns: int | None = None
        """CLOCK_MONOTONIC ns at which the piece was written that the client has not read whole; None if it has all."""

    def waiting_ns(self, now_ns: int) -> int:
        """For how long kmon has waited for the client, in ns."""
        return 0 if self.offered_ns is None else now_ns - self.offered_ns


class ExchangeObserver(Protocol):
    """Gets one request and its answer as they pass. Stamps are CLOCK_MONOTONIC ns of the arrival here."""

    def request_body(self, t_ns: int, payload: bytes) -> None: ...

    def phase(self, phase: Phase, t_ns: int, detail: str) -> None: ...

    def upstream_sampler(self, sampler: TcpSampler) -> None: ...

    def delivered_by(self, delivery: Delivery) -> None:
        """Called at the start; ``delivery`` stays up to date."""
        ...

    def answered(self, t_ns: int, head: ResponseHead) -> None: ...

    def answer_body(self, t_ns: int, payload: bytes) -> None: ...

    def tunnelled(self, t_ns: int, side: Side, data: bytes) -> None:
        """Bytes that ``side`` sent after a 101."""
        ...

    def ended(self, t_ns: int, end: End) -> None: ...


Abort = Callable[[], None]
"""Closes the connection on both sides, now."""
Observe = Callable[[int, RequestHead, Abort], ExchangeObserver]
"""Called with the stamp and head of each request; makes its observer."""
