"""AWS event-stream frames with one JSON event each to deltas, for Bedrock's dialects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded, frame_text
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.error_words import words
from kmon.dialects.eventstream import TEXT, BadFrame, EventStreamDecoder, Frame
from kmon.dialects.fault import corrupt, fault_of_text, malformed
from kmon.dialects.json_access import members, parsed

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
        self._began = False

    def feed(self, data: bytes) -> list[Delta]:
        return [self._delta(frame) for frame in self._frames.feed(data)]

    def end(self) -> list[Delta]:
        return [self._delta(frame) for frame in self._frames.end()]

    def _delta(self, frame: Frame | BadFrame) -> Delta:
        if isinstance(frame, BadFrame):
            return _unreadable(frame, "in-stream" if self._began else "not-a-stream")
        self._began = True
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


def _unreadable(frame: BadFrame, kind: str) -> Delta:
    """The error for bytes that are no frame. ``kind`` is that of text instead of a frame."""
    raw = frame_text(frame.start)
    if frame.why == TEXT:
        error = fault_of_text(frame.start.decode("utf-8", "replace"), kind=kind, frame=raw)
        message = bounded(f"answered text instead of frames: {error.message}", QUOTED_LIMIT_CHARS)
        return Delta(error=msgspec.structs.replace(error, message=message), raw=raw)
    error = corrupt(frame.why, raw) if frame.checksum else malformed(frame.why, raw)
    return Delta(error=error, cut=frame.cut, raw=raw)


def _exception(name: str, payload: object, raw: str) -> StreamError:
    """The service model says ``message``; some of its exceptions write ``Message`` or ``originalMessage``."""
    message = bounded(words(members(payload)) or name or "exception frame", QUOTED_LIMIT_CHARS)
    return StreamError("in-stream", message, STATUS.get(name), bounded(name, QUOTED_LIMIT_CHARS) or None, raw)


def _unmodelled(headers: dict[str, str], raw: str) -> StreamError:
    code = bounded(headers.get(":error-code", ""), QUOTED_LIMIT_CHARS)
    message = bounded(headers.get(":error-message", ""), QUOTED_LIMIT_CHARS)
    return StreamError("in-stream", message or code or "error frame", code=code or None, frame=raw)
