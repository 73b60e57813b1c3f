"""Ways to talk to the simulator that hide nothing: bare sockets, raw chunks, the server's own ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from kmon.simulator.server import Simulator

Body = dict[str, Any]
RESET = b"<reset>"


@asynccontextmanager
async def raw_request(
    sim: Simulator, body: Body, fault: str | None = "smooth", provider: str = "together"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request over a bare socket, with nothing read yet. Without ``fault`` the profile decides."""
    data = json.dumps(body).encode()
    asked = f"x-kmon-fault: {fault}\r\n" if fault else ""
    head = (
        f"POST /{provider}/v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"{asked}content-length: {len(data)}\r\n\r\n"
    )
    async with raw_bytes(sim, head.encode() + data) as streams:
        yield streams


@asynccontextmanager
async def raw_bytes(sim: Simulator, data: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Any bytes over a bare socket, with nothing read yet."""
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    writer.write(data)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read_all(reader: asyncio.StreamReader, until: bytes | None = None) -> bytes:
    """Everything until the server ends the connection or ``until`` was received; a reset shows as RESET."""
    received = b""
    async with asyncio.timeout(20):
        while until is None or until not in received:
            try:
                data = await reader.read(65_536)
            except ConnectionResetError:
                return received + RESET
            if not data:
                return received
            received += data
    return received


async def answered(
    sim: Simulator, body: Body, fault: str | None = "smooth", until: bytes | None = None, provider: str = "together"
) -> bytes:
    """Every byte the server sends for a request."""
    async with raw_request(sim, body, fault, provider) as (reader, _):
        return await read_all(reader, until)


async def ended(sim: Simulator, http: httpx.AsyncClient, index: int = -1) -> Body:
    """The ledger's row of a request, once the server has seen its end."""
    async with asyncio.timeout(20):
        while True:
            rows = (await ledger(sim, http))["requests"]
            if rows and rows[index]["ended"] != "open":
                row: Body = rows[index]
                return row
            await asyncio.sleep(0.01)


async def ledger(sim: Simulator, http: httpx.AsyncClient) -> Body:
    report: Body = (await http.get(f"{sim.origin}/_kmon/ledger", params={"stamps": "1"})).json()
    return report


def chunks(answer: bytes) -> list[bytes]:
    """The HTTP chunks of a raw answer; the last may be cut. The chunk that ends a body is empty."""
    rest = answer.partition(b"\r\n\r\n")[2]
    found = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return found


def events(answer: bytes) -> list[Body]:
    """The JSON events of a raw answer."""
    return [json.loads(piece[6:]) for piece in chunks(answer) if piece.startswith(b"data: {")]


def text(answer: bytes) -> str:
    """The text of a raw answer."""
    deltas = [choice["delta"] for event in events(answer) for choice in event.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)
