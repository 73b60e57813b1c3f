"""HTTP/2 over TLS, one request at a time. It needs h2, which the extra ``http2`` installs.

h2 takes a GOAWAY for the end of the connection, but a server that is being replaced sends one and still finishes what
it has begun (RFC 9113, section 6.8). So h2 gets the frames one by one, without GOAWAY, which is judged here.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import httpcore
import httpx

from kmon.dialects.delta import StreamError
from kmon.transport.connection import Connection
from kmon.transport.errors import Http2Error, NotSentError

PROTOCOLS = ["h2", "http/1.1"]
"""Offered by ALPN, as clients do that speak both."""
READ_BYTES = 65_536
WINDOW_BYTES = 1 << 24
"""More than an answer's unread bytes: kmon's own limit on those holds before it."""
SETTLE_S = 0.05
"""How long to wait for the rest of a frame that came while a connection was idle."""
FRAME_HEAD_BYTES, GOAWAY = 9, 7
OF_HTTP1 = frozenset({b"host", b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""Headers that HTTP/2 does not have, or has otherwise."""


class Http2Connection(Connection):
    """One HTTP/2 connection, opened by its first request and again if it was closed meanwhile.

    Raises what a connection by HTTP/1.1 raises, :class:`Http2Error` for what only HTTP/2 has, and
    :class:`NotSentError`, before anything is sent, if the server does not speak it.
    """

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        super().__init__()
        self._ssl_context = ssl_context
        self._network: httpcore.AsyncNetworkStream | None = None
        self._idle = False
        self._begin_session()

    def _begin_session(self) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._session = h2.connection.H2Connection(config=config)
        self._unread = bytearray()
        """The beginning of a frame."""
        self._events: deque[Any] = deque()
        self._leaving = False
        """Whether the server takes no more requests."""

    @property
    def idle(self) -> bool:
        return self._idle and not self._leaving

    async def close(self) -> None:
        self._idle = False
        if self._network is not None:
            await self._network.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._idle:
            await self._settle()
        if not self.idle:
            await self._connect(request)
        self._idle = False
        assert self._network is not None
        with _named():
            stream = self._session.get_next_available_stream_id()
            await self._send(request, stream)
            self.on_phase("request_sent", time.monotonic_ns(), "")
            head = await self._next(stream, h2.events.ResponseReceived)
        fields = [(bytes(name), bytes(value)) for name, value in head.headers]
        status = next((int(value) for name, value in fields if name == b":status"), 0)
        return httpx.Response(
            status,
            headers=[field for field in fields if not field[0].startswith(b":")],
            stream=_Body(self, stream),
            extensions={"network_stream": self._network, "http_version": b"HTTP/2"},
        )

    async def _connect(self, request: httpx.Request) -> None:
        await self.close()
        self._begin_session()
        host, port = request.url.host, request.url.port or 443
        limit_s = request.extensions.get("timeout", {}).get("connect")
        stream = await self.backend.connect_tcp(host, port, limit_s)
        self._ssl_context.set_alpn_protocols(PROTOCOLS)  # read at once, when the session is created
        self._network = await stream.start_tls(self._ssl_context, host, limit_s)
        spoken = self._network.get_extra_info("ssl_object").selected_alpn_protocol()
        if spoken != "h2":
            why = f"the server does not speak HTTP/2; of h2 and http/1.1 it chose {spoken or 'none'}"
            raise NotSentError(StreamError("not-sent", why))
        self._session.initiate_connection()
        self._session.increment_flow_control_window(WINDOW_BYTES)
        await self._flush()
        self._idle = True

    async def _settle(self) -> None:
        """Take in what came while the connection was idle, such as a GOAWAY or its end."""
        assert self._network is not None
        try:
            while self.idle and self._network.get_extra_info("is_readable"):
                await self._receive(0, SETTLE_S)
        except httpcore.ReadTimeout:
            pass  # a part of a record; the rest will come
        except (httpcore.NetworkError, httpcore.ProtocolError, h2.exceptions.ProtocolError):
            self._idle = False

    async def _send(self, request: httpx.Request, stream: int) -> None:
        url, body = request.url, await request.aread()
        pseudo = [
            (b":method", request.method.encode()),
            (b":authority", url.netloc),
            (b":scheme", url.raw_scheme),
            (b":path", url.raw_path),
        ]
        fields = [(name.lower(), value) for name, value in request.headers.raw if name.lower() not in OF_HTTP1]
        self._session.send_headers(stream, pseudo + fields, end_stream=not body)
        self._session.increment_flow_control_window(WINDOW_BYTES, stream)
        await self._flush()
        while body:
            size = min(self._session.local_flow_control_window(stream), self._session.max_outbound_frame_size)
            if size <= 0:
                await self._receive(stream)
                if any(isinstance(event, h2.events.StreamReset) for event in self._events):
                    return  # the answer may have come before
                continue
            part, body = body[:size], body[size:]
            self._session.send_data(stream, part, end_stream=not body)
            await self._flush()

    async def body(self, stream: int) -> AsyncIterator[bytes]:
        """The body of the answer, a piece per DATA frame; trailers are left out."""
        while True:
            with _named():
                event = await self._next(stream, h2.events.DataReceived, h2.events.StreamEnded)
                if isinstance(event, h2.events.StreamEnded):
                    self._idle = True
                    return
                self._session.acknowledge_received_data(event.flow_controlled_length, stream)
                await self._flush()
            if event.data:
                yield event.data

    async def _next(self, stream: int, *kinds: type) -> Any:  # noqa: ANN401 - an event of h2
        """The next event of one of these kinds. Raises :class:`Http2Error` if the server ends the stream."""
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, h2.events.StreamReset) and event.stream_id == stream:
                    why = f"the server ended the HTTP/2 stream (RST_STREAM, {_code(event.error_code)})"
                    raise Http2Error(StreamError("cut", why))
                if isinstance(event, kinds) and getattr(event, "stream_id", stream) == stream:
                    return event
            await self._receive(stream)

    async def _receive(self, stream: int, limit_s: float | None = None) -> None:
        assert self._network is not None
        data = await self._network.read(READ_BYTES, limit_s)
        if not data:
            raise Http2Error(StreamError("cut", "the peer closed the connection before the HTTP/2 stream had ended"))
        self._unread += data
        try:
            for frame in self._frames():
                if frame[3:4] == bytes([GOAWAY]):
                    self._goaway(frame, stream)
                else:
                    self._events.extend(self._session.receive_data(frame))
        finally:
            with contextlib.suppress(httpcore.NetworkError):  # what the server has sent counts, though it has left
                await self._flush()

    def _frames(self) -> Iterator[bytes]:
        """The frames that are complete. One that is longer than allowed is refused by its head; h2 would wait."""
        while len(self._unread) >= FRAME_HEAD_BYTES:
            length = int.from_bytes(self._unread[:3], "big")
            size = FRAME_HEAD_BYTES + length
            if length > self._session.max_inbound_frame_size:
                why = f"the answer is not valid HTTP/2: a frame of {length:,} bytes"
                raise Http2Error(StreamError("protocol", why))
            if len(self._unread) < size:
                return
            frame = bytes(self._unread[:size])
            del self._unread[:size]
            yield frame

    def _goaway(self, frame: bytes, stream: int) -> None:
        """The server takes no more requests; it fails this one unless it says that it will still answer it."""
        self._leaving = True
        last, code = int.from_bytes(frame[9:13], "big") & 0x7FFFFFFF, int.from_bytes(frame[13:17], "big")
        if stream and (code or last < stream):
            raise Http2Error(StreamError("cut", f"the server ended the HTTP/2 connection (GOAWAY, {_code(code)})"))

    async def _flush(self) -> None:
        assert self._network is not None
        if data := self._session.data_to_send():
            await self._network.write(data)


class _Body(httpx.AsyncByteStream):
    """A body that is left before its end leaves its connection busy, so that it is closed and not used again."""

    def __init__(self, connection: Http2Connection, stream: int) -> None:
        self._connection, self._stream = connection, stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._connection.body(self._stream):
            yield part


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Names what h2 refuses."""
    try:
        yield
    except h2.exceptions.ProtocolError as error:
        why = str(error) or type(error).__name__
        raise Http2Error(StreamError("protocol", f"the answer is not valid HTTP/2: {why}")) from error


def _code(code: int) -> str:
    """``INTERNAL_ERROR``, or the number of an unknown code."""
    try:
        return str(h2.errors.ErrorCodes(code).name)
    except ValueError:
        return f"error {code}"
