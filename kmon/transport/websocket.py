"""A WebSocket client on kmon's own sockets, with the phases, proxies and stamps of any other exchange.

Messages come as ``(t_ns, WebSocketMessage)`` with the stamp of the bytes that completed them. Pings are answered and
sent here, and also returned, because they show that the peer is alive. No wait is unbounded: opening has a limit; a
peer that closes gets a close frame back and its socket is closed at once; the caller limits reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

import httpcore
from wsproto.frame_protocol import CloseReason, FrameProtocol
from wsproto.utilities import generate_accept_token, generate_nonce

from kmon.dialects.bounds import QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.dialects.text import clean
from kmon.dialects.websocket import MessageReader, Violation, WebSocketMessage
from kmon.transport.errors import ExchangeError
from kmon.transport.http import Answer, HttpRequest, exchange
from kmon.transport.phase import OnPhase, OnSampler
from kmon.transport.proxy import proxy_for

READ_BYTES = 65_536
PING_EVERY_S = 20.0
CLOSE_WAIT_S = 0.5
"""How long sending the close frame may take; then the socket is closed without it."""
WRITE_LIMIT_S = 10.0
TURN_MESSAGES = 64
"""Messages returned in a row before other tasks run: one read may hold thousands of small frames."""
REFUSAL_LIMIT_BYTES = 2_000
REFUSAL_WAIT_S = 1.0


class WebSocket:
    """An open connection. Make one with :func:`open_websocket`."""

    def __init__(self, answer: Answer, limit_bytes: int) -> None:
        self.answer, self._stream = answer, answer.stream
        self._reader, self._frames = MessageReader(limit_bytes), FrameProtocol(client=True, extensions=[])
        self._writing = asyncio.Lock()
        self._last_ns = 0
        self._arrived: deque[tuple[int, WebSocketMessage]] = deque()
        """Messages of the last read that were not returned yet; a later call of :meth:`messages` returns them."""
        self.closed: WebSocketMessage | None = None
        """How the connection ended, once it has: the peer's close frame, or 1006 (abnormal) without one."""

    def allow(self, limit_bytes: int) -> None:
        """Change the limit of a message."""
        self._reader.limit_bytes = limit_bytes

    async def messages(self) -> AsyncIterator[tuple[int, WebSocketMessage]]:
        """The messages with their arrival in CLOCK_MONOTONIC ns; the last one is the close frame.

        Raises :class:`ExchangeError` with the kind ``protocol`` if the peer violates RFC 6455 or the limit; the
        connection is then closed with the code for it.
        """
        returned = 0
        while True:
            while self._arrived:
                returned += 1
                if returned % TURN_MESSAGES == 0:
                    await asyncio.sleep(0)
                t_ns, message = self._arrived.popleft()
                if message.kind == "ping":
                    await self._send(self._frames.pong(message.data))
                elif message.kind == "close" and self.closed is None:
                    self.closed = message
                    await self._last_frame(message.code, "")
                yield t_ns, message
                if message.kind == "close":
                    return
            if self.closed is not None:
                return
            if (broken := self._reader.violation) is not None:
                await self.close(broken.code, broken.message)
                raise ExchangeError(StreamError("protocol", f"the peer sent {_what(broken)}"))
            try:
                data = await self._stream.read(READ_BYTES)
            except httpcore.NetworkError as error:
                data, lost = b"", str(error)
            else:
                lost = "the connection ended without a close frame" if not data else ""
            self._last_ns = max(self._last_ns, self.answer.last_read_ns)  # kernel stamps may step back by some ns
            t_ns = self._last_ns
            if not data:
                self.closed = WebSocketMessage("close", lost.encode(), int(CloseReason.ABNORMAL_CLOSURE))
                yield t_ns, self.closed
                return
            self._arrived.extend((t_ns, message) for message in self._reader.feed(data))

    async def send(self, text: str) -> None:
        """Send a text message. Raises ``httpcore.NetworkError``."""
        await self._send(self._frames.send_data(text))

    async def pinging(self, every_s: float = PING_EVERY_S) -> None:
        """Send pings until cancelled. The pongs come among the messages."""
        with contextlib.suppress(httpcore.NetworkError, httpcore.TimeoutException):
            while self.closed is None:
                await asyncio.sleep(every_s)
                await self._send(self._frames.ping(b"kmon"))

    @contextlib.asynccontextmanager
    async def pinged(self) -> AsyncIterator[None]:
        """Send pings in this context."""
        pinging = asyncio.create_task(self.pinging())
        try:
            yield
        finally:
            pinging.cancel()
            await asyncio.wait([pinging])

    async def close(self, code: int = CloseReason.NORMAL_CLOSURE, reason: str = "") -> None:
        """Send a close frame; leaving the context closes the socket."""
        if self.closed is None:
            self.closed = WebSocketMessage("close", reason.encode(), code)
            await self._last_frame(code, reason)

    async def _last_frame(self, code: int, reason: str) -> None:
        with contextlib.suppress(httpcore.NetworkError, httpcore.TimeoutException, TimeoutError):
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self._send(self._frames.close(code, reason))

    async def _send(self, frame: bytearray) -> None:
        async with self._writing:
            await self._stream.write(bytes(frame), WRITE_LIMIT_S)


