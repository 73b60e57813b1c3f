"""What a dialect owes the rest of the house: a request to send and a decoder for the answer. Both do no I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from kmon.catalog.model import Message, Scenario, Target
from kmon.dialects.delta import Delta


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


class Dialect(Struct, frozen=True):
    """One wire format. ``request`` takes the conversation apart from the scenario, so that a nudge can extend it."""

    name: str
    request: Callable[[Target, Scenario, Sequence[Message]], WireRequest]
    decoder: Callable[[], Decoder]
    content_type: str
    """Of a streamed answer. An event stream is told by its frames, since its readers never check this."""
    final: bool = False
    """Whether nothing of interest can follow the terminal event, so that nobody waits for the peer to close."""
