"""Lines of server-sent events as logs keep them: each with a time, often without the blank lines between events."""

from __future__ import annotations

import re

from msgspec import structs

from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.recording.arrivals import marked
from kmon.recording.event_bodies import SENTINEL
from kmon.recording.formats.raw_stream import bodies
from kmon.recording.interaction import Interaction
from kmon.recording.sniff import recognised

Line = tuple[bytes, float | None]
"""A line with its end, and its time (ms after some moment)."""

FIELD = re.compile(rb"(?:data|event|id|retry):")


def streams_of(lines: list[Line]) -> list[Interaction]:
    """The streams in these lines; none if no dialect recognises one of their events.

    A program may log each event and not the sentinel, so a log without one does not say that there was none.
    """
    data, marks = marked(with_event_ends(lines))
    found = bodies(data, marks) if recognised(SERVER_SENT_EVENTS, data) is not None else []
    ends_kept = SENTINEL.encode() in data
    return [structs.replace(one, ends_kept=ends_kept) for one in found]


def with_event_ends(lines: list[Line]) -> list[Line]:
    """Lines of which ``grep data:`` or a log removed the blank ones between events get them back."""
    data_lines = sum(line.startswith(b"data:") for line, _ in lines)
    if data_lines < 2 or any(not line.strip() for line, _ in lines):
        return lines
    return [(line.rstrip(b"\r\n") + b"\n\n" if line.startswith(b"data:") else line, ms) for line, ms in lines]
