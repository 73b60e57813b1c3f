"""A WebSocket that passes through the proxy: its messages as deltas, so that gaps are measured there too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta
from kmon.dialects.websocket import Inflate, MessageReader, WebSocketMessage
from kmon.probe.request_secrets import SECRETS_LIMIT, keys_said
from kmon.proxy.relay.head import ResponseHead
from kmon.proxy.relay.observer import Side

MESSAGE_LIMIT_BYTES = 1 << 20
"""How much of one message is kept; the rest is counted only."""
MESSAGE_LIMIT_CHARS = 20_000
READ_LIMIT_BYTES = 100_000
"""How much of a message is searched for keys: more than is shown, so that no key is cut in two."""


class Tunnel:
    """Messages of the upstream are the answer; messages of the client are shown among the raw chunks only.

    ``learn`` is called with each key in a message (a gateway's client sends its token in one) before the message is
    returned, so that the key is never shown.
    """

    def __init__(self, head: ResponseHead, learn: Callable[[Sequence[str]], None]) -> None:
        self._readers = readers_of(head, MESSAGE_LIMIT_BYTES)
        self._learn = learn
        self._keys: dict[Side, set[str]] = {"upstream": set(), "client": set()}
        self.close_code: int | None = None
        """Of the first close frame of either side."""

    @property
    def cut(self) -> bool:
        """Whether a WebSocket that could be read on both sides had no close frame."""
        return self.close_code is None and len(self._readers) == 2

    def feed(self, side: Side, data: bytes) -> list[Delta]:
        """The messages that ``data`` completes. After an invalid frame only the bytes of that side are counted."""
        reader = self._readers.get(side)
        if reader is None:
            return [Delta(chunk=side == "upstream", raw=f"{len(data)} bytes from the {side}")]
        deltas = [self._delta(side, message) for message in reader.feed(data)]
        if (broken := reader.violation) is not None:
            del self._readers[side]
            sentence = f"from here on the {side} sends what is no valid WebSocket: {broken.message}"
            deltas.append(Delta(chunk=side == "upstream", raw=sentence))
        return deltas

    def _delta(self, side: Side, message: WebSocketMessage) -> Delta:
        if message.kind in ("ping", "pong"):
            return Delta(keepalive=True, chunk=False, raw=f"{message.kind} from {side}")
        if message.kind == "close":
            first = self.close_code is None
            self.close_code = message.code if first else self.close_code
            reason = message.data.decode("utf-8", "replace")
            shown = f"close {message.code}{f' {reason}' if reason else ''} from {side}"
            return Delta(finish_reason=shown if first else None, done=first, chunk=False, raw=shown)
        shown = f"({message.size} bytes of binary)" if message.kind == "binary" else self._text(side, message.data)
        if side == "client":
            return Delta(chunk=False, raw=bounded(f"> {shown}", FRAME_LIMIT_CHARS))
        return Delta(text=f"{shown}\n", raw=bounded(shown, FRAME_LIMIT_CHARS))

    def _text(self, side: Side, data: bytes) -> str:
        shown = data[:READ_LIMIT_BYTES].decode("utf-8", "replace")
        known = self._keys[side]  # a side with many keys does not use up the limit of the other
        new = [key for key in keys_said(shown, answered=side == "upstream") if key not in known]
        new = new[: SECRETS_LIMIT - len(known)]
        if new:
            known.update(new)
            self._learn(new)
        return bounded(shown, MESSAGE_LIMIT_CHARS)


def readers_of(head: ResponseHead, limit_bytes: int) -> dict[Side, MessageReader]:
    """The sides that can be read after the answer ``head``: none, if the tunnel is no WebSocket.

    Of a message the first ``limit_bytes`` are kept.
    """
    if head.headers.get("upgrade", "").lower() != "websocket":
        return {}
    agreed = head.headers.get("sec-websocket-extensions", "")

    def reader(fresh_context: str, *, masked: bool) -> MessageReader:
        inflate = Inflate(fresh_context=fresh_context in agreed) if "permessage-deflate" in agreed else None
        return MessageReader(limit_bytes, masked=masked, cut=True, inflate=inflate)

    return {
        "upstream": reader("server_no_context_takeover", masked=False),
        "client": reader("client_no_context_takeover", masked=True),
    }