@contextlib.asynccontextmanager
async def open_websocket(
    url: str,
    *,
    ssl_context: ssl.SSLContext,
    limit_bytes: int,
    open_timeout_s: float,
    on_phase: OnPhase,
    on_sampler: OnSampler | None = None,
    headers: Mapping[str, str] | None = None,
    refusal: Callable[[Answer, bytes], StreamError] | None = None,
) -> AsyncIterator[WebSocket]:
    """Open ``ws://`` or ``wss://`` within ``open_timeout_s``; leaving closes the socket, with a close frame if it can.

    Raises :class:`ExchangeError` if the server does not speak WebSocket or does not answer, and httpcore's exceptions
    if there is no connection. ``refusal`` makes the error of an ordinary HTTP answer, of which it gets the body;
    without it the error is that no WebSocket server is there.
    """
    key = generate_nonce()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(open_timeout_s):
                answer = await stack.enter_async_context(
                    exchange(
                        HttpRequest("GET", url, {**(headers or {}), **upgrade, "Sec-WebSocket-Key": key.decode()}),
                        on_phase=on_phase,
                        ssl_context=ssl_context,
                        connect_timeout_s=open_timeout_s,
                        proxy=proxy_for(url),
                        on_sampler=on_sampler,
                    )
                )
                if answer.status != 101:
                    body = await answer.body(REFUSAL_LIMIT_BYTES, REFUSAL_WAIT_S)
                    raise ExchangeError((refusal or _not_a_websocket)(answer, body))
        except TimeoutError:
            raise ExchangeError(
                StreamError("no-upgrade", f"nothing answered the WebSocket upgrade within {open_timeout_s:g} s")
            ) from None
        if answer.headers.get("sec-websocket-accept") != generate_accept_token(key).decode():
            raise ExchangeError(StreamError("protocol", "the answer to the WebSocket upgrade does not fit the request"))
        socket = WebSocket(answer, limit_bytes)
        try:
            yield socket
        finally:
            await asyncio.shield(socket.close())


def _not_a_websocket(answer: Answer, body: bytes) -> StreamError:
    """The error for an ordinary HTTP answer to the upgrade request."""
    body_text = bounded(" ".join(clean(body.decode("utf-8", "replace")).split()), QUOTED_LIMIT_CHARS)
    return StreamError(
        "not-a-websocket",
        f"a plain HTTP server answered {answer.status} instead of opening a WebSocket; check the port and the path"
        + (f" (it said: {body_text})" if body_text else ""),
        answer.status,
        frame=body_text or None,
    )


def _what(broken: Violation) -> str:
    too_big = broken.code == CloseReason.MESSAGE_TOO_BIG
    return broken.message if too_big else f"what is no valid WebSocket: {broken.message}"
