"""AWS event-stream frames with one JSON event each to deltas, for Bedrock's dialects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded, frame_text
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.eventstream import BadFrame, EventStreamDecoder, Frame
from kmon.dialects.fault import corrupt, malformed
from kmon.dialects.json_access import members, parsed, text

STATUS = {
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "modelTimeoutException": 408,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
"""HTTP status by type of exception frame, from the service's model."""

InterpretFrame = Callable[[str, dict[str, Any]], Delta]
"""Event type and payload to a delta (without ``raw``)."""


class JSONFramesDecoder:
    """Event-stream bytes to deltas. ``interpret`` reads ordinary events; exceptions and bad frames are errors."""

    def __init__(self, interpret: InterpretFrame) -> None:
        self._frames = EventStreamDecoder()
        self._interpret = interpret

    def feed(self, data: bytes) -> list[Delta]:
        return [self._delta(frame) for frame in self._frames.feed(data)]

    def end(self) -> list[Delta]:
        return [self._delta(frame) for frame in self._frames.end()]

    def _delta(self, frame: Frame | BadFrame) -> Delta:
        if isinstance(frame, BadFrame):
            return _unreadable(frame)
        kind = frame.headers.get(":message-type", "event")
        name = frame.headers.get(":event-type") or frame.headers.get(":exception-type", "")
        raw = bounded(f"{name} {frame_text(frame.payload)}", FRAME_LIMIT_CHARS)
        if kind == "error":
            return Delta(error=_unmodelled(frame.headers, raw), raw=raw)
        try:
            payload = parsed(frame.payload) if frame.payload else {}
        except ValueError:
            payload = None
        if kind == "exception":
            return Delta(error=_exception(name, payload, raw), raw=raw)
        if not isinstance(payload, dict):
            return Delta(error=malformed("a frame whose payload is no JSON object", raw), raw=raw)
        return msgspec.structs.replace(self._interpret(name, payload), raw=raw)


def _unreadable(frame: BadFrame) -> Delta:
    """The error for bytes that are no frame: text instead of frames, a wrong checksum, or a malformed frame."""
    raw = frame_text(frame.start)
    if frame.start[:1] in (b"{", b"[", b"<"):
        return Delta(error=StreamError("not-a-stream", f"answered text instead of frames: {raw}", frame=raw), raw=raw)
    return Delta(error=corrupt(frame.why, raw) if frame.checksum else malformed(frame.why, raw), raw=raw)


def _exception(name: str, payload: object, raw: str) -> StreamError:
    description = members(payload)
    message = text(description.get("message")) or text(description.get("originalMessage")) or name or "exception frame"
    message = bounded(message, QUOTED_LIMIT_CHARS)
    return StreamError("in-stream", message, STATUS.get(name), bounded(name, QUOTED_LIMIT_CHARS) or None, raw)


def _unmodelled(headers: dict[str, str], raw: str) -> StreamError:
    code = bounded(headers.get(":error-code", ""), QUOTED_LIMIT_CHARS)
    message = bounded(headers.get(":error-message", ""), QUOTED_LIMIT_CHARS)
    return StreamError("in-stream", message or code or "error frame", code=code or None, frame=raw)
