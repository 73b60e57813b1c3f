"""The canary: a quiet stream that must not stop, over loopback, read by the very code that reads the providers'.

Sender and reader both live on the engine's loop, so that it is late exactly when this program or its machine is: a
canary that kept singing clears both of a silence. Four beats a second cost too little to disturb what is measured
(README, "Whose silence"). Where it cannot be had, it is no witness, and nothing else changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import httpcore
import httpx

from kmon.probe.timeline import S
from kmon.transport.http import exchange
from kmon.transport.machine import CANARY_EVERY_NS
from kmon.transport.network import Network

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BEAT = b": canary\n\n"
CONNECT_LIMIT_S = 5.0


async def sing(network: Network) -> None:
    """Beat and listen until cancelled; end quietly where loopback cannot be had."""
    singers: list[_Singer] = []

    def singer() -> _Singer:
        singers.append(_Singer())
        return singers[-1]

    try:
        server = await asyncio.get_running_loop().create_server(singer, "127.0.0.1", 0)
    except OSError:
        return
    try:
        await _listen(network, server.sockets[0].getsockname()[1])
    finally:
        network.machine.canary_gone()
        server.close()
        for one in singers:
            one.leave()


class _Singer(asyncio.Protocol):
    """The sender. No task of its own: one that is cancelled before its first step would leave its socket open."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0
        self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._left:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Whatever is asked, the answer is the same; the request comes in one piece over loopback, or in more."""
        if self._transport is not None and not self._due_ns:
            self._transport.write(HEAD)
            self._due_ns = time.monotonic_ns()
            self._beat()

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()

    def leave(self) -> None:
        self._left = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _beat(self) -> None:
        if self._transport is None or self._left:
            return
        self._transport.write(b"%x\r\n%s\r\n" % (len(BEAT), BEAT))
        now_ns = time.monotonic_ns()
        self._due_ns = max(self._due_ns + CANARY_EVERY_NS, now_ns)
        self._timer = asyncio.get_running_loop().call_later((self._due_ns - now_ns) / S, self._beat)


async def _listen(network: Network, port: int) -> None:
    with contextlib.suppress(OSError, httpcore.NetworkError, httpcore.TimeoutException, httpx.HTTPError):
        async with exchange(
            "GET",
            f"http://127.0.0.1:{port}/canary",
            headers={},
            body=None,
            on_phase=lambda *_: None,
            ssl_context=network.ssl_context,
            connect_timeout_s=CONNECT_LIMIT_S,
        ) as answer:
            async for _ in answer.reads():
                network.machine.canary_heard(time.monotonic_ns())
