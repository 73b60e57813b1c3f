"""Whose silence it is when a stream passes through: the client's that does not read, or the provider's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from kmon.stream import events as ev
from tests.support.loopback import END, HEAD, Script, serving
from tests.support.racing import Watched, sse
from tests.support.watching import proxying

ASK = b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 27\r\n\r\n{"model":"m","stream":true}'
STALL_S = 1.0
PIECES = 12_000
"""Of about a kilobyte: more than the buffers of the kernel on the way take (some megabytes)."""

pytestmark = [
    pytest.mark.xdist_group("measures"),
    pytest.mark.skipif(sys.platform != "linux", reason="the kernel is a witness on Linux only"),
]


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that reads only when it is told to, with small buffers."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", urlsplit(url).port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4_096)
    writer.write(ASK)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def blamed(watched: Watched, name: str) -> ev.Event:
    """The event that blames ``name`` for the open silence."""
    event = await watched.until(
        lambda event: (
            isinstance(event, ev.StallStarted | ev.Blamed) and event.blame is not None and event.blame.name == name
        )
    )
    assert isinstance(event, ev.StallStarted | ev.Blamed)
    return event


def full_when(writer: asyncio.StreamWriter, full: asyncio.Event, before: int = -1, same: int = 0) -> None:
    """Set ``full`` when the provider's own buffer has not got any emptier, or fuller, for half a second."""
    now = writer.transport.get_write_buffer_size()
    same = same + 1 if now and now == before else 0
    if same >= 10:
        full.set()
    elif not writer.transport.is_closing():
        asyncio.get_running_loop().call_later(0.05, full_when, writer, full, now, same)


def flooding(full: asyncio.Event) -> Script:
    """A provider that sends without a pause, and sets ``full`` when all buffers on the way are full."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().call_soon(full_when, writer, full)
        piece = sse("word " * 200)
        writer.write(HEAD)
        for _n in range(PIECES):
            writer.write(piece)
            await writer.drain()
        writer.write(sse(finish="stop", done=True) + END)

    return script


@pytest.mark.slow
async def test_a_client_that_stops_reading_is_to_blame_until_it_reads_on() -> None:
    full = asyncio.Event()
    async with serving(flooding(full)) as url, proxying(f"{url}/v1", stall_s=STALL_S) as middle:
        async with client(middle.url) as (reader, _):
            await reader.read(1_000)
            event = await blamed(middle.watched, "client")
            blame = event.blame  # type: ignore[attr-defined]
            assert (blame.certainty, blame.brief) == ("certain", "client: takes nothing")
            assert "the client has not taken what was passed on to it for" in blame.evidence
            await full.wait()
            await asyncio.sleep(2 * STALL_S)  # nothing more can arrive: by the kernel's stamps, too, it is a stall
            async with asyncio.timeout(60):
                while await reader.read(1 << 20):
                    pass
            ended = await middle.watched.ended()
    assert ended.state == "done"
    names = {e.blame.name for e in middle.watched.events if isinstance(e, ev.StallEnded) and e.blame is not None}
    assert names - {"us"} == {"client"}  # on a busy machine, kmon may be late as well, and last
    assert ended.blame is not None and ended.blame.name in names


@pytest.mark.slow
async def test_a_client_that_leaves_without_having_read_is_to_blame_at_the_end() -> None:
    full = asyncio.Event()
    async with serving(flooding(full)) as url, proxying(f"{url}/v1", stall_s=STALL_S) as middle:
        async with client(middle.url):
            await blamed(middle.watched, "client")
            await full.wait()
            await asyncio.sleep(2 * STALL_S)  # a slow machine is still filling the buffers when the stall is announced
        ended = await middle.watched.ended()
    assert ended.state == "cancelled"
    assert ended.blame is not None
    assert ended.blame.name == "client"


async def test_a_provider_that_stops_sending_to_a_client_that_reads_is_to_blame() -> None:
    go_on = asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("some", " words"))
        await go_on.wait()
        writer.write(sse(" more", finish="stop", done=True) + END)

    async with serving(script) as url, proxying(f"{url}/v1", stall_s=STALL_S) as middle:
        async with client(middle.url) as (reader, _):
            reading = asyncio.create_task(reader.readuntil(b"[DONE]"))
            await blamed(middle.watched, "beyond")
            go_on.set()
            ended = await middle.watched.ended()
            await reading
    assert ended.state == "done"
    assert "client" not in {e.blame.name for e in middle.watched.events if isinstance(e, ev.StallEnded) and e.blame}


async def test_a_provider_that_stops_sending_to_a_client_that_does_not_read_is_to_blame_too() -> None:
    """The little that came has been passed on: that nobody has read it yet holds nothing back."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("some", " words"))
        await reader.read()

    async with serving(script) as url, proxying(f"{url}/v1", stall_s=STALL_S) as middle:
        async with client(middle.url):
            await blamed(middle.watched, "beyond")
