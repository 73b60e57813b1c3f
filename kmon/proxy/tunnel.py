"""A WebSocket that passes through the proxy: its messages as deltas, so that a silence is a gap there, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta
from kmon.probe.request_secrets import SECRETS_LIMIT, keys_said
from kmon.proxy.relay.head import ResponseHead
from kmon.proxy.relay.messages import BINARY, PING, PONG, Message, MessageReader
from kmon.proxy.relay.observer import Side

MESSAGE_LIMIT_CHARS = 20_000
READ_LIMIT_BYTES = 100_000
"""What of a message is looked at; more than is ever shown of it, so that no key is cut in two."""


class Tunnel:
    """What came from the upstream is the answer; what the client says is shown among the raw chunks only.

    A key that either says in a message (a gateway's client sends its token so) is told to ``learn`` before the message
    is handed on, so that it is never shown, then or later.
    """

    def __init__(self, head: ResponseHead, learn: Callable[[Sequence[str]], None]) -> None:
        extensions = head.headers.get("sec-websocket-extensions", "")
        deflate = "permessage-deflate" in extensions
        self.is_websocket = head.headers.get("upgrade", "").lower() == "websocket"
        self._readers = {
            "upstream": MessageReader(deflate=deflate, fresh_context="server_no_context_takeover" in extensions),
            "client": MessageReader(deflate=deflate, fresh_context="client_no_context_takeover" in extensions),
        }
        self._learn = learn
        self._keys: dict[Side, set[str]] = {"upstream": set(), "client": set()}
        self.close_code: int | None = None
        """Of the first close frame, whoever sent it."""

    @property
    def cut(self) -> bool:
        """Whether it is a WebSocket that nobody has closed properly."""
        return self.is_websocket and self.close_code is None

    def feed(self, side: Side, data: bytes) -> list[Delta]:
        """The messages that ``data`` completes."""
        if not self.is_websocket:
            return [Delta(chunk=side == "upstream", raw=f"{len(data)} bytes from the {side}")]
        return [self._delta(side, message) for message in self._readers[side].feed(data)]

    def _delta(self, side: Side, message: Message) -> Delta:
        if message.opcode in (PING, PONG):
            return Delta(keepalive=True, chunk=False, raw=f"{'ping' if message.opcode == PING else 'pong'} from {side}")
        if (code := message.close_code) is not None:
            first = self.close_code is None
            self.close_code = code if first else self.close_code
            reason = message.data[2:].decode("utf-8", "replace")
            said = f"close {code}{f' {reason}' if reason else ''} from {side}"
            return Delta(finish_reason=said if first else None, done=first, chunk=False, raw=said)
        binary = f"({message.size} bytes of binary)"
        said = binary if message.opcode == BINARY else self._said(side, message.data)
        if side == "client":
            return Delta(chunk=False, raw=bounded(f"> {said}", FRAME_LIMIT_CHARS))
        return Delta(text=f"{said}\n", raw=bounded(said, FRAME_LIMIT_CHARS))

    def _said(self, side: Side, data: bytes) -> str:
        said = data[:READ_LIMIT_BYTES].decode("utf-8", "replace")
        known = self._keys[side]  # a side that says many keys does not crowd out those of the other
        new = [key for key in keys_said(said, answered=side == "upstream") if key not in known]
        new = new[: SECRETS_LIMIT - len(known)]
        if new:
            known.update(new)
            self._learn(new)
        return bounded(said, MESSAGE_LIMIT_CHARS)
