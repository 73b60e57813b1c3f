"""The connection of an exchange, as an httpx transport on kmon's own stamping sockets. Its first request opens it."""

from __future__ import annotations

import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpcore
import httpx

from kmon.transport.backend import StampedStream, StampingBackend
from kmon.transport.phase import OnPhase, OnSampler


class Route(NamedTuple):
    """What two exchanges must have in common to use one connection. ``proxy`` may hold a password."""

    scheme: str
    host: str
    port: int | None
    proxy: str | None
    http2: bool = False

    @classmethod
    def of(cls, url: str, proxy: str | None, *, http2: bool = False) -> Route:
        """The route to ``url``, which is valid."""
        to = httpx.URL(url)
        return cls(to.scheme, to.host, to.port, proxy, http2)

    def __repr__(self) -> str:
        return f"Route({self.scheme}://{self.host}:{self.port})"


class Connection(httpx.AsyncBaseTransport, ABC):
    """One connection, for one request at a time. Leaving an httpx client does not close it: :meth:`close` does."""

    def __init__(self) -> None:
        self.backend = StampingBackend(lambda *_: None)
        self.on_phase: OnPhase = lambda *_: None

    def begin(self, on_phase: OnPhase, on_sampler: OnSampler | None) -> None:
        """The next request belongs to an exchange with these callbacks. An open connection tells that it is used again,
        since no other phase tells that the request begins."""
        self.on_phase = on_phase
        self.backend.report_to(on_phase, on_sampler)
        if self.idle:
            on_phase("reused", time.monotonic_ns(), self.backend.peer)

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Whether it is open, the last answer was read to its end, and nothing says that the server has closed it."""

    @property
    def stream(self) -> StampedStream | None:
        """Its socket; None before it is connected."""
        return self.backend.stream

    async def aclose(self) -> None:
        """What httpx calls when its client is left: it does nothing, because the connection may be kept."""

    @abstractmethod
    async def close(self) -> None:
        """Close the socket. May be repeated."""


class Http1Connection(Connection):
    """HTTP/1.1: an httpcore pool that holds at most one connection."""

    def __init__(self, ssl_context: ssl.SSLContext, proxy: str | None) -> None:
        super().__init__()
        self._pool = _pool(self.backend, ssl_context, proxy)

    @property
    def idle(self) -> bool:
        return any(each.is_idle() and not each.has_expired() for each in self._pool.connections)

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

    async def close(self) -> None:
        await self._pool.aclose()


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
