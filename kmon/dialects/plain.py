"""A stream in a dialect that kmon does not know: nothing in it is progress, a finish or an error.

Server-sent events and comments are told apart, since their framing is the same in every dialect: an event is a chunk,
a comment is a keep-alive. Of any other stream only the bytes are known.
"""

from __future__ import annotations

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta
from kmon.dialects.sse import Comment, Event, Item, SSEDecoder
from kmon.dialects.wire import EVENT_STREAM_TYPE, SSE_TYPE

STREAMED = frozenset(
    {
        SSE_TYPE,
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
        "application/json-seq",
        "application/stream+json",
        EVENT_STREAM_TYPE,
        "application/grpc",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/connect+json",
        "application/connect+proto",
        "multipart/x-mixed-replace",
    }
)
"""Content types of answers that come piece by piece; any other may be one whole."""


class PlainDecoder:
    """Server-sent events to deltas that carry nothing but a description (``Delta.raw``): event name and size.

    What an event holds is not shown: a key that is sent in pieces could not be found in it without reading it.
    """

    def __init__(self) -> None:
        self._sse = SSEDecoder()

    def feed(self, data: bytes) -> list[Delta]:
        return [delta for item in self._sse.feed(data) if (delta := _delta(item)) is not None]

    def end(self) -> list[Delta]:
        """Nothing: whether a body that ends inside an event was cut is its transport's to say."""
        return []


def _delta(item: Item) -> Delta | None:
    if isinstance(item, Event):
        return Delta(raw=f"{bounded(item.name or 'message', NAME_LIMIT_CHARS)}, {len(item.data)} bytes")
    if isinstance(item, Comment):
        return Delta(keepalive=True, chunk=False, raw=f"comment, {len(item.line)} bytes")
    return None
