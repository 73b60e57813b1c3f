"""The network floor under httpx: asyncio sockets that stamp every arrival and every connection phase.

httpcore lets a caller bring its own ``AsyncNetworkBackend``. This one keeps each arrival apart with its own stamp
(CLOCK_MONOTONIC ns, taken in ``data_received``), so a busy loop delays the reader but does not merge two arrivals
into one, and it reports DNS, TCP and TLS as they complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Iterable
from typing import Any

import httpcore

from kmon.transport.phase import OnPhase

BUFFER_LIMIT_BYTES = 1 << 20
"""Unread bytes kept before the socket is asked to wait; TCP's own window then holds the sender."""
STAGGER_S = 0.25
"""How long one address may keep the next waiting (RFC 8305, Happy Eyeballs)."""


class StampedStream(httpcore.AsyncNetworkStream, asyncio.Protocol):
    """One connection. ``last_read_ns`` is the arrival stamp of the bytes the last ``read`` returned."""

    def __init__(self, on_phase: OnPhase) -> None:
        self.last_read_ns = 0
        self._on_phase = on_phase
        self._transport: asyncio.Transport | None = None
        self._arrivals: deque[tuple[int, bytes]] = deque()
        self._buffered_bytes = 0
        self._paused = False
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._ended = False
        self._error: Exception | None = None

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._arrivals.append((time.monotonic_ns(), data))
        self._buffered_bytes += len(data)
        if self._buffered_bytes > BUFFER_LIMIT_BYTES and self._transport and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake.set()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._error = exc
        self._wake.set()
        self._drained.set()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    # -- httpcore.AsyncNetworkStream ---------------------------------------------------------------------------------

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next arrival, at most ``max_bytes`` of it; ``b""`` at a clean end."""
        while not self._arrivals:
            self._raise_lost(httpcore.ReadError)
            if self._ended:
                self.last_read_ns = time.monotonic_ns()
                return b""
            self._wake.clear()
            await _within(self._wake.wait(), timeout, httpcore.ReadTimeout)
        stamp_ns, data = self._arrivals.popleft()
        if len(data) > max_bytes:
            self._arrivals.appendleft((stamp_ns, data[max_bytes:]))
            data = data[:max_bytes]
        self._buffered_bytes -= len(data)
        if self._paused and self._buffered_bytes < BUFFER_LIMIT_BYTES // 2 and self._transport:
            self._paused = False
            self._transport.resume_reading()
        self.last_read_ns = stamp_ns
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._transport is None or self._transport.is_closing():
            self._raise_lost(httpcore.WriteError)
            raise httpcore.WriteError("the connection is closed")
        self._transport.write(buffer)
        await _within(self._drained.wait(), timeout, httpcore.WriteTimeout)
        self._raise_lost(httpcore.WriteError)

    def _raise_lost(self, kind: type[httpcore.NetworkError]) -> None:
        """Raise what the connection was lost by. httpcore re-raises ``from None``; only the context survives that."""
        if self._error is None:
            return
        try:
            raise self._error
        except Exception as error:
            raise kind(str(error)) from error

    async def aclose(self) -> None:
        """Close at once: nothing is worth flushing, and a cancelled stream must stop costing now."""
        if self._transport is not None:
            self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> StampedStream:
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        handshake = loop.start_tls(
            self._transport, self, ssl_context, server_hostname=server_hostname, ssl_handshake_timeout=timeout
        )
        try:
            transport = await handshake
        except (OSError, ssl.SSLError, TimeoutError) as exc:
            await self.aclose()
            raise httpcore.ConnectError(str(exc) or "TLS handshake failed") from exc
        if transport is None:
            raise httpcore.ConnectError("the peer closed the connection during the TLS handshake")
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        self._on_phase("tls", time.monotonic_ns(), str(tls.version()) if tls else "")
        return self

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        if self._transport is None:
            return None
        return self._transport.get_extra_info({"server_addr": "peername"}.get(info, info))


class StampingBackend(httpcore.AsyncNetworkBackend):
    """Opens :class:`StampedStream` connections; ``stream`` is the latest one."""

    def __init__(self, on_phase: OnPhase) -> None:
        self._on_phase = on_phase
        self.stream: StampedStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                self._on_phase("dns", time.monotonic_ns(), f"{len(addresses)} address(es)")
                sock = await _connect_first(addresses, socket_options)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _, stream = await loop.create_connection(lambda: StampedStream(self._on_phase), sock=sock)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(f"no TCP connection to {host}:{port} within {timeout:g} s") from exc
        except OSError as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        peer = stream.get_extra_info("peername")
        self._on_phase("connect", time.monotonic_ns(), f"{peer[0]}:{peer[1]}" if peer else "")
        self.stream = stream
        return stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


_Address = tuple[Any, Any, int, str, Any]


async def _connect_first(addresses: list[_Address], options: Iterable[httpcore.SOCKET_OPTION] | None) -> socket.socket:
    """Connect to the first address that answers, giving each a head start over the next."""
    options = list(options or ())
    waiting: set[asyncio.Task[socket.socket]] = set()
    failure: OSError = OSError("the name has no address")
    try:
        for i, address in enumerate(addresses):
            waiting.add(asyncio.ensure_future(_connect_one(address, options)))
            last = i == len(addresses) - 1
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=None if last else STAGGER_S, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    error = task.exception()
                    if error is None:
                        return task.result()
                    if not isinstance(error, OSError):
                        raise error
                    failure = error
                if not last:
                    break
    finally:
        for task in waiting:
            task.cancel()
    raise failure


async def _connect_one(address: _Address, options: Iterable[httpcore.SOCKET_OPTION]) -> socket.socket:
    family, kind, protocol, _, sockaddr = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        for option in options:
            sock.setsockopt(*option)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def _within(waiting: Awaitable[object], timeout_s: float | None, error: type[Exception]) -> None:
    if timeout_s is None:
        await waiting
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await waiting
            return
    raise error(f"nothing within {timeout_s:g} s")
