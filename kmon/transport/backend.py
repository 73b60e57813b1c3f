"""The network backend under httpx: sockets that stamp every arrival and every connection phase.

httpcore accepts a caller's ``AsyncNetworkBackend``. This one keeps each arrival with its own stamp (``timestamps.py``),
so a busy event loop delays the reader but does not falsify a gap. It reports DNS, TCP and TLS as they complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Awaitable, Iterable
from typing import Any

import httpcore

from kmon.transport.connect import allowed_addresses, connect_first
from kmon.transport.errors import of_resolving
from kmon.transport.phase import OnPhase, OnSampler
from kmon.transport.tcp_info import TcpSampler
from kmon.transport.timestamps import ask_for_stamps, receive
from kmon.transport.tls import TlsStream

_log = logging.getLogger(__name__)
READ_BYTES = 16_384
"""Small enough that a peer that floods occupies the event loop for some milliseconds at a time only."""
BUFFER_LIMIT_BYTES = 1 << 20
"""Unread bytes kept before reading pauses; TCP's flow control then stops the sender."""


class StampedStream(httpcore.AsyncNetworkStream):
    """One TCP connection. ``last_read_ns`` is the arrival of the bytes that the last ``read`` returned.

    The socket is read as soon as it is readable, even if no ``read`` waits; a late ``read`` gets stamped bytes.
    """

    def __init__(self, sock: socket.socket, on_phase: OnPhase) -> None:
        self.last_read_ns = 0
        self._sock, self._on_phase = sock, on_phase
        self._loop = asyncio.get_running_loop()
        self._arrivals: deque[tuple[int, bytes]] = deque()
        self._buffered_bytes = 0
        self._reading = False
        self._ended = False
        self._error: Exception | None = None
        self._wake = asyncio.Event()
        self._start_reading()

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
        if not self._reading and self._buffered_bytes < BUFFER_LIMIT_BYTES // 2:
            self._start_reading()
        self.last_read_ns = stamp_ns
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._raise_lost(httpcore.WriteError)
        try:
            await _within(self._loop.sock_sendall(self._sock, buffer), timeout, httpcore.WriteTimeout)
        except OSError as error:
            self._raise_lost(httpcore.WriteError)  # the error of the read explains more than that of the write
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Close at once without flushing, so that a cancelled stream costs nothing more. May be repeated."""
        self._stop_reading()
        self._ended = True
        self._sock.close()
        self._wake.set()

    async def ended(self) -> None:
        """Wait until the peer has ended the connection; bytes may still be unread."""
        while not self._ended:
            self._wake.clear()
            await self._wake.wait()

    async def half_close(self) -> None:
        """Shut down the sending side; reading is still possible."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    async def reset(self) -> None:
        """Close with a TCP reset, so that the peer knows that its data is incomplete."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return await TlsStream.over(self, ssl_context, server_hostname, timeout, self._on_phase)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        match info:
            case "socket":
                return self._sock
            case "client_addr":
                return self._sock.getsockname()
            case "server_addr":
                return self._sock.getpeername()
            case "is_readable":
                return bool(self._arrivals) or self._ended
        return None

    @property
    def held_bytes(self) -> int:
        """Bytes read from the socket that no ``read`` has returned yet."""
        return self._buffered_bytes

    # -- reading -----------------------------------------------------------------------------------------------------

    def _start_reading(self) -> None:
        if not self._ended:
            self._reading = True
            self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock.fileno())

    def _on_readable(self) -> None:
        try:
            stamp_ns, data = receive(self._sock, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._error, data = error, b""
        if data:
            self._arrivals.append((stamp_ns, data))
            self._buffered_bytes += len(data)
            if self._buffered_bytes > BUFFER_LIMIT_BYTES:
                self._stop_reading()
        else:
            self._stop_reading()
            self._ended = True
        self._wake.set()

    def _raise_lost(self, kind: type[httpcore.NetworkError]) -> None:
        """Raise the error that ended the connection, as the context, which survives httpcore's ``from None``."""
        if self._error is None:
            return
        try:
            raise self._error
        except Exception as error:
            raise kind(str(error)) from error


class StampingBackend(httpcore.AsyncNetworkBackend):
    """Opens :class:`StampedStream` connections; ``stream`` is the latest one."""

    def __init__(self, on_phase: OnPhase, on_sampler: OnSampler | None = None) -> None:
        self._on_phase, self._on_sampler = on_phase, on_sampler
        self.stream: StampedStream | None = None
        self.peer = ""
        """Address and port of the latest connection."""
        self._dialled = ""

    def report_to(self, on_phase: OnPhase, on_sampler: OnSampler | None) -> None:
        """Report to these from now on; the sampler of a connection that is open is given at once."""
        self._on_phase, self._on_sampler = on_phase, on_sampler
        if self.stream is not None:
            self._give_sampler(self.stream)

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
                try:
                    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                except OSError as error:
                    raise of_resolving(error) or error from None
                self._on_phase("dns", time.monotonic_ns(), f"{len(addresses)} address(es)")
                sock = await connect_first(allowed_addresses(host, addresses), socket_options)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(f"no TCP connection to {host}:{port} within {timeout:g} s") from exc
        except (OSError, UnicodeError) as exc:  # UnicodeError: an invalid host name
            raise httpcore.ConnectError(str(exc)) from exc
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask_for_stamps(sock)
        address = sock.getpeername()
        self.peer, self._dialled = f"{address[0]}:{address[1]}", f"{host}:{port}"
        self._on_phase("connect", time.monotonic_ns(), self.peer)
        _log.debug("connected to %s port %d", host, port)
        self.stream = stream = StampedStream(sock, self._on_phase)
        self._give_sampler(stream)
        return stream

    def _give_sampler(self, stream: StampedStream) -> None:
        if self._on_sampler is not None:
            self._on_sampler(TcpSampler(stream.get_extra_info("socket"), self._dialled, lambda: stream.held_bytes))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _within(waiting: Awaitable[object], timeout_s: float | None, error: type[Exception]) -> None:
    if timeout_s is None:
        await waiting
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await waiting
            return
    raise error(f"nothing within {timeout_s:g} s")
