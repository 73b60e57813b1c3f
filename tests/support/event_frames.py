"""Writes AWS event-stream frames for the tests, independently of the decoder they test."""

from __future__ import annotations

import json
import struct
import zlib


def frame(event: str, payload: object, *, kind: str = "event", headers: dict[str, str] | None = None) -> bytes:
    """One frame. ``kind`` is ``event``, ``exception`` or ``error``; ``payload`` is JSON or bytes as they are."""
    names = {":message-type": kind}
    if event:
        names[":exception-type" if kind == "exception" else ":event-type"] = event
    packed = b"".join(_header(name, value) for name, value in {**names, **(headers or {})}.items())
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(packed) + len(body), len(packed))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + body
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
