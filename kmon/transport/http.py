"""One HTTP exchange with a streamed answer: httpx on kmon's own stamping sockets.

An exchange opens its own connection, so connection phases are measured each time, and closing an exchange closes its
socket; a :class:`~kmon.transport.carriage.Carriage` may say otherwise. There is no read timeout: the probe measures
silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import httpcore
import httpx

from kmon import __version__
from kmon.dialects.content_coding import OF_EVERY_CLIENT, CodingError, Layer, codings, layer, through
from kmon.transport.carriage import OWN_CONNECTION, Carriage
from kmon.transport.connection import Connection, Route
from kmon.transport.phase import OnPhase, OnSampler

USER_AGENT = f"kmon/{__version__}"
ERROR_BODY_LIMIT_BYTES = 65_536
ERROR_BODY_WAIT_S = 10.0
"""Limits for the body of an answer that is no stream."""
WHOLE_BODY_LIMIT_BYTES = 16 * 1024 * 1024
"""The same for an answer that was asked for in one piece."""
REST_S = 0.1
REST_LIMIT_BYTES = 65_536
"""Limits for what follows the end of an answer whose connection is kept, such as the last chunk of HTTP."""
BEGINNING_BYTES = 16
"""Enough to tell what a body is."""


class Unpacker:
    """Decodes the pieces of a body, through each of its content codings; ``identity`` passes through.

    ``of_every_client``: only through codings that every HTTP client undoes, whatever is installed beside it.
    """

    def __init__(self, encoding: str, *, of_every_client: bool = False) -> None:
        self._encoding = encoding.strip().lower()
        self._layers: list[Layer] = []
        named = codings(self._encoding)
        self._unknown = of_every_client and not OF_EVERY_CLIENT.issuperset(named)
        try:
            self._layers = [layer(coding) for coding in named]
        except CodingError:
            self._unknown = True

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        """The decoded ``packed``, in bounded steps. Raises ``httpx.DecodingError``."""
        if self._unknown:
            raise httpx.DecodingError(
                f"the body is encoded as {self._encoding[:60]!r}, although identity was asked for"
            )
        try:
            yield from through(self._layers, packed)
        except CodingError as error:
            why = f"the {self._encoding[:60]} body cannot be unpacked ({error}), although identity was asked for"
            raise httpx.DecodingError(why) from error


class Answer:
    """The response of an exchange: status and headers now, the body as stamped reads."""

    def __init__(self, response: httpx.Response, connection: Connection) -> None:
        self._response = response
        self._connection = connection
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.content_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
        self.headers_ns = self._last_read_ns()
        self.error_code: str | None = None
        """The error code, if a client library has read it from the body."""
        self._whole: bytes | None = None
        self._looked_at: list[tuple[int, bytes]] = []
        """Reads of :meth:`beginning`, to be given again."""
        self._raw = response.aiter_raw()
        self._unpacked = self._unpack()
        self._undone = b""
        """The read that could not be unpacked."""

    @property
    def stream(self) -> httpcore.AsyncNetworkStream:
        """The connection, for an answer that switches protocols (101)."""
        stream: httpcore.AsyncNetworkStream = self._response.extensions["network_stream"]
        return stream

    @property
    def last_read_ns(self) -> int:
        """Arrival of the bytes of the last read, CLOCK_MONOTONIC."""
        return self._last_read_ns()

    @property
    def certificate(self) -> bytes | None:
        """The server's certificate in DER; None without TLS."""
        session = self._response.extensions["network_stream"].get_extra_info("ssl_object")
        der: bytes | None = None if session is None else session.getpeercert(binary_form=True)
        return der

    async def reads(self) -> AsyncGenerator[tuple[int, bytes]]:
        """The body as it arrives: ``(t_ns, bytes)``, stamped when the socket was read, content encoding undone.

        After :meth:`body` it is that in one read. Raises ``httpx.DecodingError`` for an encoding that was not asked for
        and cannot be undone.
        """
        if self._whole is not None:
            yield self._last_read_ns(), self._whole
            return
        while self._looked_at:
            yield self._looked_at.pop(0)
        async for read in self._unpacked:
            yield read

    async def beginning(self) -> bytes:
        """The body up to its first :data:`BEGINNING_BYTES` that are not blank; :meth:`reads` gives them again.

        Waits as long as they take. Raises what :meth:`reads` raises.
        """
        begun = b""
        looked_at: list[tuple[int, bytes]] = []
        async with contextlib.aclosing(self.reads()) as reads:
            async for read in reads:
                looked_at.append(read)
                begun += read[1]
                if len(begun.strip()) >= BEGINNING_BYTES:
                    break
        self._looked_at = looked_at
        return begun

    async def _unpack(self) -> AsyncGenerator[tuple[int, bytes]]:
        # kmon asked for identity, as a client does that has no package for br: what that cannot read is a fault
        undo = Unpacker(self._response.headers.get("content-encoding", ""), of_every_client=True)
        async for packed in self._raw:
            t_ns = self._last_read_ns()
            try:
                for data in undo(packed):
                    yield t_ns, data
                    await asyncio.sleep(0)
            except httpx.DecodingError:
                self._undone = packed
                raise

    async def body(self, limit_bytes: int, limit_s: float | None) -> bytes:
        """The body as far as it arrives within both limits, for answers that are no streams; it may be cut. Without
        ``limit_s`` (s) it takes as long as it takes.

        One that cannot be unpacked is given as it is, if it is text, since some servers only say that they pack it;
        else as a sentence that says so. It is read once; later calls return the same bytes.
        """
        if self._whole is not None:
            return self._whole
        out = bytearray()
        with contextlib.suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
            async with asyncio.timeout(limit_s):
                try:
                    async for _, data in self.reads():
                        out += data
                        if len(out) >= limit_bytes:
                            break
                except httpx.DecodingError as error:
                    out += self._undone
                    async for packed in self._raw:
                        out += packed
                        if len(out) >= limit_bytes:
                            break
                    if not _is_text(out):
                        out = bytearray(str(error).encode())
        self._whole = bytes(out[:limit_bytes])
        return self._whole

    async def rest(self) -> None:
        """Read on to the end of the body, within limits, so that the connection can be used again."""
        with contextlib.suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
            async with asyncio.timeout(REST_S):
                size = 0
                async for packed in self._raw:
                    size += len(packed)
                    if size >= REST_LIMIT_BYTES:
                        return

    def _last_read_ns(self) -> int:
        stream = self._connection.stream
        return stream.last_read_ns if stream is not None else time.monotonic_ns()


