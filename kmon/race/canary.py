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
    singing: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            singing.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _beat(reader, writer)
        writer.close()

    try:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
    except OSError:
        return
    try:
        await _listen(network, server.sockets[0].getsockname()[1])
    finally:
        network.machine.canary_gone()
        server.close()
        for task in singing:
            task.cancel()


async def _beat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD)
    due_ns = time.monotonic_ns()
    while True:
        writer.write(b"%x\r\n%s\r\n" % (len(BEAT), BEAT))
        await writer.drain()
        due_ns = max(due_ns + CANARY_EVERY_NS, time.monotonic_ns())
        await asyncio.sleep((due_ns - time.monotonic_ns()) / S)


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
