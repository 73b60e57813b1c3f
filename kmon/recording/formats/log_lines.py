"""A stream in the lines of a program's log: behind a level, a logger's name, a container's name, or in quotes.

Programs log lines of server-sent events as they are, or as literals: ``b'data: {...}'`` of Python, the same in double
quotes, ``[ 'data: ...\\n\\n' ]`` of JavaScript. A date or a time of day before it is that of the line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kmon.dialects.json_access import parsed
from kmon.recording.formats.event_lines import Line, streams_of
from kmon.recording.formats.format import Format
from kmon.recording.formats.stamps import Clock, Stamp, stamp_in, stamp_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

SAMPLE_BYTES = 256 * 1024
PREFIX_LIMIT_BYTES = 400
_PLAIN = re.compile(rb"(?:^|[\s:=|\]>)-])(data: ?(?:\{|\[DONE\])[^\r\n]*|event: ?[\w.]{1,60}[ \t]*$)")
_LITERAL = re.compile(rb"[bBrRuU]{0,2}('(?:\\.|[^'\\\r\n])*'|\"(?:\\.|[^\"\\\r\n])*\")")
_BEGUN = re.compile(rb"[bBrRuU]{0,2}['\"](?:data|event|id|retry):")
_BEGINS = re.compile(rb"(?:data|event|id|retry):|: ")


def _looks_like(source: Source) -> bool:
    if source.is_binary or b"data:" not in source.data[:SAMPLE_BYTES]:
        return False
    return bool(_streams(source.data[:SAMPLE_BYTES]))


def _read(source: Source) -> list[Interaction]:
    return _streams(source.data)


def _streams(data: bytes) -> list[Interaction]:
    found = list(_literals(data))
    return streams_of(_lines_of(found) if found else list(_plain(data)))


def _plain(data: bytes) -> Iterator[Line]:
    clock = Clock()
    for line in data.splitlines():
        found = _PLAIN.search(line)
        if found is not None and found.start(1) <= PREFIX_LIMIT_BYTES:
            yield found[1].rstrip() + b"\n", _ms(line[: found.start(1)], clock)


def _literals(data: bytes) -> Iterator[Line]:
    """What the literals say that are events, or go on with one that a chunk of the body had cut."""
    clock, is_open = Clock(), False
    for line in data.splitlines():
        begun = None if is_open else _BEGUN.search(line)
        for found in _LITERAL.finditer(line, begun.start() if begun else 0) if is_open or begun else ():
            said = _value(found[0])
            if _BEGINS.match(said) is None and not is_open:
                continue
            is_open = not said.endswith((b"\n", b"}", b"]")) and (is_open or b"{" in said)
            yield said, _ms(line[: found.start()], clock)


def _value(literal: bytes) -> bytes:
    written = literal.decode("utf-8", "replace")
    try:
        value: object = parsed(literal) if literal.startswith(b'"') else ast.literal_eval(written)
    except (ValueError, SyntaxError, MemoryError):
        return b""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def _lines_of(pieces: list[Line]) -> list[Line]:
    """Literals are parts of the body if they have the ends of lines in them, else lines."""
    if any(b"\n" in said for said, _ in pieces):
        return pieces
    return [(said + b"\n", ms) for said, ms in pieces]


def _ms(prefix: bytes, clock: Clock) -> float | None:
    stamp: Stamp | None = stamp_in(prefix) or stamp_of(prefix + b" ")
    return None if stamp is None else clock.ms(stamp)


LOG_LINES = Format("logs of a program that hold the lines of a stream", _looks_like, _read)
