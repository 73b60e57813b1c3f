"""The bytes of a streamed answer as they came: what ``curl -N`` prints, also with its chunks (``--raw``)."""

from __future__ import annotations

from itertools import islice

from kmon.dialects.framing import Framing
from kmon.recording.arrivals import Marks, within
from kmon.recording.exchange import UNKNOWN_REQUEST, interaction
from kmon.recording.formats.format import Format
from kmon.recording.formats.own_times import WIRE_TIMES, times_ms
from kmon.recording.google_names import on_the_wire
from kmon.recording.http_dialogue import dechunked
from kmon.recording.interaction import Interaction, Request
from kmon.recording.several import streams
from kmon.recording.sniff import framing_of
from kmon.recording.source import Source

SAMPLE_EVENTS = 5


def _looks_like(source: Source) -> bool:
    framing = framing_of(source.data)
    return framing is not None and (framing.certain or _is_of_the_wire(framing, source.data))


def _is_of_the_wire(framing: Framing, data: bytes) -> bool:
    """Whether the first objects are as a server sends them, without times or spellings that a program gave them."""
    values = [value for _, value in islice(framing.events(data), SAMPLE_EVENTS)]
    return all(on_the_wire(value) is value for value in values) and not any(times_ms(values, own=WIRE_TIMES))


def _read(source: Source) -> list[Interaction]:
    return bodies(source.data)


def bodies(data: bytes, marks: Marks = (), *, first_index: int = 0) -> list[Interaction]:
    """One interaction per stream in ``data``; a stream without a head is the body of a 200."""
    framing = framing_of(data)
    headers = _headers(framing)
    return [
        interaction(first_index + place, Request(), 200, headers, data[start:end], None, within(marks, start, end))
        for place, (start, end) in enumerate(streams(data))
    ]


def _headers(framing: Framing | None) -> dict[str, str]:
    return {} if framing is None else {"content-type": framing.media_types[0]}


def _looks_chunked(source: Source) -> bool:
    return source.data[:1].isalnum() and (found := dechunked(source.data)) is not None and _begins(found[0])


def _begins(body: bytes) -> bool:
    return framing_of(body) is not None


def _read_chunked(source: Source) -> list[Interaction]:
    found = dechunked(source.data)
    return [] if found is None else bodies(found[0])


def _looks_like_answer(source: Source) -> bool:
    return source.name.endswith(".body")


def _read_answer(source: Source) -> list[Interaction]:
    return [interaction(0, UNKNOWN_REQUEST, None, {}, source.data)]


RAW_STREAM = Format("raw bodies", _looks_like, _read)
RAW_CHUNKS = Format("raw bodies in chunks", _looks_chunked, _read_chunked)
RAW_ANSWER = Format("a .body file, also of an answer that is no stream", _looks_like_answer, _read_answer)
