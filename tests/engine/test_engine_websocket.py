"""Promises of the ``ws`` target: whatever a WebSocket says is a chunk, and nothing is asked of the other side."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from aiohttp import web

from kmon.model import Target
from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.racing import outcome, plan
from tests.support.sockets import socket_server


async def heard(url: str, **options: object) -> tuple[ev.RunEnded, list[ev.Event]]:
    target = Target(name="ws", provider="here", model="messages", dialect="ws", base_url=url)
    ended, events = await outcome(plan(target, **options))
    return ended[0], events


async def test_messages_are_chunks_and_a_normal_close_is_a_good_end() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.send_str('{"type":"tick","n":1}')
        await server.ping()
        await server.send_str("[2]")
        await server.close(code=1000)

    async with socket_server(script) as url:
        ended, events = await heard(url)
    assert (ended.state, ended.signature, ended.chunks, ended.keepalives) == ("done", None, 2, 1)
    assert ended.text == '{"type":"tick","n":1}\n[2]\n' and ended.evidence.startswith("2 messages")
    assert [event.status for event in events if isinstance(event, ev.HeadersReceived)] == [101]


async def test_what_is_no_json_is_reported_with_the_message_and_the_rest_goes_on() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.send_str('{"type": oops}')
        await server.send_str("{}")
        await server.close(code=1000)

    async with socket_server(script) as url:
        ended, events = await heard(url)
    assert (ended.state, ended.signature, ended.chunks) == ("done", "malformed-frame", 2)
    errors = [event.error for event in events if isinstance(event, ev.DeltaArrived) and event.error]
    assert [error.frame for error in errors] == ['{"type": oops}']


@pytest.mark.parametrize(("code", "words"), [(1011, "failed inside"), (1013, "overloaded"), (1008, "policy")])
async def test_a_close_that_is_none_of_the_good_ones_is_named(code: int, words: str) -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.close(code=code, message=b"because")

    async with socket_server(script) as url:
        ended, _ = await heard(url)
    assert (ended.state, ended.signature) == ("failed", "websocket-closed")
    assert f"closed with {code}" in ended.evidence and words in ended.evidence and "because" in ended.evidence


async def test_a_connection_that_just_ends_is_called_abnormal() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.send_str("{}")
        assert server._req is not None and server._req.transport is not None
        server._req.transport.close()

    async with socket_server(script) as url:
        ended, _ = await heard(url)
    assert ended.signature == "websocket-closed" and "1006 (abnormal" in ended.evidence


async def test_listening_ends_well_when_its_time_is_over_and_something_came() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.send_str("{}")
        await asyncio.Event().wait()

    async with socket_server(script) as url:
        ended, _ = await heard(url, timeout_s=0.5)
    assert (ended.state, ended.signature) == ("done", None)


async def test_an_open_line_without_a_message_is_told_from_a_dead_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmon.transport.websocket.WebSocket.pinging.__defaults__", (0.05,))

    async def script(server: web.WebSocketResponse) -> None:
        async for _ in server:
            pass  # answers pings, and says nothing

    async with socket_server(script) as url:
        ended, _ = await heard(url, timeout_s=0.6)
    assert (ended.state, ended.signature) == ("timed-out", "websocket-silent")


async def test_a_plain_http_server_is_a_failed_run_with_a_sentence() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")

    async with serving(script) as url:
        ended, _ = await heard(url.replace("http", "ws"))
    assert ended.state == "failed" and ended.signature == "not-a-stream"
    assert ended.error is not None and "plain HTTP server answered 200" in ended.error.message


async def test_the_dialogue_of_kimi_proxy_is_understood() -> None:
    place = os.environ.get("KMON_GATEWAY_RECORDINGS")
    if place is None:
        pytest.skip("KMON_GATEWAY_RECORDINGS is not set")
    lines = [json.loads(line) for line in (Path(place) / "kimi-proxy.jsonl").read_text("utf-8").splitlines()]
    told = [line["frame"] for line in lines if line["dir"] == "in"]

    async def script(server: web.WebSocketResponse) -> None:
        for frame in told:
            await server.send_json(frame)
        await server.close(code=1001)

    async with socket_server(script) as url:
        ended, _ = await heard(url)
    assert (ended.state, ended.signature, ended.chunks) == ("done", None, len(told))
    first, second = ended.text.splitlines()
    assert first == "init: session 1 'Session par défaut', managed:kimi-code, 0 requests so far"
    assert second == "new_session: session 2 'kmon', fake, fake/fake-1"
