"""Writes AWS event-stream frames.

A frame is: u32 total length, u32 header length, u32 CRC32 of those eight bytes, headers, payload, u32 CRC32 of all
before it; big-endian. A header is: u8 length and name, u8 type (7, a string), u16 length and value.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_STRING_HEADER = 7
_FIXED_BYTES = _PRELUDE.size + _CRC.size


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame with string headers in the order given."""
    packed = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = struct.pack(">II", _FIXED_BYTES + len(packed) + len(payload), len(packed))
    message = lengths + _CRC.pack(zlib.crc32(lengths)) + packed + payload
    return message + _CRC.pack(zlib.crc32(message))


def event(name: str, payload: bytes) -> bytes:
    """An ordinary event whose payload is JSON."""
    return frame({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, payload)


def exception(name: str, payload: bytes) -> bytes:
    """An exception of the service's model, inside a stream; ``name`` begins in lower case."""
    return frame({":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}, payload)


def error(code: str, message: str) -> bytes:
    """An error outside the service's model: code and message are headers, and there is no payload."""
    return frame({":error-code": code, ":error-message": message, ":message-type": "error"}, b"")


def _header(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + struct.pack(">BH", _STRING_HEADER, len(value)) + value
