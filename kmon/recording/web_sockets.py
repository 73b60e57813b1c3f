"""Messages of a recorded WebSocket: turns of a dialect, events of another that has a streamed answer, or a gateway's.

The turns of a dialect that a WebSocket carries are told apart as live, and each is one exchange, as over HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, structs

from kmon.dialects.delta import StreamError
from kmon.dialects.json_access import parsed
from kmon.dialects.registry import routed
from kmon.dialects.socket_turns import SocketTurns, Turn
from kmon.recording.arrivals import marked
from kmon.recording.event_bodies import TimedEvent, server_sent
from kmon.recording.event_bodies import interactions_of as streams_of
from kmon.recording.exchange import interaction, json_bytes, without_body
from kmon.recording.interaction import Interaction, Request
from kmon.recording.sniff import is_gateway

SSE = {"content-type": "text/event-stream"}


class SocketMessage(Struct, frozen=True):
    """One text message, and when it came or went (ms after some moment)."""

    data: str
    received: bool
    ms: float | None = None

    @property
    def raw(self) -> bytes:
        return self.data.encode("utf-8", "replace")


Dialogue = list[SocketMessage]


def interactions_of(request: Request, dialogue: Dialogue, *, first_index: int) -> list[Interaction]:
    """The turns, else the streams in the received messages, else one that says that no dialect speaks so."""
    found = _turns_of(request, dialogue, first_index)
    if found:
        return found
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


@dataclass(slots=True)
class _Recorded:
    """The messages of one turn."""

    asked_ms: float | None
    messages: list[SocketMessage] = field(default_factory=list)
    refusal: StreamError | None = None


def _turns_of(request: Request, dialogue: Dialogue, first_index: int) -> list[Interaction]:
    """An interaction for each turn; none where the URL is of no dialect that a WebSocket carries."""
    known = routed(urlsplit(request.url).path)
    turns = None if known is None else known[0].socket()
    if turns is None:
        return []
    recorded = _by_turn(turns, dialogue)
    return [_interaction(first_index + place, request, turn, of) for place, (turn, of) in enumerate(recorded.items())]


def _by_turn(turns: SocketTurns, dialogue: Dialogue) -> dict[Turn, _Recorded]:
    found: dict[Turn, _Recorded] = {}
    for message in dialogue:
        if not message.received:
            if (turn := turns.asked(message.raw)) is not None:
                found[turn] = _Recorded(message.ms)
            continue
        said = turns.said(message.raw)
        for turn in said.turns:
            of = found.setdefault(turn, _Recorded(message.ms))
            of.messages.append(message)
            if said.delta.error is not None and said.delta.error.kind == "http":
                of.refusal = said.delta.error
    return found


def _interaction(index: int, request: Request, turn: Turn, of: _Recorded) -> Interaction:
    """The turn as the HTTP exchange that it stands for: a stream of server-sent events, or a refusal."""
    asked = {**(_parsed(turn.request) or {}), "stream": True}
    sent = Request(request.method, request.url, request.headers, json_bytes(asked))
    last_ms = next((message.ms for message in reversed(of.messages) if message.ms is not None), None)
    duration_ms = None if last_ms is None or of.asked_ms is None or last_ms < of.asked_ms else last_ms - of.asked_ms
    if of.refusal is not None:
        refused = of.messages[-1].raw
        return interaction(index, sent, of.refusal.status, {"content-type": "application/json"}, refused, duration_ms)
    body, marks = marked((_event(message), message.ms) for message in of.messages)
    found = interaction(index, sent, 200, SSE, body, duration_ms, marks)
    return structs.replace(found, streaming=True)


def _event(message: SocketMessage) -> bytes:
    value = _members(message)
    if value is not None:
        return server_sent("", value)
    return b"".join(b"data: " + line.encode("utf-8", "replace") + b"\n" for line in message.data.split("\n")) + b"\n"


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
    return _parsed(message.raw)


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        value = parsed(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
