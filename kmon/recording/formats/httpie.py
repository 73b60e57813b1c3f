"""What HTTPie prints on a terminal: it formats the JSON in each event over several lines (``--pretty=format``)."""

from __future__ import annotations

import re

from kmon.dialects.json_access import parsed
from kmon.recording.exchange import json_bytes
from kmon.recording.formats.format import Format
from kmon.recording.formats.raw_stream import bodies
from kmon.recording.http_dialogue import begins, interactions_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

SAMPLE_BYTES = 64 * 1024
_FORMATTED = re.compile(rb"(?ms)^data: (\{\r?\n {2,8}\".*?^\})")
_ON_ONE_LINE = re.compile(rb"(?m)^data: ?\{[^\r\n]")


def _looks_like(source: Source) -> bool:
    sample = source.data[:SAMPLE_BYTES]
    return _FORMATTED.search(sample) is not None and _ON_ONE_LINE.search(sample) is None


def _read(source: Source) -> list[Interaction]:
    data = _FORMATTED.sub(lambda found: b"data: " + _compact(found[1]), source.data)
    return interactions_of(data) if begins(data) else bodies(data)


def _compact(written: bytes) -> bytes:
    try:
        return json_bytes(parsed(written))
    except ValueError:
        return written


HTTPIE = Format("what HTTPie prints", _looks_like, _read)
