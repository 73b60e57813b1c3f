"""Events without their framing become the body that a provider sends.

Programs write down what an SDK hands them: a list or lines of JSON objects, of which the wire format is gone. The same
events in the framing of their dialect are read by its decoder and can be replayed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from kmon.dialects.eventstream_writer import event as aws_event
from kmon.dialects.eventstream_writer import exception as aws_exception
from kmon.dialects.framing import AWS_EVENT_STREAM, JSON_ARRAY, JSON_LINES, SERVER_SENT_EVENTS, SNIFF_BYTES, Framing
from kmon.dialects.json_access import items, members, text
from kmon.dialects.registry import formats, wire_format
from kmon.recording.arrivals import marked, within
from kmon.recording.exchange import UNKNOWN_REQUEST, interaction, json_bytes
from kmon.recording.google_names import on_the_wire
from kmon.recording.interaction import Interaction, Request
from kmon.recording.several import streams
from kmon.recording.sniff import recognised

SENTINEL = "[DONE]"
SAMPLE_EVENTS = 100
"""So many events are written at first to recognise a dialect."""


class TimedEvent(Struct, frozen=True):
    """One event: its members, its name where one was written down, and when it arrived (ms after some moment).

    ``value`` is None for the sentinel that ends a stream.
    """

    value: dict[str, Any] | None
    name: str = ""
    ms: float | None = None


def interactions_of(
    events: Sequence[TimedEvent], *, request: Request = UNKNOWN_REQUEST, first_index: int = 0
) -> list[Interaction]:
    """The streams that these events are; none if no dialect recognises them."""
    events = [
        event if event.value is None else structs.replace(event, value=on_the_wire(event.value)) for event in events
    ]
    for framing, pieces_of in _WRITERS:
        name = _recognised(framing, pieces_of, events)
        body, marks = (b"", []) if name is None else marked(pieces_of(events))
        if name is None or not body or (framing is AWS_EVENT_STREAM and not says_something(name, body)):
            continue
        if all(_is_whole(event.value) for event in events):
            return []
        headers = {"content-type": framing.media_types[0]}
        found = [
            interaction(first_index + place, request, 200, headers, body[start:end], None, within(marks, start, end))
            for place, (start, end) in enumerate(streams(body))
        ]
        ends_kept = any(event.value is None for event in events)
        return [structs.replace(one, ends_kept=ends_kept) for one in found]
    return []


def only_events(events: list[TimedEvent]) -> list[TimedEvent]:
    """The events that a dialect recognises, and errors, where other objects stand between them; all if none is."""
    known = [_is_known(event) for event in events]
    if not any(known):
        return events
    return [
        event
        for event, is_known in zip(events, known, strict=True)
        if (is_known and not _is_whole(event.value)) or event.value is None or members(event.value).get("error")
    ]


def _is_known(event: TimedEvent) -> bool:
    value = event.value
    return value is not None and any(
        spoken.recognises(event.name or text(value.get("type")), value)
        for spoken in formats()
        if AWS_EVENT_STREAM not in spoken.framings
    )


Pieces = list[tuple[bytes, float | None]]


def _recognised(
    framing: Framing, pieces_of: Callable[[Sequence[TimedEvent]], Pieces], events: Sequence[TimedEvent]
) -> str | None:
    """The dialect of these events in ``framing``. No more of them are written than are looked at."""
    shown = SAMPLE_EVENTS
    while True:
        body = b"".join(piece for piece, _ in pieces_of(events[:shown]))
        if len(body) >= SNIFF_BYTES or shown >= len(events):
            return recognised(framing, body) if body else None
        shown *= 8


def _server_sent(events: Iterable[TimedEvent]) -> Pieces:
    return [(server_sent(event.name, event.value), event.ms) for event in events]


def server_sent(name: str, value: dict[str, Any] | None) -> bytes:
    """One server-sent event, named by ``name`` or else by the member ``type``; the sentinel if ``value`` is None."""
    if value is None:
        return b"data: " + SENTINEL.encode() + b"\n\n"
    named = " ".join((name or text(value.get("type"))).split())
    head = b"event: " + named.encode("utf-8", "replace") + b"\n" if named else b""
    return head + b"data: " + _written(value) + b"\n\n"


def _written(value: object) -> bytes:
    """``value`` as JSON: by the fast encoder, which refuses what only Python's own accepts, such as half a surrogate
    pair."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return json_bytes(value)


def _lines(events: Iterable[TimedEvent]) -> Pieces:
    return [(_written(event.value) + b"\n", event.ms) for event in events if event.value is not None]


def _array(events: Iterable[TimedEvent]) -> Pieces:
    values = [(_written(event.value), event.ms) for event in events if event.value is not None]
    return [((b"," if place else b"[") + value, ms) for place, (value, ms) in enumerate(values)] + [(b"]", None)]


def _aws_frames(events: Iterable[TimedEvent]) -> Pieces:
    """Events as boto3 gives them, ``{name: members}``; none if one is anything else."""
    found: Pieces = []
    for event in events:
        value = event.value or {}
        name, payload = next(iter(value.items()), ("", None))
        if len(value) != 1 or not isinstance(payload, dict) or len(name) > 100:
            return []
        if isinstance(chunk := payload.get("bytes"), str) and chunk[:1] == "{":
            payload = {**payload, "bytes": b64encode(chunk.encode()).decode()}
        write = aws_exception if name.endswith("Exception") else aws_event
        found.append((write(name, _written(payload)), event.ms))
    return found


_WRITERS = (
    (SERVER_SENT_EVENTS, _server_sent),
    (JSON_LINES, _lines),
    (JSON_ARRAY, _array),
    (AWS_EVENT_STREAM, _aws_frames),
)


def says_something(name: str, body: bytes) -> bool:
    """Whether the dialect reads anything of these frames; it recognises a frame of any name."""
    spoken = wire_format(name)
    decoder = None if spoken is None else spoken.decoder()
    pieces = (body[at : at + SNIFF_BYTES] for at in range(0, len(body), SNIFF_BYTES))
    deltas = (delta for piece in pieces if decoder is not None for delta in decoder.feed(piece))
    return any(one.text or one.reasoning or one.tools or one.finish_reason or one.done for one in deltas)


def _is_whole(value: dict[str, Any] | None) -> bool:
    """Whether this is no chunk but a whole answer, each choice of which holds a message."""
    choices = [members(choice) for choice in items((value or {}).get("choices"))]
    return bool(choices) and all("message" in choice and "delta" not in choice for choice in choices)
