"""WebSocket messages read out of a tunnel that is being watched (RFC 6455, with permessage-deflate). No I/O."""

from __future__ import annotations

import struct
import zlib

from msgspec import Struct

MESSAGE_LIMIT_BYTES = 1 << 20
"""What is kept of one message; the rest is counted only."""
INFLATED_LIMIT_BYTES = 32 << 20
"""A message that unpacks to more is a bomb, or of no use on a screen: the reading ends there, the passing does not."""
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ABNORMAL = 1006
"""What a client reports when a connection ended without a close frame; it is never on the wire."""


class Message(Struct, frozen=True):
    """One message or control frame. ``size`` is its length as sent; ``data`` may have been cut, or inflated."""

    opcode: int
    data: bytes
    size: int

    @property
    def close_code(self) -> int | None:
        """Of a close frame: the code it gives, or 1005 for none."""
        if self.opcode != CLOSE:
            return None
        return int(struct.unpack(">H", self.data[:2])[0]) if len(self.data) >= 2 else 1005


class MessageReader:
    """One direction of a WebSocket. Never raises; past a frame that makes no sense it reads no further (``lost``)."""

    def __init__(self, *, deflate: bool = False, fresh_context: bool = False) -> None:
        self._deflate, self._fresh = deflate, fresh_context
        self._inflate = zlib.decompressobj(-15)
        self._head = bytearray()
        self._left = 0
        self._mask = b""
        self._mask_at = 0
        self._opcode = 0
        self._final = False
        self._packed = False
        self._control = bytearray()
        self._data = bytearray()
        self._size = 0
        self._message_opcode = 0
        self.lost = False

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by ``data``."""
        out: list[Message] = []
        at = 0
        while at < len(data) and not self.lost:
            if not self._left:
                self._head.append(data[at])
                at += 1
                if self._header_complete() and not self._left:
                    self._frame_done(out)
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            self._keep(piece)
            if not self._left:
                self._frame_done(out)
        return out

    def _header_complete(self) -> bool:
        head = self._head
        if len(head) < 2:
            return False
        short, masked = head[1] & 0x7F, head[1] & 0x80
        extended = {126: 2, 127: 8}.get(short, 0)
        if len(head) < 2 + extended + (4 if masked else 0):
            return False
        self._final, self._opcode = bool(head[0] & 0x80), head[0] & 0x0F
        self._left = int.from_bytes(head[2 : 2 + extended], "big") if extended else short
        self._mask, self._mask_at = (bytes(head[2 + extended :]) if masked else b""), 0
        known = self._opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        self.lost = not known or (self._opcode >= CLOSE and self._left > 125)
        if self._opcode in (TEXT, BINARY):
            self._message_opcode, self._packed = self._opcode, self._deflate and bool(head[0] & 0x40)
            self._data.clear()
            self._size = 0
        head.clear()
        return not self.lost

    def _keep(self, piece: bytes) -> None:
        if self._mask:
            turned = self._mask[self._mask_at :] + self._mask[: self._mask_at]
            self._mask_at = (self._mask_at + len(piece)) % 4
            mask = (turned * (len(piece) // 4 + 1))[: len(piece)]
            piece = (int.from_bytes(piece, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(piece), "big")
        if self._opcode >= CLOSE:
            self._control += piece
        else:
            self._size += len(piece)
            if len(self._data) < MESSAGE_LIMIT_BYTES or self._packed:
                self._data += piece[: 8 * MESSAGE_LIMIT_BYTES - len(self._data)]

    def _frame_done(self, out: list[Message]) -> None:
        if self._opcode >= CLOSE:
            out.append(Message(self._opcode, bytes(self._control), len(self._control)))
            self._control.clear()
        elif self._final:
            out.append(Message(self._message_opcode, self._unpacked(), self._size))
            self._data.clear()

    def _unpacked(self) -> bytes:
        if not self._packed:
            return bytes(self._data[:MESSAGE_LIMIT_BYTES])
        try:
            out = self._inflate.decompress(bytes(self._data) + b"\x00\x00\xff\xff", INFLATED_LIMIT_BYTES)
        except zlib.error:
            self.lost = True
            return b""
        self.lost = bool(self._inflate.unconsumed_tail)
        if self._fresh:
            self._inflate = zlib.decompressobj(-15)
        return out[:MESSAGE_LIMIT_BYTES]
