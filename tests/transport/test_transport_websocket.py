"""Promises of WebSockets, kept against aiohttp's own server: messages whole and stamped, no wait without a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import WSMsgType, web

from kmon.transport.errors import ExchangeError
from kmon.transport.phase import Phase
from kmon.transport.websocket import WebSocket, open_websocket
from tests.support.loopback import serving
from tests.support.sockets import socket_server

CONTEXT = httpx.create_ssl_context()


@asynccontextmanager
async def opened(
    url: str, limit_bytes: int = 1 << 20, open_timeout_s: float = 10.0, phases: list[Phase] | None = None
) -> AsyncIterator[WebSocket]:
    seen: list[Phase] = [] if phases is None else phases
    async with open_websocket(
        url,
        ssl_context=CONTEXT,
        limit_bytes=limit_bytes,
        open_timeout_s=open_timeout_s,
        on_phase=lambda phase, _t, _detail: seen.append(phase),
    ) as socket:
        yield socket


async def everything(socket: WebSocket) -> list[tuple[str, bytes, int]]:
    async with asyncio.timeout(20):
        return [(m.kind, m.data, m.code) async for _, m in socket.messages()]


async def test_messages_come_whole_in_order_and_stamped() -> None:
    big = "ü" * 40_000

    async def script(server: web.WebSocketResponse) -> None:
        for text in ("one", big, ""):
            await server.send_str(text)
        await server.send_bytes(b"\x00\xff")
        await server.close(code=1000, message=b"bye")

    phases: list[Phase] = []
    async with socket_server(script) as url:
        before_ns = time.monotonic_ns()
        async with opened(url, phases=phases) as socket:
            async with asyncio.timeout(20):
                found = [(t_ns, m.kind, m.data, m.code) async for t_ns, m in socket.messages()]
    assert [(kind, data) for _, kind, data, _ in found[:4]] == [
        ("text", b"one"), ("text", big.encode()), ("text", b""), ("binary", b"\x00\xff"),
    ]  # fmt: skip
    assert found[4][1:] == ("close", b"bye", 1000)
    stamps = [t_ns for t_ns, *_ in found]
    assert stamps == sorted(stamps) and before_ns <= stamps[0] and stamps[-1] <= time.monotonic_ns()
    assert phases == ["dns", "connect", "request_sent", "headers"]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
async def test_what_is_sent_arrives_as_it_was(size: int) -> None:
    text = "x" * size

    async def script(server: web.WebSocketResponse) -> None:
        message = await server.receive()
        await server.send_str(f"{len(message.data)} {message.data == text}")
        await server.close()

    async with socket_server(script) as url, opened(url) as socket:
        await socket.send(text)
        assert (await everything(socket))[0] == ("text", f"{size} True".encode(), 0)


async def test_pings_are_answered_and_seen_and_nobody_waits_for_a_pong() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.ping(b"here?")
        answer = await server.receive()
        asked = await server.receive()
        await server.send_str(f"{answer.type is WSMsgType.PONG} {bytes(answer.data)!r} {asked.type is WSMsgType.PING}")
        await server.close()

    async with socket_server(script, autoping=False) as url, opened(url) as socket:
        pinging = asyncio.create_task(socket.pinging(every_s=0.05))
        found = await everything(socket)
        pinging.cancel()
        await asyncio.wait([pinging])
    assert found[:2] == [("ping", b"here?", 0), ("text", b"True b'here?' True", 0)]


async def test_a_connection_that_just_ends_is_abnormal() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.send_str("one")
        assert server._req is not None and server._req.transport is not None
        server._req.transport.close()

    async with socket_server(script) as url, opened(url) as socket:
        found = await everything(socket)
    assert found[0][0] == "text" and found[1][::2] == ("close", 1006)


async def test_a_message_over_the_limit_is_one_sentence_and_closes_1009() -> None:
    closed: list[int | None] = []

    async def script(server: web.WebSocketResponse) -> None:
        await server.send_str("x" * 70_000)
        await server.receive()
        closed.append(server.close_code)

    async with socket_server(script) as url:
        async with opened(url, limit_bytes=64 * 1024) as socket:
            with pytest.raises(ExchangeError, match="70000 bytes or more, over the limit of 65536"):
                await everything(socket)
            async with asyncio.timeout(20):
                while not closed:
                    await asyncio.sleep(0.01)
    assert closed == [1009]


async def test_what_came_before_a_broken_frame_is_heard_and_then_the_socket_is_closed() -> None:
    closed: list[int | None] = []

    async def script(server: web.WebSocketResponse) -> None:
        assert server._req is not None and server._req.transport is not None
        server._req.transport.write(b"\x81\x03one\x83\x00")
        await server.receive()
        closed.append(server.close_code)

    async with socket_server(script) as url:
        async with opened(url) as socket:
            heard = socket.messages()
            assert (await anext(heard))[1].data == b"one"
            with pytest.raises(ExchangeError, match="the peer sent what is no valid WebSocket: Invalid opcode 0x3"):
                await anext(heard)
            async with asyncio.timeout(20):
                while not closed:
                    await asyncio.sleep(0.01)
    assert closed == [1002]


async def test_a_plain_http_server_is_one_sentence() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot here\n")

    async with serving(script) as url:
        with pytest.raises(ExchangeError, match=r"plain HTTP server answered 404 .*it said: not here"):
            async with opened(url.replace("http", "ws")):
                pass


async def test_a_server_that_never_answers_the_upgrade_is_not_waited_for() -> None:
    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(script) as url:
        with pytest.raises(ExchangeError, match="nothing answered the WebSocket upgrade within"):
            async with opened(url.replace("http", "ws"), open_timeout_s=0.2):
                pass


async def test_a_wrong_proof_is_refused() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n")

    async with serving(script) as url:
        with pytest.raises(ExchangeError, match="does not fit the request"):
            async with opened(url.replace("http", "ws")):
                pass


async def test_leaving_closes_the_socket_at_the_other_end() -> None:
    gone = asyncio.Event()

    async def script(server: web.WebSocketResponse) -> None:
        message = await server.receive()
        assert message.type is WSMsgType.CLOSE
        gone.set()

    async with socket_server(script) as url:
        async with opened(url):
            pass
        async with asyncio.timeout(20):
            await gone.wait()


async def test_a_proxy_is_honoured_by_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")

    async with serving(script, requests=asked) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(Exception, match="403"):
            async with opened("ws://gateway.example:18789"):
                pass
    assert asked[0].startswith(b"CONNECT gateway.example:18789 ")
