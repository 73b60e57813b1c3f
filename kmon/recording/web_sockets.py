"""Messages of a recorded WebSocket: events of a dialect that also has a streamed answer, or frames of a gateway."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from kmon.dialects.json_access import parsed
from kmon.recording.event_bodies import TimedEvent
from kmon.recording.event_bodies import interactions_of as streams_of
from kmon.recording.exchange import without_body
from kmon.recording.interaction import Interaction, Request
from kmon.recording.sniff import is_gateway


class SocketMessage(Struct, frozen=True):
    """One text message, and when it came or went (ms after some moment)."""

    data: str
    received: bool
    ms: float | None = None


Dialogue = list[SocketMessage]


def interactions_of(request: Request, dialogue: Dialogue, *, first_index: int) -> list[Interaction]:
    """The streams in the received messages, else one interaction that says that no dialect speaks so."""
    events = [
        TimedEvent(value, ms=message.ms)
        for message in dialogue
        if message.received and (value := _members(message)) is not None
    ]
    asked = Request(request.method, request.url, request.headers, b'{"stream":true}')
    found = streams_of(events, request=asked, first_index=first_index)
    if found:
        return found
    why = f"it is a WebSocket with {len(dialogue)} messages, in no dialect that kmon decodes"
    return [without_body(first_index, asked, None, {}, why)]


def gateway_rows(dialogue: Dialogue) -> list[dict[str, Any]]:
    """The messages as lines of a gateway's recording; none if they are no frames of one."""
    stamps = [message.ms for message in dialogue if message.ms is not None]
    began_ms = stamps[0] if stamps else 0.0
    rows = [
        {
            "rel": ((message.ms or began_ms) - began_ms) / 1e3,
            "dir": "in" if message.received else "out",
            "frame": value,
        }
        for message in dialogue
        if (value := _members(message)) is not None
    ]
    return rows if is_gateway(rows) else []


def _members(message: SocketMessage) -> dict[str, Any] | None:
    try:
        value = parsed(message.data.encode("utf-8", "replace"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
