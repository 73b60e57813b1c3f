"""A scripted server on loopback that keeps what it was asked: request line, headers, body, and when the client left."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def writing(*parts: bytes, hold: bool = False) -> Play:
    """Write these with a breath between them; then close, or hold the socket until the client leaves."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        if hold:
            await reader.read()

    return play


@dataclass
class Asked:
    """One request as it came over the wire."""

    target: str
    headers: dict[str, str]
    body: dict[str, object]
    raw_body: bytes


@dataclass
class Provider:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has closed its connection or the answer was played."""


@contextlib.asynccontextmanager
async def provider(play: Play) -> AsyncIterator[Provider]:
    """Answer every request with ``play``."""
    seen = Provider()
    busy: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                seen.asked.append(await _request(reader))
                await play(reader, writer)
            seen.left.set()
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
        finally:
            busy.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for task in busy:
            task.cancel()
        if busy:
            await asyncio.wait(busy)


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(first.split()[1], headers, json.loads(body or b"{}"), body)
