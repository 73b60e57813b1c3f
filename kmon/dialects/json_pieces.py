"""Cuts bytes in any split into the JSON values of a stream: one per line, or one per element of a growing array.

Both decoders keep at most :data:`PIECE_LIMIT_BYTES`; a larger value is skipped and reported. Neither parses JSON: the
array is cut by brackets and quotes alone, so a value that is no JSON is passed on for its reader to report.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from kmon.dialects.bounds import frame_text
from kmon.dialects.delta import Delta
from kmon.dialects.fault import CUT_INSIDE, malformed
from kmon.dialects.json_access import parsed
from kmon.dialects.sse import BOM, EVIDENCE_BYTES

PIECE_LIMIT_BYTES = 8 * 1024 * 1024

Problem = Literal["too-large", "cut", "stray"]
"""``too-large``: over the limit, ``cut``: the body ended inside it, ``stray``: no value where one is expected."""

_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'["\\]')
_BETWEEN = b" \t\r\n,"


class Piece(Struct, frozen=True):
    """One value. With a problem, ``data`` is how it begins."""

    data: bytes
    problem: Problem | None = None


class LinesDecoder:
    """The non-empty lines of a body (LF, CR LF or CR)."""

    def __init__(self, limit_bytes: int = PIECE_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._dropping = False
        self._first = True

    def feed(self, data: bytes) -> list[Piece]:
        """The lines completed by ``data``, in order."""
        pieces: list[Piece] = []
        *lines, rest = data.replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._add(line, pieces)
            self._close(pieces, None)
        self._add(rest, pieces)
        return pieces

    def end(self) -> list[Piece]:
        """The last line if it has no end of line; it is whole if it is JSON."""
        pieces: list[Piece] = []
        self._close(pieces, "cut")
        return pieces

    def _add(self, data: bytes, pieces: list[Piece]) -> None:
        if not data or self._dropping:
            return
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > self._limit_bytes:
            pieces.append(Piece(b"".join(self._pending)[: min(EVIDENCE_BYTES, self._limit_bytes)], "too-large"))
            self._pending, self._pending_bytes, self._dropping = [], 0, True

    def _close(self, pieces: list[Piece], problem: Problem | None) -> None:
        line = b"".join(self._pending)
        self._pending, self._pending_bytes, self._dropping = [], 0, False
        if self._first and line:
            self._first, line = False, line.removeprefix(BOM)
        if line := line.strip():
            pieces.append(Piece(line, problem))


class ArrayDecoder:
    """The elements of one JSON array, each passed on as soon as its own last bracket is there."""

    def __init__(self, limit_bytes: int = PIECE_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._opened = self.closed = False
        """Whether the brackets of the array itself came; after the second one nothing is expected."""
        self._depth = 0
        self._in_string = self._escaped = False
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._dropping = False

    def feed(self, data: bytes) -> list[Piece]:
        """The elements completed by ``data``, in order."""
        pieces: list[Piece] = []
        at = 0
        while at < len(data):
            at = self._inside(data, at, pieces) if self._depth else self._between(data, at, pieces)
        return pieces

    def end(self) -> list[Piece]:
        """The element that the end of the body cut, or a rest that is no element."""
        rest, self._pending = b"".join(self._pending).strip(), []
        if self._dropping or not rest:
            return []
        return [Piece(rest[:EVIDENCE_BYTES], "cut" if self._depth else "stray")]

    def _between(self, data: bytes, at: int, pieces: list[Piece]) -> int:
        """Read up to the beginning of an element; the index after what was read."""
        byte = data[at : at + 1]
        if byte in (b"{", b"[") and (self._opened or byte == b"{"):
            self._flush(pieces)
            self._depth = 1
            self._keep(byte, pieces)
        elif byte == b"[":
            self._opened = True
        elif byte == b"]":
            self._flush(pieces)
            self.closed = True
        elif byte in (b"\n", b",", b"\r"):
            self._flush(pieces)
        elif self._pending or (byte not in (b" ", b"\t") and byte not in BOM):
            self._keep(byte, pieces)
        return at + 1

    def _inside(self, data: bytes, at: int, pieces: list[Piece]) -> int:
        """Read up to the next bracket or quote inside an element; the index after what was read."""
        if self._escaped:
            self._escaped = False
            self._keep(data[at : at + 1], pieces)
            return at + 1
        found = (_STRING_END if self._in_string else _STRUCTURE).search(data, at)
        end = len(data) if found is None else found.end()
        self._keep(data[at:end], pieces)
        if found is None:
            return end
        byte = found[0]
        if byte == b'"':
            self._in_string = not self._in_string
        elif byte == b"\\":
            self._escaped = True
        else:
            self._depth += 1 if byte in b"{[" else -1
            if self._depth == 0:
                self._flush(pieces, whole=True)
        return end

    def _keep(self, data: bytes, pieces: list[Piece]) -> None:
        if self._dropping:
            return
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > self._limit_bytes:
            pieces.append(Piece(b"".join(self._pending)[: min(EVIDENCE_BYTES, self._limit_bytes)], "too-large"))
            self._pending, self._dropping = [], True

    def _flush(self, pieces: list[Piece], *, whole: bool = False) -> None:
        data = b"".join(self._pending).strip(_BETWEEN)
        if data and not self._dropping:
            pieces.append(Piece(data, None if whole else "stray"))
        self._pending, self._pending_bytes, self._dropping = [], 0, False


Interpret = Callable[[dict[str, object], str], Delta]
"""A JSON object and its text as evidence (``Delta.raw``) to a delta."""


class JSONPiecesDecoder:
    """Bytes to deltas, with ``interpret`` for every JSON object; anything else is an error with its text."""

    def __init__(self, pieces: LinesDecoder | ArrayDecoder, interpret: Interpret) -> None:
        self._pieces, self._interpret = pieces, interpret

    def feed(self, data: bytes) -> list[Delta]:
        return [self._delta(piece) for piece in self._pieces.feed(data)]

    def end(self) -> list[Delta]:
        return [self._delta(piece) for piece in self._pieces.end()]

    def _delta(self, piece: Piece) -> Delta:
        raw = frame_text(piece.data)
        if piece.problem == "too-large":
            why = f"an event over {PIECE_LIMIT_BYTES // 2**20} MiB was skipped"
            return Delta(error=malformed(why, raw), raw=raw)
        try:
            value = parsed(piece.data)
        except ValueError:
            cut = piece.problem == "cut"
            return Delta(error=malformed(CUT_INSIDE if cut else "invalid JSON", raw), cut=cut, raw=raw)
        if not isinstance(value, dict):
            return Delta(error=malformed("a frame that is no JSON object", raw), raw=raw)
        return self._interpret(value, raw)
