"""A stream whose every line has a time before it: ``curl -N ... | ts '%H:%M:%.S'``, which is how a stall is proved."""

from __future__ import annotations

from itertools import pairwise

from kmon.recording.arrivals import marked
from kmon.recording.event_bodies import TimedEvent
from kmon.recording.event_bodies import interactions_of as events_of
from kmon.recording.formats import curl_verbose
from kmon.recording.formats.event_lines import Line, with_event_ends
from kmon.recording.formats.format import Format
from kmon.recording.formats.raw_stream import bodies
from kmon.recording.formats.stamps import Clock, Stamp, stamp_of
from kmon.recording.http_dialogue import begins
from kmon.recording.http_dialogue import interactions_of as dialogue
from kmon.recording.interaction import Interaction
from kmon.recording.sniff import framing_of
from kmon.recording.source import Source

SAMPLE_LINES = 40


def _looks_like(source: Source) -> bool:
    lines = source.data[: 256 * 1024].splitlines(keepends=True)[:SAMPLE_LINES]
    first = next((line for line in lines if line.strip()), b"")
    return stamp_of(first) is not None and _readable(_stripped(lines))


def _readable(lines: list[Line]) -> bool:
    data = _joined(lines)
    return curl_verbose.looks_verbose(data) or begins(data) or framing_of(data) is not None or _json_rows(data)


def _json_rows(data: bytes) -> bool:
    return bool(Source(data).whole_rows)


def _read(source: Source) -> list[Interaction]:
    lines = _stripped(source.data.splitlines(keepends=True))
    data = _joined(lines)
    if curl_verbose.looks_verbose(data):
        return curl_verbose.interactions_of(lines)
    if begins(data):
        return dialogue(*marked(lines))
    if framing_of(data) is not None:
        return bodies(*marked(with_event_ends(lines)))
    rows = [(Source(line).members, ms) for line, ms in lines]
    return events_of([TimedEvent(value, ms=ms) for value, ms in rows if value])


def _stripped(lines: list[bytes]) -> list[Line]:
    """Lines without their stamps, with times. ``ts -i`` writes the time since the line before: they are added up."""
    stamps = [stamp_of(line) for line in lines]
    since_last = _are_increments(stamps)
    clock, total_ms = Clock(), 0.0
    found: list[Line] = []
    for line, stamp in zip(lines, stamps, strict=True):
        if stamp is None:
            found.append((line, None))
            continue
        total_ms = total_ms + stamp.ms if since_last else clock.ms(stamp)
        found.append((line[stamp.end :], total_ms))
    return found


def _are_increments(stamps: list[Stamp | None]) -> bool:
    """Whether the stamps often go back, and are small: then each is the time since the line before."""
    times = [stamp.ms for stamp in stamps if stamp is not None and stamp.kind != "date"]
    back = sum(after < before for before, after in pairwise(times))
    return len(times) >= 3 and back > len(times) // 8 and max(times) < 3_600_000


def _joined(lines: list[Line]) -> bytes:
    return b"".join(line for line, _ in lines)


STAMPED_LINES = Format("lines with a time before each (ts)", _looks_like, _read)
