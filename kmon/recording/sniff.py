"""Detects the framing and the dialect of a response from its bytes and URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kmon.dialects.framing import Framing
from kmon.dialects.json_access import members
from kmon.dialects.registry import formats, routed
from kmon.dialects.unread_dialects import unread_name
from kmon.model import DEFAULT_DIALECT

WHOLE_TYPES = ("application/json", "text/html")
"""Media types of answers that are no streams, unless their body is one."""


def framing_of(body: bytes) -> Framing | None:
    """The framing of a streamed ``body``; None if it is no stream.

    A body that only may have a framing (JSON lines, a JSON array) has it if a dialect recognises one of its events.
    """
    return next((framing for framing in _begun(body) if framing.certain or _recognised(framing, body)), None)


def is_stream(content_type: str, body: bytes) -> bool:
    """Whether a response is a stream with a known framing. The body has precedence over its content type."""
    framing = framing_of(body)
    if framing is not None or content_type in WHOLE_TYPES:
        return framing is not None
    return any(content_type in known.media_types for known in _framings())


def recognised(framing: Framing, body: bytes) -> str | None:
    """The dialect of a body in this framing, by its first event that one recognises; None if none does."""
    return _recognised(framing, body) if framing.begins(body) else None


def dialect_of(url: str, body: bytes) -> str:
    """The dialect of a response: by its body, else by its URL, else the default one."""
    for framing in _begun(body):
        if (name := _recognised(framing, body)) is not None:
            return name
    path = url.partition("?")[0].partition("#")[0].rstrip("/")
    path = "/" + path.partition("://")[2].partition("/")[2] if "://" in path else path
    found = routed(path)
    return DEFAULT_DIALECT if found is None else found[0].name


def _framings() -> tuple[Framing, ...]:
    """The framings of all formats, those that the first bytes show first."""
    found = dict.fromkeys(framing for entry in formats() for framing in entry.framings)
    return (*(framing for framing in found if framing.certain), *(framing for framing in found if not framing.certain))


def _begun(body: bytes) -> Iterator[Framing]:
    return (framing for framing in _framings() if framing.begins(body))


def _recognised(framing: Framing, body: bytes) -> str | None:
    """The dialect of the first event that is recognised."""
    spoken = [entry for entry in formats() if framing in entry.framings]
    for name, value in framing.events(body):
        for entry in spoken:
            if entry.recognises(name, value):
                return entry.name
        if framing.certain and (unread := unread_name(value)) is not None:
            return unread
    return None


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
