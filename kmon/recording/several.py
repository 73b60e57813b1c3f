"""Finds where one recorded body holds several streams: a program that asked twice appended both answers to one file."""

from __future__ import annotations

from typing import Any

from kmon.dialects.delta import Delta
from kmon.dialects.dialect import WireFormat
from kmon.dialects.framing import Framing
from kmon.dialects.json_access import text
from kmon.dialects.registry import wire_format
from kmon.recording.sniff import dialect_of, framing_of

EDGE_EVENTS = 5
"""How many events at both ends of a body are looked at first."""
Kind = tuple[str, str]
"""The name of an event and its type."""


def streams(body: bytes) -> list[tuple[int, int]]:
    """The offsets ``(start, end)`` of each stream in ``body``, in order; they cover it.

    A stream begins after one that ended, with an event like the first one of the body. Where events have no type, the
    answer's id tells it from late chunks of the same answer.
    """
    framing = framing_of(body)
    spoken = wire_format(dialect_of("", body))
    if framing is None or spoken is None or framing not in spoken.framings:
        return [(0, len(body))]
    pieces = list(framing.split(body))
    if _is_one(spoken, framing, body, pieces):
        return [(0, len(body))]
    starts, at = [0], 0
    decoder, answer, opening = spoken.decoder(), _Answer(), None
    for piece in pieces:
        deltas = decoder.feed(piece)
        if answer.ended or opening is None:
            kind = _kind(framing, piece)
            if opening is None:
                opening = kind
            elif kind is not None and kind == opening and answer.is_over(deltas, typed=any(kind)):
                starts.append(at)
                decoder, answer = spoken.decoder(), _Answer()
                deltas = decoder.feed(piece)
        answer.add(deltas)
        at += len(piece)
    return list(zip(starts, [*starts[1:], len(body)], strict=True))


def _is_one(spoken: WireFormat, framing: Framing, body: bytes, pieces: list[bytes]) -> bool:
    """Whether ``body`` certainly is one answer, without decoding it: its first event has a type that does not come
    again, or its last events have the id of its first ones."""
    kind = next((kind for piece in pieces[:EDGE_EVENTS] if (kind := _kind(framing, piece)) is not None), None)
    if kind is None or len(pieces) < 2:
        return True
    if any(kind):
        return body.count((kind[1] or kind[0]).encode("utf-8", "replace")) < 2
    first, last = (_ids(spoken, edge) for edge in (pieces[:EDGE_EVENTS], pieces[-EDGE_EVENTS:]))
    return len(first) == 1 and first == last


def _ids(spoken: WireFormat, pieces: list[bytes]) -> set[str]:
    decoder = spoken.decoder()
    return {delta.response_id for piece in pieces for delta in decoder.feed(piece) if delta.response_id is not None}


class _Answer:
    """What is known of the stream so far."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._same_id = True
        self._done = False
        self._finished = False

    @property
    def ended(self) -> bool:
        return self._done or self._finished

    def add(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            self._done |= delta.done
            self._finished |= delta.finish_reason is not None
            if delta.response_id is not None:
                self._same_id &= self._id in (None, delta.response_id)
                self._id = delta.response_id

    def is_over(self, deltas: list[Delta], *, typed: bool) -> bool:
        """Whether these deltas of an event like the first belong to another answer."""
        found = next((delta for delta in deltas if delta.chunk), None)
        if found is None:
            return False
        if self._done and typed:
            return True
        if found.response_id is None or self._id is None:
            return self._done and found.response_id is self._id and bool(found.text or found.reasoning or found.tools)
        if found.response_id == self._id or not self._same_id:  # some gateways give every chunk an id of its own
            return False
        return self._done or (found.usage is None and found.finish_reason is None)


def _kind(framing: Framing, piece: bytes) -> Kind | None:
    """The name and the type of the event in ``piece``; None if it has no event with members."""
    first: tuple[str, dict[str, Any]] | None = next(iter(framing.events(piece)), None)
    return None if first is None or not first[1] else (first[0], text(first[1].get("type")))
