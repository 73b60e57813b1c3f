"""What ``curl --trace FILE`` writes: every byte in hexadecimal, with ``--trace-time`` also when it came; and the text
of ``--trace-ascii``."""

from __future__ import annotations

import re

from kmon.recording.arrivals import marked
from kmon.recording.formats.curl_trace_ascii import text_of, with_line_ends
from kmon.recording.formats.format import Format
from kmon.recording.formats.stamps import Clock, stamp_of
from kmon.recording.http_dialogue import interactions_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

_TITLE = re.compile(
    rb"(?m)^(?:(\S{8,20}) )?(?:\[\S+\] )?(=>|<=) (?:Send|Recv) (?:header|data), (\d{1,9}) bytes[^\n]*\n"
    rb"((?:[0-9a-f]{4,8}: [^\n]*\n?)*)"
)
_HEX_LINE = re.compile(rb"(?m)^[0-9a-f]{4,8}: ((?:[0-9a-f]{2} ){1,16})")
SAMPLE_BYTES = 64 * 1024


def _looks_like(source: Source) -> bool:
    return _TITLE.search(source.data[:SAMPLE_BYTES]) is not None


def _read(source: Source) -> list[Interaction]:
    pieces, clock, is_ascii = list[tuple[bytes, float | None]](), Clock(), False
    for stamp, direction, size, dump in (found.groups() for found in _TITLE.finditer(source.data)):
        rows = _HEX_LINE.findall(dump)
        is_ascii |= bool(dump) and not rows
        read = stamp_of(stamp + b" ") if stamp else None
        ms = clock.ms(read) if read is not None else None
        content = b"".join(bytes.fromhex(row.decode()) for row in rows) if rows else text_of(dump, int(size))
        if direction == b"<=" or content:
            pieces.append((content, ms))
    data, marks = marked(pieces)
    return interactions_of(with_line_ends(data) if is_ascii else data, marks)


CURL_TRACE = Format("traces of curl", _looks_like, _read)
