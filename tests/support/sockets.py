"""A scripted WebSocket server on loopback: aiohttp's own, so that kmon's framing is read by another implementation."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

Script = Callable[[web.WebSocketResponse], Awaitable[None]]


@contextlib.asynccontextmanager
async def socket_server(script: Script, *, autoping: bool = True) -> AsyncIterator[str]:
    """Serve every connection with ``script``; yields the ``ws://`` URL."""
    open_now: set[asyncio.Task[None]] = set()

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=autoping, max_msg_size=0, timeout=0.5)
        await socket.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        try:
            await script(socket)
        except (asyncio.CancelledError, ConnectionError):
            return socket
        finally:
            open_now.discard(task)
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        for task in list(open_now):
            task.cancel()
        await runner.cleanup()


def frame(opcode: int, data: bytes, *, final: bool = True, mask: bytes = b"", packed: bool = False) -> bytes:
    first = (0x80 if final else 0) | (0x40 if packed else 0) | opcode
    size = len(data)
    head = bytes([first, (0x80 if mask else 0) | (size if size < 126 else 126 if size < 65_536 else 127)])
    head += b"" if size < 126 else struct.pack(">H", size) if size < 65_536 else struct.pack(">Q", size)
    return head + mask + (bytes(b ^ mask[i % 4] for i, b in enumerate(data)) if mask else data)
