"""An attempt at a plain WebSocket: it opens the connection and reads messages; it sends only pings.

A message is a chunk. The attempt ends when the peer closes, or at its timeout.
"""

from __future__ import annotations

from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.sockets import decoded
from kmon.dialects.websocket import CLEAN, WebSocketMessage, close_error
from kmon.findings.content import RequestFacts
from kmon.findings.signature import Signature
from kmon.findings.websocket import closed_signature
from kmon.probe.attempt import Attempt
from kmon.stream import events as ev
from kmon.transport.errors import ExchangeError
from kmon.transport.phase import Phase
from kmon.transport.websocket import WebSocket, open_websocket

MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024


class WebSocketAttempt(Attempt):
    """One WebSocket that is only read."""

    def prepare(self) -> None:
        self._recorder.request = RequestFacts("")
        self._pongs = 0

    def url(self) -> str:
        return self._target.base_url

    async def exchange(self) -> StreamError | None:
        async with open_websocket(
            self.url(),
            ssl_context=self._shared.ssl_context,
            limit_bytes=MESSAGE_LIMIT_BYTES,
            open_timeout_s=self._limits.connect_timeout_s,
            on_phase=self._on_open_phase,
            on_sampler=self._recorder.stalls.on_sampler,
            headers=self._target.headers,
        ) as socket:
            async with socket.pinged():
                await self._listen(socket)
        return self.transcript.error

    async def _listen(self, socket: WebSocket) -> None:
        async for t_ns, message in socket.messages():
            match message.kind:
                case "ping" | "pong":
                    self._pongs += message.kind == "pong"
                    self._record(t_ns, Delta(keepalive=True, chunk=False))
                case "close":
                    self._closed(t_ns, message)
                case _:
                    self._record(t_ns, decoded(message.data, binary=message.kind == "binary"))

    def _closed(self, t_ns: int, message: WebSocketMessage) -> None:
        if message.code not in CLEAN:
            raise ExchangeError(close_error(message))
        self._record(t_ns, Delta(finish_reason=f"closed {message.code}", done=True, chunk=False))

    def _on_open_phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self._on_phase(phase, t_ns, detail)
        if phase == "headers":
            self._recorder.identified(t_ns, 101, {})

    def over(self) -> bool:
        """At its timeout the attempt is done if any message arrived."""
        return self.timeline.chunk.ticks > 0

    def _named(self, state: ev.Ending, error: StreamError | None, found: Signature) -> Signature:
        if (closed := closed_signature(error, self._pongs, found)) is not None:
            return closed
        if state == "done" and self.transcript.malformed_frames == 0:
            count = self.timeline.chunk.ticks
            return found.refined(None, f"{count} message{'' if count == 1 else 's'}")
        return found
