"""One TCP connection of the simulator: it reads requests, writes bytes and records who closed it.

It is an asyncio protocol, not a stream, because it must notice at once that the client has left, even while it sends
nothing itself, and because it must be able to reset the connection in the middle of a chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable

from kmon.simulator.http import CONTINUE, Check, HttpError, RequestParser, ServerRequest

IDLE_LIMIT_S = 75.0
"""The longest time between two requests of a connection."""
REQUEST_LIMIT_S = 30.0
"""The longest time for the bytes of one request."""
UNREAD_LIMIT_BYTES = 1024 * 1024
"""The most that a client may send ahead while its answer is still streaming."""
SOCKET_LIMIT_BYTES = 64 * 1024 * 1024
"""The most that a client of a WebSocket may send before it is read."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
UNSENT_LIMIT_BYTES = 16 * 1024
"""The most that the kernel may hold unsent; without a limit, a client that does not read is noticed after megabytes."""
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
FAREWELL_S = 2.0
"""How long a refused client may send nothing. What it still sends is discarded, so that it can read the refusal."""
FAREWELL_LIMIT_S = 10.0
FAREWELL_LIMIT_BYTES = 64 * 1024 * 1024

SO_ATTACH_FILTER = 26
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_FLAGS_AT = 13
_FIN_OR_RST = 0x01 | 0x04
_KEEP, _DROP = 0xFFFF, 0
DROP_ALL_BUT_FIN_AND_RST = (
    (_LOAD_BYTE, 0, 0, _FLAGS_AT),
    (_JUMP_IF_SET, 0, 1, _FIN_OR_RST),
    (_RETURN, 0, 0, _KEEP),
    (_RETURN, 0, 0, _DROP),
)
"""A classic BPF program over the TCP header. A socket filter needs no privileges, unlike a firewall rule. FIN and RST
pass, so that the end of the client is seen; not if it has sent data since, because that data is missing before them."""


class HttpConnection(asyncio.Protocol):
    """The connection of one client. ``client_left`` is True once the client has closed or reset its side."""

    def __init__(
        self, serve: Callable[[HttpConnection], Awaitable[None]], on_open: Callable[[HttpConnection], None],
        on_close: Callable[[HttpConnection], None], check: Check,
    ) -> None:  # fmt: skip
        self._serve = serve
        self._on_open = on_open
        self._on_close = on_close
        self._parser = RequestParser(check)
        self._woken = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._discard = False
        self._discarded_bytes = 0
        self._answering = False
        self._socket: bytearray | None = None
        """What a client of a WebSocket has sent and the server has not read yet; None before an upgrade."""
        self._closing = False  # by this side
        self.client_left = False
        self.closed = asyncio.Event()
        self.t_accept_ns = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.t_accept_ns = time.monotonic_ns()
        if _NOTSENT_LOWAT is not None:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_LIMIT_BYTES)
        self._on_open(self)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        if self._discard:
            self._discarded_bytes += len(data)
            self._woken.set()
            return
        if self._socket is not None:
            self._socket += data
            if len(self._socket) > SOCKET_LIMIT_BYTES:
                self._leave()
            self._woken.set()
            return
        self._parser.feed(data)
        if self._answering and self._parser.buffered_bytes > UNREAD_LIMIT_BYTES:
            self._leave()
        self._woken.set()

    def eof_received(self) -> bool:
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._woken.set()
        self.closed.set()
        self._on_close(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # for the server

    async def read_request(self) -> ServerRequest | None:
        """The next request, or None when the connection ends. Raises HttpError for one that cannot be served."""
        self._answering = False
        while not (self.client_left or self._closing):
            request = self._parser.next()
            if request is not None:
                self._answering = True
                return request
            if self._parser.take_continue():
                self._transport.write(CONTINUE)
            started = self._parser.started
            self._woken.clear()
            try:
                async with asyncio.timeout(REQUEST_LIMIT_S if started else IDLE_LIMIT_S):
                    await self._woken.wait()
            except TimeoutError:
                if started:
                    raise HttpError(408, f"no complete request within {REQUEST_LIMIT_S:.0f} s") from None
                return None
        return None

    def upgrade(self) -> None:
        """What the client sends after the request that was read last is no HTTP: :meth:`read` returns it."""
        self._socket = bytearray(self._parser.take_rest())

    async def read(self) -> bytes:
        """The next bytes after :meth:`upgrade`; none once this side closes. Cancelled when the client leaves."""
        assert self._socket is not None
        while not (self._socket or self._closing):
            self._woken.clear()
            await self._woken.wait()
        data = bytes(self._socket)
        self._socket.clear()
        return data

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client reads too slowly."""
        self.write(data)
        await self.caught_up()

    def write(self, data: bytes) -> None:
        """Write without waiting; :attr:`keeps_up` is whether the client reads fast enough."""
        self._transport.write(data)

    @property
    def keeps_up(self) -> bool:
        return self._writable.is_set()

    @property
    def unsent_bytes(self) -> int:
        """Bytes written that neither the client nor a kernel has taken yet."""
        return self._transport.get_write_buffer_size()

    async def caught_up(self) -> None:
        """Wait until the client has read enough."""
        await self._writable.wait()

    async def refuse(self, head: bytes, body: bytes) -> None:
        """Write a last answer and close so that the client can read it even if it is still sending."""
        self._discard = self._closing = True
        self._transport.write(head if self._parser.at_head_request else head + body)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_LIMIT_S):
                while not self.closed.is_set() and self._discarded_bytes < FAREWELL_LIMIT_BYTES:
                    self._woken.clear()
                    async with asyncio.timeout(FAREWELL_S):
                        await self._woken.wait()
        self._transport.abort()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self._closing = True
        self._woken.set()
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    def cut(self) -> None:
        """Close at once, without ending a body or a TLS session."""
        self._closing = True
        self._woken.set()
        self._transport.abort()

    def drop_input(self) -> None:
        """Let the kernel drop all input but FIN and RST, so that nothing is acknowledged (Linux).

        Elsewhere, without socket filters, the connection is only silent, which looks the same in the stream.
        """
        sock = self._transport.get_extra_info("socket")
        if sys.platform == "linux":
            import ctypes

            program = b"".join(struct.pack("HBBI", *instruction) for instruction in DROP_ALL_BUT_FIN_AND_RST)
            kept = ctypes.create_string_buffer(program)
            header = struct.pack("HP", len(DROP_ALL_BUT_FIN_AND_RST), ctypes.addressof(kept))
            sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, header)
            # Closed with FIN, the socket would wait for the last acknowledgement, drop it, and drop the SYN of the
            # next client with the same port: seen once in 1500 runs of the self-test, as a connection timeout.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def close(self) -> None:
        """Close with FIN once all written bytes are sent, without ending a body."""
        self._closing = True
        self._woken.set()
        self._transport.close()

    async def stop(self) -> None:
        """Cancel the answer, if any, and wait until the socket is closed."""
        self._closing = True
        self._task.cancel()
        self._transport.abort()
        await self.closed.wait()
        await asyncio.wait([self._task])

    def _leave(self) -> None:
        """The client has left: cancel the answer at once."""
        if self._closing or self.client_left:
            return
        self.client_left = True
        self._woken.set()
        if self._answering:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._serve(self)
        except asyncio.CancelledError:
            if not self.client_left:
                raise
        finally:
            if self.client_left:
                self._transport.abort()  # unsent bytes would keep the socket open for ever
            else:
                self._closing = True
                self._transport.close()
