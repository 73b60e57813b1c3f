"""Listens on loopback and gives every client its own connection to the upstream."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable

from kmon.address import unusable
from kmon.dialects.server_request import LocalOnly
from kmon.errors import UsageError
from kmon.logs import log
from kmon.proxy.relay.closing import close_after, own_answer
from kmon.proxy.relay.connection import Connection
from kmon.proxy.relay.observer import Observe
from kmon.proxy.relay.upstream import Upstream
from kmon.transport.backend import StampedStream
from kmon.transport.phase import Phase
from kmon.transport.timestamps import ask_for_stamps

_log = logging.getLogger(__name__)
CONNECTION_LIMIT = 1_000
REFUSED_LIMIT = 100
"""Clients above the limit that get an answer which says so; further ones are closed without an answer."""
BACKLOG = 512
OUT_OF_FILES_S = 0.2
"""How long new clients wait when this process cannot open more files."""


def listener(host: str, port: int) -> socket.socket:
    """A listening socket. Raises :class:`UsageError` for an address that is not loopback, or in use."""
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port {port}: a port is 0 to 65535; 0 takes any free one")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise UsageError(f"--host {host}: no such address; use 127.0.0.1 or ::1") from None
    if not (str(address[0]).startswith("127.") or address[0] == "::1"):
        raise UsageError(f"--host {host}: keys pass through the proxy, so it listens on loopback only; use 127.0.0.1")
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise UsageError(unusable(host, port, error)) from None
    return sock


class Server:
    """Serves the clients of ``sock`` until :meth:`close`; ``host`` is the name that ``sock`` was created for.

    ``complain`` is called with a sentence for invalid requests, and for the first refused request of each kind.
    """

    def __init__(
        self,
        sock: socket.socket,
        upstream: Upstream,
        *,
        host: str,
        context: ssl.SSLContext,
        connect_timeout_s: float,
        observe: Observe,
        complain: Callable[[str], None],
    ) -> None:
        self._sock, self._upstream = sock, upstream
        self.port = int(sock.getsockname()[1])
        self._context, self._connect_timeout_s = context, connect_timeout_s
        self._observe, self._complain = observe, complain
        self._local_only = LocalOnly("the proxy", host, complain)
        self._clients: set[asyncio.Task[None]] = set()
        self._refused: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    @property
    def clients(self) -> int:
        """Connections open now."""
        return len(self._clients)

    async def close(self) -> None:
        """Stop listening and end every connection on both sides."""
        self._stop_listening()
        self._sock.close()
        tasks = self._clients | self._refused
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def _stop_listening(self) -> None:
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._sock.fileno())

    def _accept(self) -> None:
        """Accept every waiting client in one go: a socket accepted by a task could be lost at its cancellation."""
        while True:
            try:
                client, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._stop_listening()
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED):
                    self._again = self._loop.call_later(OUT_OF_FILES_S, self._listen)
                else:
                    self._complain(f"no further clients are accepted: {error.strerror}")
                return
            self._admit(client)

    def _admit(self, client: socket.socket) -> None:
        client.setblocking(False)
        among, limit, serve = self._clients, CONNECTION_LIMIT, self._serve
        if len(among) >= limit:
            among, limit, serve = self._refused, REFUSED_LIMIT, _refuse
        if len(among) >= limit:
            client.close()
            return
        with contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask_for_stamps(client)
        stream = StampedStream(client, _no_phase)
        task = asyncio.create_task(serve(stream))
        among.add(task)
        _log.debug("a client came, %d are open", len(among))
        task.add_done_callback(among.discard)
        task.add_done_callback(lambda _: stream.close())  # also where it was cancelled before its first step

    async def _serve(self, client: StampedStream) -> None:
        connection = Connection(
            client,
            self._upstream,
            context=self._context,
            connect_timeout_s=self._connect_timeout_s,
            check=self._local_only.check,
            observe=self._observe,
            complain=self._complain,
        )
        try:
            await connection.serve()
        except Exception as error:  # one failed connection must not end the others
            _log.exception("a connection failed")
            self._complain(log.failed("kmon itself failed in a connection", error))


async def _refuse(client: StampedStream) -> None:
    await close_after(client, own_answer(503, f"kmon proxy serves {CONNECTION_LIMIT} connections at once", "busy"))


def _no_phase(_phase: Phase, _t_ns: int, _detail: str) -> None:
    """An accepted connection has no phases of its own."""
