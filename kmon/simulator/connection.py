"""One TCP connection of the simulator: requests in, bytes out, and the truth about who closed it.

An asyncio protocol of its own rather than streams, because a simulator must notice at once that the client has gone
(while it is silent itself) and must be able to reset a connection in the middle of a chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable

from kmon.simulator.http import CONTINUE, Check, HttpError, Request, RequestParser
from kmon.simulator.socket_filter import attach_deaf_filter

IDLE_LIMIT_S = 75.0
"""How long a kept-alive connection may wait for its next request."""
REQUEST_LIMIT_S = 30.0
"""How long a client may take to send one request."""
UNREAD_LIMIT_BYTES = 1024 * 1024
"""How much a client may send ahead while its answer is still streaming."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
UNSENT_LIMIT_BYTES = 16 * 1024
"""What the kernel may hold unsent, so that a client which does not read is noticed soon and not after megabytes."""
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
FAREWELL_S = 2.0
"""How long a client that was refused may be silent. What it still sends is swallowed, so that it can read why."""
FAREWELL_LIMIT_S = 10.0
FAREWELL_LIMIT_BYTES = 64 * 1024 * 1024


class Connection(asyncio.Protocol):
    """The byte level of one client. ``client_left`` is True once the client has closed or reset its side."""

    def __init__(
        self, serve: Callable[[Connection], Awaitable[None]], on_open: Callable[[Connection], None],
        on_close: Callable[[Connection], None], check: Check,
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
        self._closing = False  # by us
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

    async def read_request(self) -> Request | None:
        """The next request, or None when there will be none. Raises HttpError for one that cannot be served."""
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

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client reads too slowly."""
        self.write(data)
        await self.caught_up()

    def write(self, data: bytes) -> None:
        """Write without waiting; ``keeps_up`` tells whether the client reads fast enough."""
        self._transport.write(data)

    @property
    def keeps_up(self) -> bool:
        return self._writable.is_set()

    @property
    def unsent_bytes(self) -> int:
        """What lies here because neither the client nor its kernel takes it."""
        return self._transport.get_write_buffer_size()

    async def caught_up(self) -> None:
        """Wait until the client has read enough."""
        await self._writable.wait()

    async def refuse(self, head: bytes, body: bytes) -> None:
        """Write a last answer and close in a way that lets the client read it even if it is still sending."""
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
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    def cut(self) -> None:
        """Close at once, without ending a body or a TLS session."""
        self._closing = True
        self._transport.abort()

    def deafen(self) -> None:
        """Hear nothing of the client any more but that it closes, and acknowledge nothing. Where the system has no
        socket filters the connection is merely silent, which looks the same in the stream."""
        sock = self._transport.get_extra_info("socket")
        if sys.platform == "linux":
            attach_deaf_filter(sock)
            # Closed with FIN, it would wait deaf for the last acknowledgement, and drop the SYN of whoever gets the
            # client's port next: seen once in 1500 runs of the self-test, as a connection that timed out.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def hang_up(self) -> None:
        """Close with FIN once what was written is sent, without ending a body."""
        self._closing = True
        self._transport.close()

    async def stop(self) -> None:
        """End whatever is going on, whoever is served, and wait until the socket is closed."""
        self._closing = True
        self._task.cancel()
        self._transport.abort()
        await self.closed.wait()
        await asyncio.wait([self._task])

    def _leave(self) -> None:
        """The client has gone: stop answering at once, nobody listens."""
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
                self._transport.abort()  # what is still unsent would wait for a reader that never comes
            else:
                self._closing = True
                self._transport.close()
