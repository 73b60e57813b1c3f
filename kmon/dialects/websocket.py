"""WebSocket messages without I/O: bytes of one direction in, messages and control frames out; close codes in words.

wsproto parses the frames (RFC 6455). Its own connection class is not used, because it refuses what a monitor reports:
text that is not UTF-8 and close codes that are not registered are passed on as received.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Frame, FrameDecoder, FrameProtocol, Opcode, ParseFailed, RsvBits

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.dialects.text import clean

Kind = Literal["text", "binary", "ping", "pong", "close"]
INFLATED_LIMIT_BYTES = 32 << 20
"""A compressed message that inflates to more is refused: it may be a decompression bomb."""
_KINDS: dict[Opcode, Kind] = {
    Opcode.TEXT: "text", Opcode.BINARY: "binary", Opcode.PING: "ping", Opcode.PONG: "pong", Opcode.CLOSE: "close",
}  # fmt: skip
_DEFLATE_TAIL = b"\x00\x00\xff\xff"
"""The end of each compressed message, which is not sent (RFC 7692, section 7.2.2)."""
_NO_BITS = RsvBits(False, False, False)
TICK_TIMEOUT = 4000
ABNORMAL = 1006
"""The code of a connection that ended without a close frame; it is never sent."""
_WORDS = {
    1000: "closed normally",
    1001: "the other side is going away",
    1002: "protocol error",
    1003: "a kind of message that is not accepted",
    1005: "closed without a code",
    ABNORMAL: "abnormal: the connection ended without a close frame (a crash, a proxy, the network)",
    1007: "a message was not valid UTF-8",
    1008: "policy: not allowed in, or read too slowly for what was sent",
    1009: "a message was too big",
    1011: "the server failed inside",
    1012: "the server restarts; connect again",
    1013: "the server is overloaded; try again later",
    TICK_TIMEOUT: "tick timeout: no tick within twice its interval",
}
OWN = frozenset({1009, TICK_TIMEOUT})
"""Codes with which kmon itself closes."""
CLEAN = frozenset({1000, 1001, 1005})
"""Codes of an ordinary end."""


class WebSocketMessage(Struct, frozen=True):
    """A whole message or a control frame. A close frame has its ``code`` and its reason as ``data``.

    ``size`` is the length of the payload as sent, in bytes: ``data`` may be cut, or inflated.
    """

    kind: Kind
    data: bytes = b""
    code: int = 0
    size: int = 0


class Violation(Struct, frozen=True):
    """Why nothing more can be read: bytes that violate RFC 6455 or a limit. ``code`` is for the close frame."""

    message: str
    code: int


class MessageReader:
    """Decodes one direction of a connection. Never raises: it stops at a frame that violates the rules.

    ``limit_bytes`` bounds a message and may be changed at any time. A longer message is refused at the header
    of the frame that exceeds the limit, before its payload is in memory; with ``cut`` its first ``limit_bytes`` are
    kept and the rest is only counted. Frames are ``masked`` if a client sent them. ``inflate`` is set if the two sides
    agreed on permessage-deflate.
    """

    def __init__(
        self, limit_bytes: int, *, masked: bool = False, cut: bool = False, inflate: Inflate | None = None
    ) -> None:
        self.limit_bytes = limit_bytes
        self.violation: Violation | None = None
        self._cut, self._inflate = cut, inflate
        self._frames = FrameDecoder(client=not masked, extensions=[_Headers(self._allowed)])
        self._kind: Kind | None = None
        self._compressed = False
        self._data = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> list[WebSocketMessage]:
        """The messages that ``data`` completes; none after a :attr:`violation`."""
        found: list[WebSocketMessage] = []
        if self.violation is not None:
            return found
        self._frames.receive_bytes(data)
        try:
            while (frame := self._frames.process_buffer()) is not None:
                if (message := self._message(frame)) is not None:
                    found.append(message)
        except ParseFailed as error:
            self.violation = Violation(str(error), error.code)
        return found

    def _allowed(self, opcode: Opcode, rsv: RsvBits, size: int) -> RsvBits:
        """The reserved bits that a frame may use. wsproto calls it repeatedly while a header is incomplete."""
        if opcode.iscontrol():
            return _NO_BITS
        if opcode is Opcode.CONTINUATION and self._kind is None:
            raise ParseFailed("a frame goes on with a message that never began")
        if opcode is not Opcode.CONTINUATION and self._kind is not None:
            raise ParseFailed("a message begins inside another")
        if not self._cut and self._size + size > self.limit_bytes:
            raise ParseFailed(
                f"a message of {self._size + size} bytes or more, over the limit of {self.limit_bytes}",
                CloseReason.MESSAGE_TOO_BIG,
            )
        if opcode is Opcode.CONTINUATION or self._inflate is None:
            return _NO_BITS
        self._compressed = rsv.rsv1
        return RsvBits(True, False, False)

    def _message(self, frame: Frame) -> WebSocketMessage | None:
        """The message that a frame, or a part of one, completes, if any."""
        payload = frame.payload
        assert isinstance(payload, bytes)
        if frame.opcode is Opcode.CLOSE:
            return _closing(payload)
        if frame.opcode.iscontrol():
            return WebSocketMessage(_KINDS[frame.opcode], payload, size=len(payload))
        if frame.opcode is not Opcode.CONTINUATION:
            self._kind = _KINDS[frame.opcode]
        last = frame.frame_finished and frame.message_finished
        self._size += len(payload)
        if self._compressed and self._inflate is not None:
            payload = self._inflate(payload, last=last)
        self._data += payload[: self.limit_bytes - len(self._data)] if self._cut else payload
        if not last or self._kind is None:
            return None
        whole = WebSocketMessage(self._kind, bytes(self._data), size=self._size)
        self._kind, self._compressed, self._size = None, False, 0
        self._data.clear()
        return whole


class Inflate:
    """permessage-deflate of one direction; ``fresh_context`` if each message is compressed separately.

    wsproto's own has no limit for the inflated size, and fails at a ping between two frames of a message.
    """

    def __init__(self, *, fresh_context: bool = False) -> None:
        self._fresh = fresh_context
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._inflated = 0

    def __call__(self, piece: bytes, *, last: bool) -> bytes:
        """The content of the next piece of a message. Raises ``ParseFailed``."""
        room = INFLATED_LIMIT_BYTES - self._inflated
        try:
            content = self._stream.decompress(piece + _DEFLATE_TAIL if last else piece, room + 1)
        except zlib.error:
            raise ParseFailed("a compressed message is broken", CloseReason.INVALID_FRAME_PAYLOAD_DATA) from None
        if len(content) > room:
            raise ParseFailed(f"a message inflates to over {INFLATED_LIMIT_BYTES} bytes", CloseReason.MESSAGE_TOO_BIG)
        self._inflated += len(content)
        if last:
            self._inflated = 0
            if self._fresh or self._stream.eof:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        return content


class _Headers(Extension):
    """An extension of wsproto that sees the header of each frame before its payload."""

    name = "kmon"

    def __init__(self, judge: Callable[[Opcode, RsvBits, int], RsvBits]) -> None:
        self._judge = judge

    def offer(self) -> bool:
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> RsvBits:
        return self._judge(opcode, rsv, payload_length)


def _closing(payload: bytes) -> WebSocketMessage:
    if not payload:
        return WebSocketMessage("close", code=int(CloseReason.NO_STATUS_RCVD))
    if len(payload) == 1:
        raise ParseFailed("a close frame is cut off")
    (code,) = struct.unpack_from(">H", payload)
    return WebSocketMessage("close", payload[2:], code, len(payload))


def explained(code: int, reason: str = "") -> str:
    """``1008 (policy: ...), it said: slow consumer``; ``reason`` is from the peer and must be clean."""
    known = _WORDS.get(code) or ("the application's own code" if code >= 4000 else "a code with no known meaning")
    whose = "" if code in OWN else "it said: "
    quotation = f", {whose}{reason}" if reason and code != ABNORMAL else ""
    return f"{code} ({known}){quotation}"


def close_error(closed: WebSocketMessage) -> StreamError:
    """The error of an answer that this close frame interrupts; its reason is cleaned and bounded."""
    reason = bounded(clean(closed.data.decode("utf-8", "replace")), NAME_LIMIT_CHARS)
    sentence = f"the WebSocket closed with {explained(closed.code, reason)}"
    return StreamError("websocket-closed", sentence, code=str(closed.code))
