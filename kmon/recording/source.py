"""The content of a recording file, without compression and in UTF-8, and what it is as JSON."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from kmon.dialects.json_access import members, parsed
from kmon.dialects.json_pieces import ArrayDecoder
from kmon.dialects.sse import BOM
from kmon.recording.compression import BZIP2, GZIP, XZ, ZSTANDARD, NotCompressedError, expanded

LAYERS_LIMIT = 3
"""How often a file may be compressed."""
VALUES_LIMIT = 1_000_000
BINARY_SAMPLE_BYTES = 4096
_FILE_CODINGS = ((GZIP, "gzip"), (ZSTANDARD, "zstd"), (BZIP2, "bzip2"), (XZ, "xz"))
_ENDINGS = ("gz", "zst", "bz2", "xz", "br")
_UTF_16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SAMPLE_CHARS = 8
_COLOURS = re.compile(rb"\x1b\[[0-9;?]{0,20}[A-Za-z]")
_OBJECTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{")


def unpacked(data: bytes, name: str = "") -> bytes:
    """``data`` of the file ``name`` without compression, and in UTF-8 without a byte order mark if it was UTF-16.

    Only the name shows Brotli (``.br``), which has no mark of its own. Raises ``ValueError`` with a sentence.
    """
    for _ in range(LAYERS_LIMIT):
        coding = next((coding for magic, coding in _FILE_CODINGS if data.startswith(magic)), None)
        coding = coding or ("br" if name.endswith(".br") else None)
        if coding is None:
            break
        try:
            data = expanded(data, coding)
        except NotCompressedError:
            if coding != "br":
                raise ValueError(f"it begins like {coding}, and is damaged; save it again") from None
        stem, _, ending = name.rpartition(".")
        name = stem if ending in _ENDINGS else name
    return _without_colours(_utf_8(data))


def _without_colours(data: bytes) -> bytes:
    """Text that was printed for a terminal, without its control sequences. Neither JSON nor HTTP has one as it is."""
    return _COLOURS.sub(b"", data) if _COLOURS.search(data, 0, BINARY_SAMPLE_BYTES) and b"\0" not in data else data


def _utf_8(data: bytes) -> bytes:
    """Windows PowerShell writes what a program prints as UTF-16, with a mark; other tools leave the mark out."""
    for mark, encoding in _UTF_16:
        if data.startswith(mark):
            return data.decode(encoding, "replace").removeprefix("\ufeff").encode("utf-8", "replace")
    start = data[: 2 * _SAMPLE_CHARS]
    if len(start) == 2 * _SAMPLE_CHARS:
        for zeros, encoding in ((start[1::2], "utf-16-le"), (start[::2], "utf-16-be")):
            if zeros == bytes(_SAMPLE_CHARS) and start.count(0) == _SAMPLE_CHARS:
                return data.decode(encoding, "replace").encode("utf-8", "replace")
    return data


class Source:
    """The bytes of a recording, each view of them made once. ``name`` is that of its file, for its ending.

    ``beside`` gives another file that was saved with it, by the name that the recording says; None if there is none.
    """

    def __init__(self, data: bytes, name: str = "", beside: Callable[[str], bytes | None] = lambda name: None) -> None:
        self.data = data
        self.name = name
        self.beside = beside

    @property
    def is_binary(self) -> bool:
        """Whether it has a zero byte near its beginning, which no text has."""
        return b"\0" in self.data[:BINARY_SAMPLE_BYTES]

    @cached_property
    def is_json(self) -> bool:
        """Whether it begins like JSON."""
        return self.data.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")

    def is_yaml_with(self, keys: re.Pattern[bytes]) -> bool:
        """Whether it is no JSON and has one of ``keys`` at the start of a line. YAML as such fits almost any text."""
        return not self.is_json and keys.search(self.data) is not None

    @cached_property
    def json(self) -> object:
        """The JSON value; None if it is none."""
        if not self.is_json:
            return None
        try:
            return parsed(self.data.removeprefix(BOM))
        except ValueError:
            return None

    @property
    def members(self) -> dict[str, Any]:
        """The members of a JSON object; empty for any other file."""
        return members(self.json)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The JSON objects of a file that has one per line; empty if a line is anything else."""
        return _rows(self.data)

    @cached_property
    def listed_rows(self) -> list[Any]:
        """The JSON values of a file that has one per line, and lists among them; empty if a line is no JSON."""
        found: list[Any] = []
        lines = self.data.removeprefix(BOM).splitlines() if self.is_json else []
        for line in lines:
            if line.strip():
                try:
                    found.append(parsed(line))
                except ValueError:
                    return []
        return found if any(isinstance(value, list) for value in found) else []

    @cached_property
    def whole_rows(self) -> list[dict[str, Any]]:
        """As :attr:`rows`, of a file that may have been cut inside its last line."""
        return self.rows or _rows(self.data[: self.data.rfind(b"\n") + 1])

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects of an array, or one after the other in any layout, up to where one is cut or is no JSON."""
        if self.rows:
            return self.rows
        if isinstance(self.json, list):
            return [value for value in self.json if isinstance(value, dict)]
        if _OBJECTS.match(self.data) is None:
            return []
        found: list[dict[str, Any]] = []
        for piece in ArrayDecoder().feed(self.data.removeprefix(BOM))[:VALUES_LIMIT]:
            try:
                value = None if piece.problem else parsed(piece.data)
            except ValueError:
                break
            if not isinstance(value, dict):
                break
            found.append(value)
        return found


def _rows(data: bytes) -> list[dict[str, Any]]:
    found = []
    if data.removeprefix(BOM).lstrip()[:1] != b"{":
        return []
    for line in data.removeprefix(BOM).splitlines():
        if line.strip():
            try:
                value = parsed(line)
            except ValueError:
                return []
            if not isinstance(value, dict):
                return []
            found.append(value)
    return found
