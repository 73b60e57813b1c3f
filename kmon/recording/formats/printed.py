"""What a program printed of chunks: ``print(chunk)`` of Python, ``console.log(chunk)`` of JavaScript, JSON in a log or
in a report. What stands before an object in its line may have the time when it came.
"""

from __future__ import annotations

import re

from kmon.recording.event_bodies import says_something
from kmon.recording.formats.format import Format
from kmon.recording.formats.json_events import streams_of
from kmon.recording.formats.printed_objects import Printed, printed_objects
from kmon.recording.formats.stamps import Clock, stamp_in, stamp_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

SAMPLE_BYTES = 256 * 1024
_OBJECT = re.compile(rb"[A-Z]\w*\(\w+=|[\[{]\s*(?:['\"]\w+['\"]:|\w+:\s)|\b[a-z]\w*=(?:[\['\"{]|None\b|[A-Z]\w*\()")
_PYTHON = re.compile(rb"\s*\[?\s*(?:[A-Z]\w*\(\w+=|\{\s*'\w+'\s*:|[a-z]\w*=(?:[\['\"{]|None\b|[A-Z]\w*\())")
_DEEPER = re.compile(rb"\[(?:Object|Array)\]")


def _looks_like(source: Source) -> bool:
    if source.is_binary or _OBJECT.search(source.data[:SAMPLE_BYTES]) is None:
        return False
    sample = source.data[:SAMPLE_BYTES]
    return bool(_PYTHON.match(sample) or _DEEPER.search(sample) or _streams(sample))


def _read(source: Source) -> list[Interaction]:
    if _DEEPER.search(source.data):
        raise ValueError("it is what console.log prints, [Object] for what is deeper; print JSON.stringify(chunk)")
    if not (found := _streams(source.data)):
        raise ValueError(
            "it is what Python prints of objects, and they are no chunks; save chunk.model_dump_json(), one per line"
        )
    return found


def _streams(data: bytes) -> list[Interaction]:
    found = printed_objects(data.decode("utf-8", "replace"))
    clock = Clock()
    times = [_ms(one, clock) for one in found]
    streams = streams_of([one.value for one in found], times) if found else []
    return streams if any(says_something(one.dialect, one.body) for one in streams) else []


def _ms(one: Printed, clock: Clock) -> float | None:
    prefix = one.prefix.encode("utf-8", "replace")
    stamp = stamp_in(prefix) or stamp_of(prefix + b" ")
    return None if stamp is None else clock.ms(stamp)


PRINTED = Format("what Python or JavaScript printed of chunks, and JSON in other text", _looks_like, _read)
