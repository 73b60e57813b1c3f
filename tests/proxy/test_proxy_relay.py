"""Promises of the relay on real sockets: every byte as it was, both ends told of the other's end, nothing left open."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import ssl
import struct
import sys

import httpx
import pytest
import trustme

from kmon.dialects.eventstream_writer import frame as event_frame
from kmon.errors import UsageError
from kmon.proxy.relay.request_side import OPEN_LIMIT
from kmon.proxy.relay.server import listener
from tests.support.loopback import END, HEAD, chunked, serving
from tests.support.relaying import open_sockets, relaying
from tests.support.sockets import frame

GET = b"GET /v1/stream?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CHUNKS = 10_000
SSE = [b'data: {"choices":[{"index":0,"delta":{"content":"word %d"}}]}\n\n' % n for n in range(CHUNKS)]


async def everything(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(30):
        return await reader.read()


@pytest.mark.parametrize("kind", ["sse", "event-stream"])
async def test_ten_thousand_chunks_arrive_byte_for_byte(kind: str) -> None:
    pieces = SSE if kind == "sse" else [event_frame({":event-type": "contentBlockDelta"}, piece) for piece in SSE]
    wire = HEAD + b"".join(map(chunked, pieces)) + END

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(wire), 9_973):
            writer.write(wire[at : at + 9_973])
            await writer.drain()

    requests: list[bytes] = []
    async with serving(script, requests=requests) as url, relaying(url) as relay:
        reader, writer = await relay.open(GET)
        received = await everything(reader)
        writer.close()
        assert hashlib.sha256(received).digest() == hashlib.sha256(wire).digest()
        assert requests == [GET.replace(b"localhost", url.removeprefix("http://").encode())]
        assert (await relay.seen[0].end()).how == "complete"
        assert bytes(relay.seen[0].body) == b"".join(pieces)


async def test_ten_thousand_websocket_messages_arrive_byte_for_byte() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    wire = upgrade + b"".join(frame(1, b'{"seq":%d}' % n) for n in range(CHUNKS)) + frame(8, b"\x03\xe8")
    echoed = frame(1, b"what the client says", mask=b"abcd") * 50

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(wire[: len(upgrade)])
        said = await reader.readexactly(len(echoed))
        assert said == echoed
        writer.write(wire[len(upgrade) :])

    ask = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with serving(script) as url, relaying(url) as relay:
        reader, writer = await relay.open(ask + echoed[:30])  # some clients do not wait for the 101
        writer.write(echoed[30:])
        assert await everything(reader) == wire
        writer.close()
        assert (await relay.seen[0].end()).how == "upstream-ended"
        assert b"".join(data for side, data in relay.seen[0].tunnel if side == "client") == echoed


async def test_a_connection_is_kept_for_several_requests_and_pipelined_ones() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#0")
        for n in (1, 2, 3):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#%d" % n)

    ask = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(script) as url, relaying(url) as relay:
        reader, writer = await relay.open(ask)
        assert (await reader.readuntil(b"#0")).startswith(b"HTTP/1.1 200")
        writer.write(ask * 3)
        assert (await everything(reader)).count(b"#") == 3
        writer.close()
        assert [(await seen.end()).how for seen in relay.seen] == ["complete"] * 4
        assert relay.seen[0].phases == ["dns", "connect", "request_sent"]
        assert relay.seen[3].phases == ["request_sent"]


async def test_an_upload_streams_through_and_100_continue_comes_back() -> None:
    got = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(8) == b"3\r\nabc\r\n"
        got.set()
        assert await reader.readexactly(5) == b"0\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    ask = b"POST /up HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(script) as url, relaying(url) as relay:
        reader, writer = await relay.open(ask)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"3\r\nabc\r\n")
        async with asyncio.timeout(20):
            await got.wait()  # the first piece is there before the last was sent
        writer.write(b"0\r\n\r\n")
        assert (await everything(reader)).endswith(b"ok")
        writer.close()
        assert relay.seen[0].asked == b"abc"
        assert relay.seen[0].answer is not None
        assert relay.seen[0].answer.status == 200


async def test_a_slow_client_holds_the_upstream_back() -> None:
    """What nobody takes is not read: of 64 MiB only what fits the buffers on the way has left the upstream."""
    sent = 0
    block = bytes(65_536)

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1024 * len(block)))
        for _n in range(1024):
            writer.write(block)
            await writer.drain()
            sent += len(block)

    async with serving(script) as url, relaying(url) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.server.port, limit=65_536)
        writer.write(GET)
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert 0 < sent < 48 << 20
        size = 0
        async with asyncio.timeout(30):
            while data := await reader.read(1 << 20):
                size += len(data)
        writer.close()
        assert size > 1024 * len(block)


async def test_tls_to_the_upstream_is_verified_and_named() -> None:
    authority, server_side, trusting = (
        trustme.CA(),
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.create_default_context(),
    )
    authority.issue_cert("localhost").configure_cert(server_side)
    authority.configure_trust(trusting)
    names: list[str] = []
    server_side.sni_callback = lambda _obj, name, _context: names.append(name or "")

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"".join(map(chunked, SSE[:500])) + END)

    async with serving(script, tls=server_side) as url:
        async with relaying(url, trusting) as relay, httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{relay.url}/x")
            assert answer.content == b"".join(SSE[:500])
            assert relay.seen[0].phases[:3] == ["dns", "connect", "tls"]
        assert names == ["localhost"]
        async with relaying(url) as relay, httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{relay.url}/x")
            assert answer.status_code == 502
            assert "not trusted" in answer.json()["error"]["message"]


async def test_an_upstream_that_refuses_is_a_502_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for url, why in ((f"http://127.0.0.1:{port}", "refused"), ("http://no-such-host.invalid", "does not resolve")):
        async with relaying(url) as relay, httpx.AsyncClient(trust_env=False, timeout=30) as http:
            answer = await http.post(f"{relay.url}/v1/chat/completions", content=b"x" * 300_000)
            assert answer.status_code == 502
            assert why in answer.json()["error"]["message"]
            end = await relay.seen[0].end()
            assert (end.how, end.error and end.error.kind) == ("unreachable", "connect" if "127" in url else "dns")


@pytest.mark.parametrize(
    ("data", "status", "why"),
    [
        (b"\x16\x03\x01\x00", b"400", "TLS"),
        (b"SSH-2.0-x\r\n\r\n", b"400", "no HTTP"),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", b"405", "base URL"),
    ],
)
async def test_a_client_that_speaks_no_http_is_told(data: bytes, status: bytes, why: str) -> None:
    async with relaying("http://127.0.0.1:9") as relay:
        reader, writer = await relay.open(data)
        answer = await everything(reader)
        writer.close()
        assert answer.split(b" ")[1] == status
        assert why in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
        assert len(relay.complaints) == 1
        assert relay.seen == []


async def test_an_answer_that_is_no_http_is_passed_on_all_the_same() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is a mail server\r\n\r\n")

    async with serving(script) as url, relaying(url) as relay:
        reader, writer = await relay.open(GET)
        assert await everything(reader) == b"220 this is a mail server\r\n\r\n"
        writer.close()
        end = await relay.seen[0].end()
        assert end.error is not None
        assert end.error.kind == "protocol"


@pytest.mark.skipif(sys.platform != "linux", reason="counts sockets in /proc")
async def test_two_hundred_aborts_of_clients_leave_no_socket() -> None:
    left: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(SSE[0]))
        try:
            left.put_nowait(await reader.read())
        except ConnectionError:
            left.put_nowait(b"reset")

    async with serving(script) as url, relaying(url) as relay:
        before = open_sockets()
        for number in range(200):
            reader, writer = await relay.open(GET)
            await reader.readuntil(SSE[0])
            if number % 2:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            async with asyncio.timeout(20):  # the upstream is told at once, and how
                assert await left.get() == (b"reset" if number % 2 else b"")
        await relay.quiet()
        await asyncio.sleep(0)
        assert {(await seen.end()).how for seen in relay.seen} == {"client-left"}
        assert open_sockets() <= before + 2


@pytest.mark.skipif(sys.platform != "linux", reason="counts sockets in /proc")
async def test_two_hundred_aborts_of_the_upstream_reach_the_client_as_they_were() -> None:
    numbers = iter(range(200))

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(SSE[0]))
        await writer.drain()
        if next(numbers) % 2:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(script) as url, relaying(url) as relay:
        before = open_sockets()
        endings = []
        for _ in range(200):
            reader, writer = await relay.open(GET)
            received = b""
            ending = "closed"
            try:
                while data := await asyncio.wait_for(reader.read(65_536), 20):
                    received += data
            except ConnectionResetError:
                ending = "reset"
            endings.append(ending)
            assert received == HEAD + chunked(SSE[0]) or ending == "reset"
            writer.transport.abort()
        await relay.quiet()
        kinds = [end.error.kind for end in [await seen.end() for seen in relay.seen] if end.error is not None]
        assert endings == ["closed", "reset"] * 100
        assert kinds == ["cut", "reset"] * 100
        await asyncio.sleep(0)
        assert open_sockets() <= before + 2


async def test_an_abort_from_the_watcher_ends_both_sides() -> None:
    left = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(SSE[0]))
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set()

    async with serving(script) as url, relaying(url) as relay:
        reader, writer = await relay.open(GET)
        await reader.readuntil(SSE[0])
        relay.seen[0].abort()
        async with asyncio.timeout(20):
            await left.wait()
        with contextlib.suppress(ConnectionError):
            await everything(reader)
        writer.close()
        assert (await relay.seen[0].end()).how == "aborted"


async def test_only_a_free_loopback_address_is_listened_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for host, port, why in (
            ("0.0.0.0", 0, "loopback only"),
            ("no such host", 0, "no such address"),
            ("127.0.0.1", 70_000, "0 to 65535"),
            ("127.0.0.1", taken.getsockname()[1], "is in use"),
        ):
            with pytest.raises(UsageError, match=why):
                listener(host, port)


async def test_a_client_that_asks_on_and_on_without_an_answer_is_let_go() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, relaying(f"http://127.0.0.1:{port}") as relay:
        reader, writer = await relay.open(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
        with contextlib.suppress(ConnectionError):
            for _ in range(50):
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
                await writer.drain()
            await reader.read()
        writer.close()
        await relay.quiet()
    assert len(relay.seen) <= OPEN_LIMIT
    assert all(one.over.done() for one in relay.seen)
    assert any("before the first is answered" in said for said in relay.complaints)
