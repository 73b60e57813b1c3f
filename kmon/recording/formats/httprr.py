"""Traces of Go's httprr: after one line, the lengths of a request and an answer, and both as HTTP/1 text."""

from __future__ import annotations

import re

from kmon.recording.formats.format import Format
from kmon.recording.http_dialogue import interactions_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

_FIRST = re.compile(rb"httprr trace v\d+\r?\n")
_LENGTHS = re.compile(rb"(\d{1,10}) (\d{1,10})\r?\n")


def _looks_like(source: Source) -> bool:
    return _FIRST.match(source.data) is not None


def _read(source: Source) -> list[Interaction]:
    data, found = source.data, list[Interaction]()
    first = _FIRST.match(data)
    at = 0 if first is None else first.end()
    while at < len(data):
        lengths = _LENGTHS.match(data, at)
        if lengths is None:
            if not data[at:].strip():
                break
            raise ValueError(f"it is an httprr trace, and byte {at} should begin with the lengths of the next exchange")
        middle = lengths.end() + int(lengths[1])
        end = middle + int(lengths[2])
        exchange = data[lengths.end() : middle] + b"\n" + data[middle:end]
        found += interactions_of(exchange, first_index=len(found))
        at = end
    return found


HTTPRR = Format("httprr traces", _looks_like, _read)
