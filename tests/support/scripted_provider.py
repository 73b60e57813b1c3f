"""A scripted server on loopback that keeps what it was asked: request line, headers, body, and when the client left."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support.loopback import Script, listening, read_request


def writing(*parts: bytes, hold: bool = False) -> Script:
    """Write these with a breath between them; then close, or hold the socket until the client leaves."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        if hold:
            await reader.read()

    return script


def in_turn(*scripts: Script) -> Script:
    """The first for the first request, and so on."""
    left = iter(scripts)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next(left)(reader, writer)

    return script


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
    """Set when a client has closed its connection or the answer is through."""


@contextlib.asynccontextmanager
async def provider(script: Script) -> AsyncIterator[Provider]:
    """Answer every request with ``script``."""
    seen = Provider()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.asked.append(_asked(*await read_request(reader)))
            await script(reader, writer)
        finally:
            seen.left.set()

    async with listening(answer) as port:
        seen.url = f"http://127.0.0.1:{port}"
        yield seen


def _asked(head: bytes, body: bytes) -> Asked:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Asked(first.split()[1], headers, json.loads(body or b"{}"), body)
