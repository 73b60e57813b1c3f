"""How the events of a streamed body are told apart: server-sent events, AWS frames, JSON lines, a JSON array.

A :class:`Framing` answers what a whole recorded body says: does it begin like this framing, which events are in it, and
where do they end. Live bytes are read by the decoder of the dialect. No part of this does I/O, and none raises on any
bytes.
"""

from __future__ import annotations

import re
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from kmon.dialects.eventstream import PRELUDE_BYTES, EventStreamDecoder, Frame
from kmon.dialects.json_access import parsed
from kmon.dialects.json_pieces import ArrayDecoder, LinesDecoder, Piece
from kmon.dialects.sse import BOM, Event, SSEDecoder

SSE_TYPE = "text/event-stream"
EVENT_STREAM_TYPE = "application/vnd.amazon.eventstream"
SNIFF_BYTES = 64 * 1024
"""How much of a body is looked at to find its framing and its dialect."""

_SSE_LINE = re.compile(rb"(?:data|event|id|retry)(?::|\r|\n|$)|:")
_SSE_EVENT_END = re.compile(rb"(?>\r\n|\r|\n){2,}")
_LINE_END = re.compile(rb"[\r\n]+")
_AWS_PRELUDE = struct.Struct(">III")
_AWS_FRAME_MIN_BYTES = PRELUDE_BYTES + 4

Named = tuple[str, dict[str, Any]]
"""The name of an event ("" if the framing has none) and its members (empty if its data is no JSON object)."""


class Framing(ABC):
    """One way to send a stream of events as a body. Has no state."""

    media_types: tuple[str, ...]
    """The media types of such a body; the first is what an answer of kmon's simulator says."""
    certain = True
    """Whether the first bytes show it. If not, a body has this framing where a dialect recognises an event of it."""

    @abstractmethod
    def begins(self, body: bytes) -> bool:
        """Whether ``body`` begins like this framing."""

    @abstractmethod
    def events(self, body: bytes) -> Iterator[Named]:
        """The readable events among the first :data:`SNIFF_BYTES` of ``body``."""

    @abstractmethod
    def split(self, body: bytes) -> Iterator[bytes]:
        """``body`` in pieces that end where its events end; joined they are ``body``."""


class ServerSentEvents(Framing):
    """``data:`` lines and blank lines, by the WHATWG rules."""

    media_types = (SSE_TYPE,)

    def begins(self, body: bytes) -> bool:
        return _SSE_LINE.match(body[:SNIFF_BYTES].removeprefix(BOM).lstrip(b"\r\n")) is not None

    def events(self, body: bytes) -> Iterator[Named]:
        decoder = SSEDecoder()
        for item in decoder.feed(body[:SNIFF_BYTES]) + (decoder.end() if len(body) <= SNIFF_BYTES else []):
            if isinstance(item, Event):
                yield item.name, _members(item.data)

    def split(self, body: bytes) -> Iterator[bytes]:
        return _split_after(_SSE_EVENT_END, body)


class AWSEventStream(Framing):
    """Binary frames with checksums. The name of an event is its header ``:event-type``."""

    media_types = (EVENT_STREAM_TYPE,)

    def begins(self, body: bytes) -> bool:
        """Also a frame that is damaged."""
        return body[:1] == b"\0" and any(name in body[:512] for name in (b":event-type", b":message-type"))

    def events(self, body: bytes) -> Iterator[Named]:
        for frame in EventStreamDecoder().feed(body[:SNIFF_BYTES]):
            if isinstance(frame, Frame):
                yield frame.headers.get(":event-type", ""), _members(frame.payload)

    def split(self, body: bytes) -> Iterator[bytes]:
        """From where a length can no longer be trusted, or is more than there is, the rest is one piece."""
        at = 0
        while len(body) - at >= PRELUDE_BYTES:
            total, _, crc = _AWS_PRELUDE.unpack_from(body, at)
            if crc != zlib.crc32(body[at : at + 8]) or not _AWS_FRAME_MIN_BYTES <= total <= len(body) - at:
                break
            yield body[at : at + total]
            at += total
        if at < len(body):
            yield body[at:]


class JSONLines(Framing):
    """One JSON object per line (NDJSON)."""

    media_types = ("application/x-ndjson", "application/ndjson", "application/jsonl")
    certain = False

    def begins(self, body: bytes) -> bool:
        return body[:SNIFF_BYTES].removeprefix(BOM).lstrip()[:1] == b"{"

    def events(self, body: bytes) -> Iterator[Named]:
        decoder = LinesDecoder()
        yield from _pieces(decoder.feed(body[:SNIFF_BYTES]) + (decoder.end() if len(body) <= SNIFF_BYTES else []))

    def split(self, body: bytes) -> Iterator[bytes]:
        return _split_after(_LINE_END, body)


class JSONArray(Framing):
    """One JSON array that grows: each element is an event, and the closing bracket is the end."""

    media_types = ("application/json",)
    certain = False

    def begins(self, body: bytes) -> bool:
        return body[:SNIFF_BYTES].removeprefix(BOM).lstrip()[:1] == b"["

    def events(self, body: bytes) -> Iterator[Named]:
        yield from _pieces(ArrayDecoder().feed(body[:SNIFF_BYTES]))

    def split(self, body: bytes) -> Iterator[bytes]:
        decoder, start = ArrayDecoder(), 0
        for piece in decoder.feed(body):
            at = body.find(piece.data, start)
            if at < 0:  # text between elements from which brackets were left out: it goes with the next piece
                continue
            end = at + len(piece.data)
            yield body[start:end]
            start = end
        if start < len(body):
            yield body[start:]


SERVER_SENT_EVENTS, AWS_EVENT_STREAM, JSON_LINES, JSON_ARRAY = (
    ServerSentEvents(),
    AWSEventStream(),
    JSONLines(),
    JSONArray(),
)


def _members(data: bytes) -> dict[str, Any]:
    try:
        value = parsed(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _pieces(found: list[Piece]) -> Iterator[Named]:
    return (("", _members(piece.data)) for piece in found if piece.problem is None)


def _split_after(ending: re.Pattern[bytes], body: bytes) -> Iterator[bytes]:
    start = 0
    for end in ending.finditer(body):
        yield body[start : end.end()]
        start = end.end()
    if start < len(body):
        yield body[start:]
