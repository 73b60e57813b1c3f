"""WebSocket framing (RFC 6455) without I/O: bytes in, whole messages and control frames out; frames to be sent.

Written here, and not left to a client library, so that messages come over kmon's own sockets with their own stamps,
through the same proxies, and so that a limit is enforced before a message is in memory. Extensions are never asked
for, so no frame is compressed.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from enum import IntEnum
from typing import Literal

from msgspec import Struct

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTROL_LIMIT_BYTES = 125

NORMAL, PROTOCOL_ERROR, NOT_UTF8, TOO_BIG = 1000, 1002, 1007, 1009
NO_STATUS = 1005
"""Stands for a close frame that gives no code; it is never on the wire."""


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Message(Struct, frozen=True):
    """A whole message or a control frame. ``code`` is a close frame's, whose reason is the ``data``."""

    kind: Literal["text", "binary", "ping", "pong", "close"]
    data: bytes = b""
    code: int = 0


class WebSocketError(ValueError):
    """Bytes that break the rules or a limit. ``code`` is what a close frame should say of it."""

    def __init__(self, message: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


class MessageReader:
    """One direction of a connection. ``limit_bytes`` bounds a message and may be changed at any time.

    A server's frames are never masked; a proxy that watches a client's sets ``masked``.
    """

    def __init__(self, limit_bytes: int, *, masked: bool = False) -> None:
        self.limit_bytes = limit_bytes
        self._masked = masked
        self._pending = bytearray()
        self._parts = bytearray()
        self._kind: Literal["text", "binary"] | None = None

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes. Raises :class:`WebSocketError`; nothing can be read after that."""
        self._pending += data
        out = []
        while (frame := self._frame()) is not None:
            if (message := self._message(*frame)) is not None:
                out.append(message)
        return out

    @property
    def midway(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._pending or self._kind)

    def _frame(self) -> tuple[bool, Opcode, bytes] | None:
        pending = self._pending
        if len(pending) < 2:
            return None
        first, second = pending[0], pending[1]
        if first & 0x70:
            raise WebSocketError("a frame uses an extension nobody asked for")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise WebSocketError(f"a frame has the unknown opcode {first & 0x0F}") from None
        if bool(second & 0x80) != self._masked:
            raise WebSocketError("a frame is masked the wrong way round")
        size, at = second & 0x7F, 2
        if size > _CONTROL_LIMIT_BYTES:
            shape = ">H" if size == 126 else ">Q"
            at += struct.calcsize(shape)
            if len(pending) < at:
                return None
            (size,) = struct.unpack_from(shape, pending, 2)
        final = bool(first & 0x80)
        if opcode >= Opcode.CLOSE and (size > _CONTROL_LIMIT_BYTES or not final):
            raise WebSocketError("a control frame is too long or in pieces")
        if opcode < Opcode.CLOSE and len(self._parts) + size > self.limit_bytes:
            raise WebSocketError(
                f"a message of {len(self._parts) + size} bytes or more, over the limit of {self.limit_bytes}", TOO_BIG
            )
        mask = bytes(pending[at : at + 4]) if self._masked else b""
        at += len(mask)
        if len(pending) < at + size or (self._masked and len(mask) < 4):
            return None
        payload = bytes(pending[at : at + size])
        del pending[: at + size]
        return final, opcode, _masked(payload, mask) if mask else payload

    def _message(self, final: bool, opcode: Opcode, payload: bytes) -> Message | None:
        match opcode:
            case Opcode.PING | Opcode.PONG:
                return Message("ping" if opcode is Opcode.PING else "pong", payload)
            case Opcode.CLOSE:
                return _closing(payload)
            case Opcode.CONTINUATION if self._kind is None:
                raise WebSocketError("a frame goes on with a message that never began")
            case Opcode.TEXT | Opcode.BINARY if self._kind is not None:
                raise WebSocketError("a message begins inside another")
            case Opcode.TEXT | Opcode.BINARY:
                self._kind = "text" if opcode is Opcode.TEXT else "binary"
            case _:
                pass
        self._parts += payload
        if not final or self._kind is None:
            return None
        whole, kind = bytes(self._parts), self._kind
        self._parts.clear()
        self._kind = None
        return Message(kind, whole)


def encoded(opcode: Opcode, payload: bytes, mask: bytes) -> bytes:
    """One final frame as a client sends it, masked with four random bytes."""
    size = len(payload)
    if size <= _CONTROL_LIMIT_BYTES:
        head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + mask + _masked(payload, mask)


def close_payload(code: int, reason: str = "") -> bytes:
    """What a close frame carries; nothing for :data:`NO_STATUS`."""
    if code == NO_STATUS:
        return b""
    return struct.pack(">H", code) + reason.encode()[: _CONTROL_LIMIT_BYTES - 2]


def accept_of(key: str) -> str:
    """What a server must answer to ``Sec-WebSocket-Key``, which proves that it speaks WebSocket."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def _closing(payload: bytes) -> Message:
    if not payload:
        return Message("close", b"", NO_STATUS)
    if len(payload) == 1:
        raise WebSocketError("a close frame is cut off")
    (code,) = struct.unpack_from(">H", payload)
    return Message("close", payload[2:], code)


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")
