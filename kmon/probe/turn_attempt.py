"""An attempt over a WebSocket that carries an HTTP dialect in turns: it opens one, asks once, and reads the answer.

The phase ``request_sent`` is reached with the message that asks, not with the upgrade: from then on the answer is due.
"""

from __future__ import annotations

import time

from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.http_answer import answer_error
from kmon.dialects.registry import http_dialect
from kmon.dialects.websocket import close_error
from kmon.findings.signature import Signature
from kmon.findings.websocket import broken_turn_signature
from kmon.probe.attempt import Attempt
from kmon.probe.send import may_be_sent, url_of
from kmon.stream.events import Ending
from kmon.transport.errors import ExchangeError
from kmon.transport.http import Answer
from kmon.transport.phase import Phase
from kmon.transport.proxy import proxy_for
from kmon.transport.websocket import WebSocket, open_websocket

MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
"""The whole answer with its request in the last event may have megabytes."""


class TurnAttempt(Attempt):
    """One turn on a socket of its own."""

    def prepare(self) -> None:
        self._wire = http_dialect(self._target.dialect)
        self._request = self._wire.request(self._target, self._scenario, self._messages)
        self._pongs = 0

    def url(self) -> str:
        return url_of(self._target, self._request, self._credential)

    async def exchange(self) -> StreamError | None:
        url = self.url()
        may_be_sent(self._credential, url)
        key = self._credential.authorization(self._target.auth, url, proxied=proxy_for(url) is not None)
        async with open_websocket(
            url,
            ssl_context=self._shared.ssl_context,
            limit_bytes=MESSAGE_LIMIT_BYTES,
            open_timeout_s=self._limits.connect_timeout_s,
            on_phase=self._on_open_phase,
            on_sampler=self._recorder.stalls.on_sampler,
            headers=self._target.headers | key,
            refusal=self._refusal,
        ) as socket:
            opened = socket.answer
            self._recorder.headers(opened.headers_ns, opened.status, opened.headers, opened.content_type)
            async with socket.pinged():
                await self._converse(socket)
        return self.transcript.error

    async def _converse(self, socket: WebSocket) -> None:
        turns = self._wire.socket()
        assert turns is not None, "the base URL was checked"
        message = turns.message(self._request.body)
        asked = turns.asked(message)
        assert asked is not None
        await socket.send(message.decode())
        self._on_phase("request_sent", time.monotonic_ns(), "")
        async for t_ns, heard in socket.messages():
            if heard.kind in ("text", "binary"):
                said = turns.said(heard.data)
                self._shorten(progress=self._record(t_ns, said.delta))
                if asked.ended:
                    return
            elif heard.kind == "close":
                raise ExchangeError(close_error(heard))
            elif heard.kind == "ping":
                self._record(t_ns, Delta(keepalive=True, chunk=False))
            else:  # it answers a ping of kmon, so it is no sign of work on the answer
                self._pongs += 1
                self._recorder.bytes(t_ns, heard.size)

    def _on_open_phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        if phase != "request_sent":
            self._on_phase(phase, t_ns, detail)

    def _refusal(self, answer: Answer, body: bytes) -> StreamError:
        """The error of an HTTP answer to the upgrade: what it would be to an HTTP request."""
        return answer_error(answer.status, answer.content_type, answer.headers, body, spoken=self._wire)

    def _named(self, state: Ending, error: StreamError | None, found: Signature) -> Signature:
        opening = self.timeline.t_connect is not None and self.timeline.t_request_sent is None
        if state == "timed-out" and opening:
            return found.refined("no-headers", "nothing answered the WebSocket upgrade")
        return broken_turn_signature(error, self._pongs, found)
