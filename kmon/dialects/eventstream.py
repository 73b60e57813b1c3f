"""Decodes AWS event-stream frames from bytes in any split, checks both checksums, and is bounded.

A frame is: u32 total length, u32 header length, u32 CRC32 of those eight bytes, headers, payload, u32 CRC32 of all
before it; big-endian. A frame with a wrong checksum is reported and skipped. A wrong prelude ends the decoding, since
its length cannot be trusted; if it is text, the text up to the end of the body is kept.
"""

from __future__ import annotations

import struct
import zlib

from msgspec import Struct

PRELUDE_BYTES = 12
HEADERS_LIMIT_BYTES = 128 * 1024
PAYLOAD_LIMIT_BYTES = 24 * 1024 * 1024
EVIDENCE_BYTES = 8_000

TEXT = "text instead of a frame"
PRELUDE_CHECKSUM = "wrong checksum of a frame's prelude; the rest cannot be read"

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header value by its type; types 6 (bytes) and 7 (string) carry a u16 length."""
_BYTES, _STRING = 6, 7


class Frame(Struct, frozen=True):
    """One frame: its string headers (no other types are used for streams) and its payload."""

    headers: dict[str, str]
    payload: bytes


class BadFrame(Struct, frozen=True):
    """Bytes that are no frame: why, how they begin, whether a checksum is wrong, whether the body ended inside."""

    why: str
    start: bytes
    checksum: bool = False
    cut: bool = False


class EventStreamDecoder:
    """Takes reads of any size; :meth:`end` reports a frame that is cut. Never raises."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = self._text = False

    def feed(self, data: bytes) -> list[Frame | BadFrame]:
        """The frames completed by ``data``, in order."""
        if self._lost:
            if self._text:
                self._buffer += data[: EVIDENCE_BYTES - len(self._buffer)]
            return []
        self._buffer += data
        frames: list[Frame | BadFrame] = []
        while len(self._buffer) >= PRELUDE_BYTES:
            total, header_bytes, crc = _PRELUDE.unpack_from(self._buffer)
            why = _prelude_fault(total, header_bytes, crc == zlib.crc32(self._buffer[:8]))
            if why and _is_text(self._buffer):
                self._lost = self._text = True
                del self._buffer[EVIDENCE_BYTES:]
                break
            if why:
                frames.append(BadFrame(why, bytes(self._buffer[:PRELUDE_BYTES]), why == PRELUDE_CHECKSUM))
                self._lost = True
                self._buffer.clear()
                break
            if len(self._buffer) < total:
                break
            frames.append(_frame(bytes(self._buffer[:total]), header_bytes))
            del self._buffer[:total]
        return frames

    def end(self) -> list[Frame | BadFrame]:
        """The error of a frame that the end of the body cut, or of text where a frame was expected, if any."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if _is_text(rest):
            return [BadFrame(TEXT, rest[:EVIDENCE_BYTES])]
        return [BadFrame("the body ended inside a frame", rest[:EVIDENCE_BYTES], cut=True)] if rest else []


def _is_text(start: bytes | bytearray) -> bool:
    """Whether bytes begin like text: as the length of a frame they would be far beyond any limit."""
    return start[:1].isascii() and (start[:1].decode("ascii").isprintable() or start[:1].isspace()) and start[:1] != b""


def _prelude_fault(total: int, header_bytes: int, checksum_ok: bool) -> str:
    if not checksum_ok:
        return PRELUDE_CHECKSUM
    if header_bytes > HEADERS_LIMIT_BYTES or total > PRELUDE_BYTES + HEADERS_LIMIT_BYTES + PAYLOAD_LIMIT_BYTES + 4:
        return f"a frame of {total} bytes; the rest is not read"
    if total < PRELUDE_BYTES + header_bytes + 4:
        return "a frame shorter than its own headers; the rest cannot be read"
    return ""


def _frame(data: bytes, header_bytes: int) -> Frame | BadFrame:
    if _CRC.unpack_from(data, len(data) - 4)[0] != zlib.crc32(data[:-4]):
        return BadFrame("wrong checksum of a frame", data[:EVIDENCE_BYTES], checksum=True)
    try:
        headers = _headers(data[PRELUDE_BYTES : PRELUDE_BYTES + header_bytes])
    except (struct.error, IndexError, KeyError):
        return BadFrame("a frame with unreadable headers", data[:EVIDENCE_BYTES])
    return Frame(headers, data[PRELUDE_BYTES + header_bytes : -4])


def _headers(data: bytes) -> dict[str, str]:
    """Raises IndexError, KeyError or struct.error on headers that are cut short or of an unknown type."""
    headers: dict[str, str] = {}
    at = 0
    while at < len(data):
        name_bytes = data[at]
        name = data[at + 1 : at + 1 + name_bytes]
        at += 1 + name_bytes
        kind = data[at]
        at += 1
        if kind in (_BYTES, _STRING):
            (size,) = struct.unpack_from(">H", data, at)
            at += 2
        else:
            size = _FIXED_SIZES[kind]
        if at + size > len(data):
            raise IndexError(at)
        if kind == _STRING:
            headers[name.decode("utf-8", "replace")] = data[at : at + size].decode("utf-8", "replace")
        at += size
    return headers
