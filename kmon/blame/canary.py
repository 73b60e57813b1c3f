"""The canary: a quiet stream that must not stop, over loopback, read by the very code that reads the providers'.

Sender and reader both live on the engine's loop, so that it is late exactly when this program or its monitor is: a
canary that kept singing clears both of a silence. Four beats a second cost too little to disturb what is measured
(README, "Whose silence"). Where it cannot be had, it is no witness, and nothing else changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time

import httpcore
import httpx

from kmon.blame.local_monitor import CANARY_EVERY_NS, LocalMonitor
from kmon.stream.timeline import S
from kmon.transport.http import HttpRequest, exchange

_log = logging.getLogger(__name__)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BEAT = b": canary\n\n"
CONNECT_LIMIT_S = 5.0


async def run_canary(monitor: LocalMonitor, ssl_context: ssl.SSLContext) -> None:
    """Beat and listen until cancelled; end quietly where loopback cannot be had."""
    try:
        server = _CanaryServer(monitor)
    except OSError as error:
        _log.warning("no canary: loopback cannot be had (errno %s)", error.errno)
        return
    try:
        await _read_beats(monitor, ssl_context, server.port)
    finally:
        monitor.on_resume = None
        monitor.on_canary_lost()
        server.close()


class _CanaryServer:
    """Where the sender sits. It has neither task nor transport: either could be left over when the loop is closed."""

    def __init__(self, monitor: LocalMonitor) -> None:
        self._monitor = monitor
        monitor.on_resume = self._restart
        self._loop = asyncio.get_running_loop()
        self._clients: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self.port = int(self._sock.getsockname()[1])
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Fall silent, and be gone at once."""
        self._loop.remove_reader(self._sock.fileno())
        if self._timer is not None:
            self._timer.cancel()
        for sock in (self._sock, *self._clients):
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._sock.accept()
            client.setblocking(False)
            self._clients.append(client)
            client.send(HEAD)  # whatever will be asked, the answer is the same
            if self._timer is None:
                self._restart()

    def _restart(self) -> None:
        self._due_ns = time.monotonic_ns()
        self._beat()

    def _beat(self) -> None:
        if self._monitor.paused:  # until it wakes, nobody asks for a witness
            self._timer = None
            return
        if self._timer is not None:
            self._timer.cancel()
        for client in self._clients:
            with contextlib.suppress(OSError):  # its listener left, or does not read: then it is no witness
                client.send(b"%x\r\n%s\r\n" % (len(BEAT), BEAT))
        now_ns = time.monotonic_ns()
        self._due_ns = max(self._due_ns + CANARY_EVERY_NS, now_ns)
        self._timer = self._loop.call_later((self._due_ns - now_ns) / S, self._beat)


async def _read_beats(monitor: LocalMonitor, ssl_context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError, httpcore.NetworkError, httpcore.TimeoutException, httpx.HTTPError):
        async with exchange(
            HttpRequest("GET", f"http://127.0.0.1:{port}/canary", {}),
            on_phase=lambda *_: None,
            ssl_context=ssl_context,
            connect_timeout_s=CONNECT_LIMIT_S,
        ) as answer:
            async for _ in answer.reads():
                monitor.on_canary_beat(time.monotonic_ns())
