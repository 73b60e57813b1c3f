"""Promises of how a Responses WebSocket begins and ends: refused, closed, cancelled, or no WebSocket at all."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.response_sockets import before, created, healthy, piece, turn
from tests.support.sockets import frame, socket_server
from tests.support.watching import Middle, proxying


def queued(middle: Middle) -> list[ev.RunQueued]:
    return [event for event in middle.watched.events if isinstance(event, ev.RunQueued)]


async def test_a_close_between_turns_and_a_socket_without_any_are_nothing() -> None:
    async with before(healthy) as (middle, socket):
        await turn(socket)
        await middle.watched.ended()
        await socket.close(code=1001)
        async with aiohttp.ClientSession() as http:
            async with http.ws_connect(f"{middle.url}/responses") as unused:
                await unused.ping()
        await middle.host.close()
        assert [run.run for run in queued(middle)] == ["p1"]
        assert not any(isinstance(event, ev.Notice) and event.level != "info" for event in middle.watched.events)


@pytest.mark.parametrize(("code", "words"), [(1011, "failed inside"), (1000, "closed normally"), (1012, "restarts")])
async def test_a_close_in_the_middle_is_the_fault_of_that_run_with_its_code(code: int, words: str) -> None:
    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        await server.send_json(created("resp_1"))
        await server.send_json(piece("Hel"))
        await server.close(code=code, message=b"because")

    async with before(answer) as (middle, socket):
        await socket.send_json({"type": "response.create", "model": "m", "input": "hello"})
        ended = await middle.watched.ended()
        assert (ended.state, ended.signature, ended.text) == ("failed", "websocket-closed", "Hel")
        assert f"closed with {code}" in ended.evidence and words in ended.evidence and "because" in ended.evidence


async def test_a_connection_that_just_ends_in_the_middle_is_abnormal() -> None:
    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        await server.send_json(created("resp_1"))
        assert server._req is not None and server._req.transport is not None
        server._req.transport.close()

    async with before(answer) as (middle, socket):
        await socket.send_json({"type": "response.create", "model": "m", "input": "hello"})
        ended = await middle.watched.ended()
        assert (ended.state, ended.signature) == ("failed", "websocket-closed") and "1006" in ended.evidence


async def test_a_client_that_closes_in_the_middle_has_cancelled_its_run() -> None:
    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        await server.send_json(created("resp_1"))
        await server.send_json(piece("Hel"))

    async with before(answer) as (middle, socket):
        await socket.send_json({"type": "response.create", "model": "m", "input": "hello"})
        await middle.watched.until(lambda event: isinstance(event, ev.DeltaArrived) and event.kind == "text")
        await socket.close(code=1000)
        ended = await middle.watched.ended()
        assert ended.state == "cancelled" and "the client left" in ended.evidence and "1000" in ended.evidence


async def test_cancelling_a_run_closes_the_socket_on_both_sides() -> None:
    gone = asyncio.Event()

    async def script(server: web.WebSocketResponse) -> None:
        async for message in server:
            await server.send_json(created("resp_1") | {"stream_id": message.json()["stream_id"]})
        gone.set()

    async with socket_server(script) as url, proxying(f"{url.replace('ws', 'http')}/v1") as middle:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses") as socket:
            for lane in ("a", "b"):
                await socket.send_json({"type": "response.create", "model": "m", "input": "hi", "stream_id": lane})
                await socket.receive_json()
            await middle.watched.until(lambda event: isinstance(event, ev.DeltaArrived), 2)
            await middle.watched.do("cancel", "p1")
            both = [await middle.watched.ended(number) for number in (1, 2)]
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        async with asyncio.timeout(20):
            await gone.wait()
    mine, other = sorted(both, key=lambda one: one.run)
    assert mine.state == other.state == "cancelled"
    assert "cancelled by the user of kmon" in mine.evidence and "p1 was cancelled" in other.evidence


@pytest.mark.parametrize(
    ("status", "signature"), [(401, "http-error"), (503, "http-server-error"), (426, "http-error")]
)
async def test_a_refused_upgrade_is_a_run_of_its_own(status: int, signature: str) -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b'{"error":{"message":"Incorrect API key provided"}}'
        head = f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

    async with serving(script) as url, proxying(f"{url}/v1") as middle:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(f"{middle.url}/responses")
        ended = await middle.watched.ended()
    assert (ended.state, ended.signature, ended.scenario) == ("failed", signature, "GET /v1/responses")
    assert ended.error is not None and "Incorrect API key" in ended.error.message


async def test_an_upgrade_that_takes_long_is_shown_and_then_done() -> None:
    async def slow(request: web.Request) -> web.WebSocketResponse:
        await middle.watched.until(lambda event: isinstance(event, ev.RunQueued))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await healthy(socket, message.json())
        return socket

    app = web.Application()
    app.router.add_get("/v1/responses", slow)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with proxying(f"http://127.0.0.1:{runner.addresses[0][1]}/v1") as middle:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses") as socket:
            await turn(socket)
            ended = [await middle.watched.ended(1), await middle.watched.ended(2)]
    await runner.cleanup()
    assert [(one.run, one.state, one.signature, one.scenario) for one in ended] == [
        ("p1", "done", None, "GET /v1/responses"),
        ("p2", "done", None, "proxied"),
    ]


async def test_past_what_is_no_websocket_the_socket_is_passed_on_unread_and_nobody_accused() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.receive_json()
        await server.send_json(created("resp_1"))
        assert server._req is not None and server._req.transport is not None
        server._req.transport.write(b"\x83\x00" + frame(1, b"{}"))
        await asyncio.sleep(60)

    async with socket_server(script) as url, proxying(f"{url.replace('ws', 'http')}/v1") as middle:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses") as socket:
            await socket.send_json({"type": "response.create", "model": "m", "input": "hello"})
            await middle.watched.until(lambda event: isinstance(event, ev.Unread))
        ended = await middle.watched.ended()
    notices = [event.message for event in middle.watched.events if isinstance(event, ev.Notice)]
    assert any("no valid WebSocket" in notice for notice in notices)
    assert (ended.state, ended.unread) == ("cancelled", True)


async def test_a_websocket_at_another_path_is_one_run_as_ever() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.send_str("hello")
        await server.close(code=1000)

    async with socket_server(script) as url, proxying(url.replace("ws", "http")) as middle:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/v1/realtime") as socket:
            assert await socket.receive_str() == "hello"
            await socket.receive()
        ended = await middle.watched.ended()
    assert (ended.state, ended.scenario) == ("done", "GET /v1/realtime")
