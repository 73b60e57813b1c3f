"""A Bedrock on loopback that owes nothing to kmon: a bare socket, hand-packed frames, and a log of what was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

REQUEST_ID = "5f3e9a52-0000-4000-8000-000000000001"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n"
    b"x-amzn-RequestId: " + REQUEST_ID.encode() + b"\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """An event-stream message, packed by the book."""
    block = b""
    for name, value in headers.items():
        raw_name, raw_value = name.encode(), value.encode()
        block += struct.pack(">B", len(raw_name)) + raw_name + struct.pack(">BH", 7, len(raw_value)) + raw_value
    prelude = struct.pack(">II", 4 + 4 + 4 + len(block) + len(payload) + 4, len(block))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return head + struct.pack(">I", zlib.crc32(head))


def event(name: str, **members: object) -> bytes:
    """An ordinary event; real ones are padded with a member ``p``."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps({**members, "p": "abcdefghijkl"}).encode())


def exception(name: str, message: str) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


START = event("messageStart", role="assistant")
STOP = event("messageStop", stopReason="end_turn")
METADATA = event("metadata", usage={"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}, metrics={"latencyMs": 417})


def text(words: str) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=0, delta={"text": words})


def answer(*words: str) -> bytes:
    """A whole answer."""
    return START + b"".join(map(text, words)) + event("contentBlockStop", contentBlockIndex=0) + STOP + METADATA


def in_chunks(data: bytes, size: int = 1 << 16) -> bytes:
    """``data`` as HTTP chunks of ``size`` bytes."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def refusing(status: str, code: str, message: str) -> bytes:
    """A refusal before any stream."""
    body = json.dumps({"message": message}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nx-amzn-ErrorType: {code}:http://internal/\r\n"
    return f"{head}x-amzn-RequestId: {REQUEST_ID}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


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


@dataclass
class FakeBedrock:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has closed its connection or the answer was played."""


@contextlib.asynccontextmanager
async def fake_bedrock(play: Play) -> AsyncIterator[FakeBedrock]:
    """Answer every request with ``play``."""
    fake = FakeBedrock()
    busy: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                fake.asked.append(await _request(reader))
                await play(reader, writer)
            fake.left.set()
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
        finally:
            busy.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
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
    return Asked(first.split()[1], headers, json.loads(body or b"{}"))
