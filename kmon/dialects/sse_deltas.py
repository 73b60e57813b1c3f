"""Server-sent events to deltas: of the dialects whose data is JSON, and of a dialect that kmon does not know.

In the known dialects a comment is a keep-alive; ``[DONE]`` is the terminal event wherever it comes; a frame that cannot
be read is an error with its text kept, and decoding continues. In an unknown dialect an event is a chunk and a comment
is a keep-alive; nothing is progress, a finish or an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded, frame_text
from kmon.dialects.delta import Delta
from kmon.dialects.fault import fault, malformed
from kmon.dialects.framing import EVENT_STREAM_TYPE, SSE_TYPE
from kmon.dialects.json_access import parsed
from kmon.dialects.sse import EVENT_LIMIT_BYTES, Comment, Event, Item, Overflow, SSEDecoder, Stray

DONE = b"[DONE]"
BARE_LIMIT_LINES = 500
"""Most lines of a bare JSON error; pretty-printed ones have ten to fifty."""

Interpret = Callable[[dict[str, Any], str, str], Delta]
"""A data object, its text as evidence (``Delta.raw``) and the SSE event name to a delta."""
STREAMED = frozenset({
    SSE_TYPE, EVENT_STREAM_TYPE, "application/x-ndjson", "application/ndjson", "application/jsonl",
    "application/x-jsonlines", "application/jsonlines", "application/json-seq", "application/stream+json",
    "application/grpc", "application/grpc-web", "application/grpc-web+proto", "application/connect+json",
    "application/connect+proto", "multipart/x-mixed-replace",
})  # fmt: skip
"""Content types of streamed answers; with any other the answer may be whole."""


class JSONEventsDecoder:
    """SSE bytes to deltas, with ``interpret`` for every data object."""

    def __init__(self, interpret: Interpret) -> None:
        self._sse = SSEDecoder()
        self._interpret = interpret
        self._bare: list[bytes] = []
        """The lines so far of a JSON value that stands between the events."""

    def feed(self, data: bytes) -> list[Delta]:
        return [delta for item in self._sse.feed(data) if (delta := self._delta(item)) is not None]

    def end(self) -> list[Delta]:
        return [delta for item in self._sse.end() if (delta := self._delta(item)) is not None]

    def _delta(self, item: Item) -> Delta | None:
        if not isinstance(item, Stray):
            self._bare = []
        if isinstance(item, Event):
            return self._event(item)
        if isinstance(item, Comment):
            return Delta(keepalive=True, chunk=False, raw=frame_text(item.line))
        if isinstance(item, Overflow):
            raw = frame_text(item.start)
            return Delta(error=malformed(f"an event over {EVENT_LIMIT_BYTES // 2**20} MiB was skipped", raw), raw=raw)
        return self._stray(item.line, complete=item.complete)

    def _event(self, event: Event) -> Delta:
        data = event.data
        if data.startswith(DONE):
            return Delta(done=True, chunk=False, raw=frame_text(data))
        raw = frame_text(data)
        try:
            value = parsed(data)
        except ValueError:
            if not data.strip():
                return Delta(keepalive=True, chunk=False, raw=raw)
            if event.name == "error":
                return Delta(error=fault(raw, frame=raw), raw=raw)
            why = "invalid JSON" if event.complete else "the body ended inside a frame"
            return Delta(error=malformed(why, raw), raw=raw)
        if not isinstance(value, dict):
            if event.name == "error":
                return Delta(error=fault(value, frame=raw), raw=raw)
            return Delta(error=malformed("a frame that is no JSON object", raw), raw=raw)
        return self._interpret(value, raw, event.name)

    def _stray(self, line: bytes, *, complete: bool) -> Delta | None:
        """Ignore a line that is no SSE field, as the rules say, unless it is cut or the end of a bare JSON error.

        Such an error may take several lines, and may be the element of an array.
        """
        if self._bare or line.lstrip().startswith((b"{", b"[")):
            self._bare.append(line)
        raw = frame_text(b"\n".join(self._bare) or line)
        try:
            value = parsed(b"\n".join(self._bare)) if line.rstrip().endswith((b"}", b"]")) else None
        except ValueError:
            value = None
        if value is not None or len(self._bare) > BARE_LIMIT_LINES:
            self._bare = []
        value = value[0] if isinstance(value, list) and value else value
        error = self._interpret(value, raw, "").error if isinstance(value, dict) else None
        if error is None and not complete:
            error = malformed("the body ended inside a frame", raw)
        return None if error is None else Delta(error=error, raw=raw)


class PlainDecoder:
    """Server-sent events to deltas that hold only a description (``Delta.raw``): event name and size.

    The content is not shown, because keys in an unknown format cannot be found and removed.
    """

    def __init__(self) -> None:
        self._sse = SSEDecoder()

    def feed(self, data: bytes) -> list[Delta]:
        return [delta for item in self._sse.feed(data) if (delta := _delta(item)) is not None]

    def end(self) -> list[Delta]:
        """No delta: the transport reports a body that was cut."""
        return []


def _delta(item: Item) -> Delta | None:
    if isinstance(item, Event):
        return Delta(raw=f"{bounded(item.name or 'message', NAME_LIMIT_CHARS)}, {len(item.data)} bytes")
    if isinstance(item, Comment):
        return Delta(keepalive=True, chunk=False, raw=f"comment, {len(item.line)} bytes")
    return None