def _is_text(data: bytearray) -> bool:
    try:
        return b"\0" not in data and bool(data.decode())
    except UnicodeDecodeError:
        return False


class HttpRequest(NamedTuple):
    """A request. The headers may hold a key, so ``repr`` leaves them out."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url})"


@contextlib.asynccontextmanager
async def exchange(
    asked: HttpRequest,
    *,
    on_phase: OnPhase,
    ssl_context: ssl.SSLContext,
    connect_timeout_s: float,
    proxy: str | None = None,
    on_sampler: OnSampler | None = None,
    carriage: Carriage = OWN_CONNECTION,
) -> AsyncIterator[Answer]:
    """Send a request and yield its answer once the headers are in; leaving the context closes the socket, unless
    ``carriage`` keeps it.

    Raises httpcore or httpx exceptions; :func:`kmon.transport.errors.stream_error` names them.
    """

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        if event == "http11.send_request_body.complete":
            on_phase("request_sent", time.monotonic_ns(), "")

    route = Route.of(asked.url, proxy, http2=carriage.http2)
    connection = await carriage.connection(route, ssl_context)
    connection.begin(on_phase, on_sampler)
    try:
        async with httpx.AsyncClient(transport=connection, follow_redirects=False, trust_env=False) as client:
            request = client.build_request(
                asked.method,
                asked.url,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **asked.headers},
                content=asked.body,
                timeout=httpx.Timeout(None, connect=connect_timeout_s),
                extensions={"trace": trace},
            )
            response = await client.send(request, stream=True)
            try:
                answer = Answer(response, connection)
                on_phase("headers", answer.headers_ns, str(answer.status))
                yield answer
                if carriage.kept is not None:
                    await answer.rest()
            finally:
                await response.aclose()
    finally:
        await carriage.done(route, connection)
