"""Detects the framing (SSE, AWS event stream) and the dialect of a response from its bytes and URL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kmon.dialects.dialect import EVENT_STREAM_TYPE, SSE_TYPE
from kmon.dialects.eventstream import EventStreamDecoder, Frame
from kmon.dialects.json_access import members, parsed
from kmon.dialects.registry import formats, routed
from kmon.dialects.sse import BOM, Event, SSEDecoder
from kmon.model import DEFAULT_DIALECT

SNIFF_BYTES = 64 * 1024

_SSE_LINE = re.compile(rb"(?:data|event|id|retry)(?::|\r|\n|$)|:")
UNREADABLE = {"gemini": ":streamGenerateContent"}
"""Dialects that kmon recognises but cannot decode, each with the end of its URL path."""


def is_event_stream(body: bytes) -> bool:
    """Whether ``body`` starts like AWS event-stream frames, intact or damaged."""
    return body[:1] == b"\0" and any(name in body[:512] for name in (b":event-type", b":message-type"))


def is_sse(body: bytes) -> bool:
    """Whether the first line of ``body`` is a line of server-sent events."""
    return _SSE_LINE.match(body[:SNIFF_BYTES].removeprefix(BOM).lstrip(b"\r\n")) is not None


def is_stream(content_type: str, body: bytes) -> bool:
    """Whether a response is a stream with a known framing. The body has precedence over its content type."""
    if is_event_stream(body):
        return True
    if content_type in ("application/json", "text/html") and body.lstrip()[:1] in (b"{", b"[", b"<"):
        return False
    return is_sse(body) or content_type in (SSE_TYPE, EVENT_STREAM_TYPE)


def dialect_of(url: str, body: bytes) -> str:
    """The dialect of a response: by its body, else by its URL, else the default one."""
    found_in_body = _framed(body) if is_event_stream(body) else _sse(body) if is_sse(body) else None
    if found_in_body is not None:
        return found_in_body
    path = url.partition("?")[0].partition("#")[0].rstrip("/")
    path = "/" + path.partition("://")[2].partition("/")[2] if "://" in path else path
    if (found := routed(path)) is not None:
        return found[0].name
    return next((name for name, ending in UNREADABLE.items() if path.endswith(ending)), DEFAULT_DIALECT)


def _framed(body: bytes) -> str | None:
    for frame in EventStreamDecoder().feed(body[:SNIFF_BYTES]):
        if isinstance(frame, Frame) and (name := frame.headers.get(":event-type")):
            return _recognised(EVENT_STREAM_TYPE, name, {})
    return None


def _sse(body: bytes) -> str | None:
    decoder = SSEDecoder()
    for item in decoder.feed(body[:SNIFF_BYTES]) + (decoder.end() if len(body) <= SNIFF_BYTES else []):
        if isinstance(item, Event) and (dialect := _spoken(item)) is not None:
            return dialect
    return None


def _spoken(event: Event) -> str | None:
    try:
        value = members(parsed(event.data))
    except ValueError:
        return None
    if (name := _recognised(SSE_TYPE, event.name, value)) is not None:
        return name
    return "gemini" if "candidates" in value else None


def is_gateway(lines: Sequence[dict[str, Any]]) -> bool:
    """Whether these lines are frames of a gateway, each with its direction."""
    return (
        bool(lines)
        and all("dir" in line and "frame" in line for line in lines)
        and any(members(line["frame"]).get("type") in ("req", "res", "event") for line in lines[:10])
    )


def why_no_stream(lines: Sequence[dict[str, Any]]) -> str | None:
    """Why recordings of WebSockets and screens are no HTTP streams, as a sentence; None for anything else."""
    if is_gateway(lines):
        return "it holds a gateway's frames, which 'kmon decode' reads and a replay cannot ask again"
    if lines and all("rel" in line and ("lines" in line or "typed" in line) for line in lines):
        return "it holds what a chat program's screen showed, and none of the frames it got"
    if lines and all("dir" in line and "frame" in line for line in lines):
        return "it holds the WebSocket dialogue of a program kmon reads no runs from"
    return None


def _recognised(content_type: str, event: str, value: Mapping[str, Any]) -> str | None:
    spoken = (entry for entry in formats() if entry.content_type == content_type)
    return next((entry.name for entry in spoken if entry.recognises(event, value)), None)
