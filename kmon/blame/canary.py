"""The canary: a control stream over loopback, read by the same code as the streams of the providers.

Sender and reader run on the engine's event loop, so a beat is late exactly when this program or its machine is late.
If the canary's beats came in time, a provider's silence was not caused here. Four beats per second do not disturb the
measurement (README, "Whose silence"). Without loopback there is no canary, and nothing else changes.
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
    """Send and read beats until cancelled; return with a warning in the log where loopback is not available."""
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
    """Sends the beats. It uses no task and no transport, because either could outlive the closing of the loop."""

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
        """Stop sending and close all sockets at once."""
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
            client.send(HEAD)  # the request is not read: every request gets the same answer
            if self._timer is None:
                self._restart()

    def _restart(self) -> None:
        self._due_ns = time.monotonic_ns()
        self._beat()

    def _beat(self) -> None:
        if self._monitor.paused:  # started again by on_resume
            self._timer = None
            return
        if self._timer is not None:
            self._timer.cancel()
        for client in self._clients:
            with contextlib.suppress(OSError):  # the reader is gone or its buffer is full
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
