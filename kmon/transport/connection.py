"""The connection of an exchange, and connections that are kept open for later exchanges.

A connection is an httpcore pool that holds at most one, on kmon's own stamping sockets: it is opened by its first
request. Usually an exchange has one of its own and closes it; only :class:`KeptConnections` lets another use it again.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpcore
import httpx

from kmon.transport.backend import StampedStream, StampingBackend
from kmon.transport.phase import OnPhase, OnSampler

KEPT_LIMIT = 8
"""Connections kept open per route: two rounds of an isolation."""


class Route(NamedTuple):
    """What two exchanges must have in common to use one connection. ``proxy`` may hold a password."""

    scheme: str
    host: str
    port: int | None
    proxy: str | None

    @classmethod
    def of(cls, url: str, proxy: str | None) -> Route:
        """The route to ``url``, which is valid."""
        to = httpx.URL(url)
        return cls(to.scheme, to.host, to.port, proxy)

    def __repr__(self) -> str:
        return f"Route({self.scheme}://{self.host}:{self.port})"


class Connection(httpx.AsyncBaseTransport):
    """One connection, as an httpx transport. Leaving an httpx client does not close it: :meth:`close` does."""

    def __init__(self, ssl_context: ssl.SSLContext, proxy: str | None) -> None:
        self._backend = StampingBackend(lambda *_: None)
        self._pool = _pool(self._backend, ssl_context, proxy)

    def begin(self, on_phase: OnPhase, on_sampler: OnSampler | None) -> None:
        """The next request belongs to an exchange with these callbacks. An open connection tells that it is used again,
        since no other phase tells that the request begins."""
        self._backend.report_to(on_phase, on_sampler)
        if self.idle:
            on_phase("reused", time.monotonic_ns(), self._backend.peer)

    @property
    def idle(self) -> bool:
        """Whether it is open, the last answer was read to its end, and the server has not closed it or sent more."""
        return any(each.is_idle() and not each.has_expired() for each in self._pool.connections)

    @property
    def stream(self) -> StampedStream | None:
        """Its socket; None before it is connected."""
        return self._backend.stream

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """What httpx calls when its client is left: it does nothing, because the connection may be kept."""

    async def close(self) -> None:
        """Close the socket. May be repeated."""
        await self._pool.aclose()


class KeptConnections:
    """Open connections that a request has used and no request uses now. Close them in the end."""

    def __init__(self) -> None:
        self._idle: dict[Route, list[Connection]] = {}

    async def take(self, route: Route) -> Connection | None:
        """The one that was used last, as clients do, since a server closes the oldest first; None if none is open."""
        idle = self._idle.get(route, [])
        while idle:
            connection = idle.pop()
            if connection.idle:
                return connection
            await connection.close()
        return None

    async def keep(self, route: Route, connection: Connection) -> None:
        """Keep a connection if it can be used again, else close it."""
        if not connection.idle:
            await connection.close()
            return
        idle = self._idle.setdefault(route, [])
        idle.append(connection)
        if len(idle) > KEPT_LIMIT:
            await idle.pop(0).close()

    async def close(self) -> None:
        """Close them all. May be repeated."""
        kept, self._idle = self._idle, {}
        for idle in kept.values():
            for connection in idle:
                await connection.close()


class Carriage(NamedTuple):
    """How an exchange gets its connection, and what becomes of it.

    ``kept``: it is left open there after an answer that was read to its end; None: it is closed. With ``reuse`` the
    exchange takes a connection from there; if none is open, it opens one.
    """

    kept: KeptConnections | None = None
    reuse: bool = False

    async def connection(self, route: Route, ssl_context: ssl.SSLContext) -> Connection:
        """The connection of an exchange over ``route``."""
        used = await self.kept.take(route) if self.kept is not None and self.reuse else None
        return used or Connection(ssl_context, route.proxy)

    async def done(self, route: Route, connection: Connection) -> None:
        """The exchange is over, in whatever way."""
        if self.kept is None:
            await connection.close()
        else:
            await self.kept.keep(route, connection)


OWN_CONNECTION = Carriage()
"""A connection of its own, closed afterwards."""


def _pool(backend: StampingBackend, ssl_context: ssl.SSLContext, proxy: str | None) -> httpcore.AsyncConnectionPool:
    if proxy is None:
        return httpcore.AsyncConnectionPool(ssl_context=ssl_context, max_connections=1, network_backend=backend)
    url = httpx.URL(proxy)
    auth = (url.username, url.password) if url.username else None
    bare = str(url.copy_with(username=None, password=None))
    if url.scheme.startswith("socks"):
        return httpcore.AsyncSOCKSProxy(
            bare, proxy_auth=auth, ssl_context=ssl_context, max_connections=1, network_backend=backend
        )
    return httpcore.AsyncHTTPProxy(
        bare, proxy_auth=auth, ssl_context=ssl_context, max_connections=1, network_backend=backend
    )


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()
