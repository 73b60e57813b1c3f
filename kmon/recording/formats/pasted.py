"""A stream inside other text: pasted from a terminal or a report, indented, quoted, or with the meter of curl in it.

A run of lines that all are lines of server-sent events is a stream if a dialect recognises an event in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.recording.formats.curl_verbose import without_meter
from kmon.recording.formats.format import Format
from kmon.recording.formats.raw_stream import bodies
from kmon.recording.interaction import Interaction
from kmon.recording.sniff import recognised
from kmon.recording.source import Source

_LINE = re.compile(rb"[ \t>]*((?:data|event|id|retry):[^\r\n]*|:[^\r\n]*|)\r?\n?\Z")
_DATA = re.compile(rb"(?m)^[ \t>]*data:")


def _looks_like(source: Source) -> bool:
    data = without_meter(source.data)
    return _DATA.search(data) is not None and any(True for _ in _runs(data))


def _read(source: Source) -> list[Interaction]:
    found: list[Interaction] = []
    for run in _runs(without_meter(source.data)):
        found += bodies(run, first_index=len(found))
    return found


def _runs(data: bytes) -> Iterator[bytes]:
    run: list[bytes] = []
    for line in [*data.splitlines(keepends=True), b"end"]:
        if (found := _LINE.match(line)) is not None:
            run.append(found[1] + b"\n")
            continue
        body = b"".join(run).strip(b"\n") + b"\n\n"
        run = []
        if recognised(SERVER_SENT_EVENTS, body) is not None:
            yield body


PASTED = Format("streams inside other text", _looks_like, _read)
