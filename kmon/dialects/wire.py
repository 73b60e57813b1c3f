"""What goes over the wire for a dialect: a request to send, and a decoder of the answer. Both do no I/O."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from kmon.dialects.delta import Delta

SSE_TYPE = "text/event-stream"
EVENT_STREAM_TYPE = "application/vnd.amazon.eventstream"
SSE_HEADERS = {
    "Accept": SSE_TYPE,
    "Accept-Encoding": "identity",  # compressed streams are buffered and hide the gaps
    "Content-Type": "application/json",
}
"""The headers of a request for server-sent events."""


class WireRequest(Struct, frozen=True):
    """An HTTP request without its credentials. ``path`` is appended to the target's base URL."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


class Decoder(Protocol):
    """Bytes in, deltas out; any split of the bytes gives the same deltas.

    ``end`` is called once at the end of the body and returns what was still pending (an unterminated tail becomes
    a delta or an error with its frame kept). Neither ever raises on bad input.
    """

    def feed(self, data: bytes) -> list[Delta]: ...

    def end(self) -> list[Delta]: ...
