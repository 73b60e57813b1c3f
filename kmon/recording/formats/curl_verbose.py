"""What ``curl -v`` prints, with the body in the same file: lines of ``*`` notes, ``>`` sent and ``<`` received."""

from __future__ import annotations

import re

from kmon.recording.arrivals import marked
from kmon.recording.formats.format import Format
from kmon.recording.http_dialogue import interactions_of as dialogue
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

SAMPLE_BYTES = 64 * 1024

_HEAD = re.compile(rb"(?m)^< HTTP/\d(?:\.\d)? +\d{3}")
_NOTE = re.compile(rb"\* |[{}] \[\d+ bytes data\]")
_METER = re.compile(
    rb"  % Total +% Received[^\n]*\n[^\n]*Dload +Upload[^\n]*\n?"
    rb"|[\r\n] *\d{1,3}(?: +[\d.]+[kMGTP]?){7} +(?:[-\d:dhm]+ +){3}[\d.]+[kMGTP]?(?:(?=\r)|\r?\n|(?=\D))"
)
_LAST_NOTE = re.compile(rb"\* (?:Connection #\d+ to host|Closing connection|transfer closed|Curl_http_done)[^\n]*\n?\Z")
_RECEIVED = re.compile(rb"< ?")
_SENT = re.compile(rb"> ?")

Line = tuple[bytes, float | None]
"""A line with its end, and its time (ms after some moment)."""


def looks_verbose(data: bytes) -> bool:
    """Whether ``data`` has the head of an answer as ``curl -v`` marks it, near its beginning."""
    return _HEAD.search(data[:SAMPLE_BYTES]) is not None


def without_meter(data: bytes) -> bytes:
    """``data`` without the progress of ``curl`` without ``-s``, which stands between its lines and before them."""
    return _METER.sub(b"", data) if b"% Total" in data else data


def interactions_of(lines: list[Line]) -> list[Interaction]:
    """The exchanges in these lines."""
    data, marks = marked(_as_http(lines))
    return dialogue(data, marks)


def _looks_like(source: Source) -> bool:
    return looks_verbose(source.data)


def _read(source: Source) -> list[Interaction]:
    return interactions_of([(line, None) for line in without_meter(source.data).splitlines(keepends=True)])


def _as_http(lines: list[Line]) -> list[Line]:
    """The lines as HTTP/1 text, without notes, of which the times count for the lines after them.

    A line of a body may go on with a note if the body had no line end.
    """
    found: list[Line] = []
    in_head, last_ms = False, None
    for line, own_ms in lines:
        ms = last_ms = last_ms if own_ms is None else own_ms
        if (marker := _RECEIVED.match(line) or _SENT.match(line)) is not None:
            if not in_head and found and not found[-1][0].endswith(b"\n"):
                found.append((b"\n", None))
            found.append((line[marker.end() :], ms))
            in_head = bool(line[marker.end() :].strip())
        elif _NOTE.match(line) is None:
            found.append((_LAST_NOTE.sub(b"", line), ms))
    return found


CURL_VERBOSE = Format("the verbose output of curl", _looks_like, _read)
