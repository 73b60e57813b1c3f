"""Promises of a target that speaks Responses over a WebSocket: named as over HTTP, and by the ends of a socket."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from kmon.catalog.resolve import custom_target
from kmon.errors import UsageError
from kmon.model import Target
from kmon.simulator.server import Simulator
from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.racing import ASK, is_text, outcome, plan, racing
from tests.support.sockets import socket_server

KEY = "sk-test-0123456789abcdef"
CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "m", "status": "in_progress"}}
PIECE = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hello"}
COMPLETED = {
    "type": "response.completed",
    "response": {
        "id": "resp_1",
        "model": "m",
        "status": "completed",
        "output": [],
        "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
    },
}


def target(url: str, model: str = "m", **options: object) -> Target:
    return Target(name="here", provider="test", model=model, dialect="responses", base_url=url, **options)  # type: ignore[arg-type]


def at(sim: Simulator, model: str = "m") -> Target:
    return target(f"ws://127.0.0.1:{sim.port}/sim/v1", model)


async def ended(aim: Target, **options: object) -> tuple[ev.RunEnded, list[ev.Event]]:
    results, events = await outcome(plan(aim, **options))
    return results[0], events


async def test_an_answer_over_a_websocket_is_read_like_one_over_http(sim: Simulator) -> None:
    over_socket, events = await ended(at(sim))
    over_http, _ = await ended(target(f"{sim.origin}/sim/v1"))
    assert (over_socket.state, over_socket.signature, over_socket.text) == ("done", None, over_http.text)
    assert (over_socket.usage, over_socket.finish_reason) == (over_http.usage, "completed")
    assert over_socket.ttft_ms is not None and over_socket.chunks == over_http.chunks
    phases = [event.phase for event in events if isinstance(event, ev.PhaseReached)]
    assert phases[-2:] == ["connect", "request_sent"] and phases.count("request_sent") == 1
    assert [event.status for event in events if isinstance(event, ev.HeadersReceived)] == [101]


async def test_the_message_is_the_http_request_and_the_key_goes_with_the_upgrade() -> None:
    seen: list[object] = []

    async def script(server: web.WebSocketResponse) -> None:
        assert server._req is not None
        seen.extend((server._req.path, server._req.headers["authorization"], await server.receive_json()))
        for event in (CREATED, PIECE, COMPLETED):
            await server.send_json(event)
        seen.append((await server.receive()).data)

    async with socket_server(script) as url:
        aim = target(f"{url}/v1", key_env=("TEST_API_KEY",))
        results, events = await outcome(plan(aim), {"TEST_API_KEY": KEY})
        async with asyncio.timeout(20):
            while len(seen) < 4:
                await asyncio.sleep(0.01)
    path, authorization, message, closed = seen
    assert (path, authorization, closed) == ("/v1/responses", f"Bearer {KEY}", 1000)
    assert isinstance(message, dict) and message["type"] == "response.create" and "stream" not in message
    assert message["model"] == "m" and message["input"] == [{"role": "user", "content": ASK.messages[0].content}]
    assert (results[0].state, results[0].text, results[0].response_id) == ("done", "Hello", "resp_1")
    assert KEY not in "".join(map(repr, events))


@pytest.mark.parametrize(
    ("status", "body", "signature", "words"),
    [
        (401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, "http-error", "API key"),
        (429, {"error": {"message": "slow down"}}, "rate-limited", "slow down"),
        (503, {"error": {"message": "no capacity"}}, "http-server-error", "no capacity"),
        (426, {"detail": "Upgrade Required"}, "http-error", "426"),
        (200, {"object": "list"}, "not-a-stream", "JSON"),
    ],
)
async def test_an_http_answer_to_the_upgrade_is_named_by_its_status(
    status: int, body: object, signature: str, words: str
) -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)

    async with serving(script) as url:
        result, _ = await ended(target(url.replace("http", "ws")))
    assert (result.state, result.signature) == ("failed", signature)
    assert result.error is not None and words in result.error.message


async def test_an_upgrade_that_nobody_answers_has_no_headers() -> None:
    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(script) as url:
        slow_socket, _ = await ended(target(url.replace("http", "ws")), timeout_s=1.0)
        slow_upgrade, _ = await ended(target(url.replace("http", "ws")), connect_timeout_s=0.5)
    assert (slow_socket.state, slow_socket.signature) == ("timed-out", "no-headers")
    assert (slow_upgrade.state, slow_upgrade.signature) == ("failed", "no-headers")


@pytest.mark.parametrize(
    ("model", "signature", "words"),
    [
        ("sim/socket-closed", "websocket-closed", "1011"),
        ("sim/socket-limit", "http-error", "HTTP 400"),
        ("sim/rate-limited", "rate-limited", "HTTP 429"),
        ("sim/error-in-200", "error-in-stream", "had begun"),
        ("sim/fin-mid-chunk", "http-error", "HTTP 400"),
        ("sim/no-close-notify", "websocket-closed", "1006"),
    ],
)
async def test_a_fault_has_its_name(sim: Simulator, model: str, signature: str, words: str) -> None:
    result, _ = await ended(at(sim, model))
    assert (result.state, result.signature) == ("failed", signature)
    assert words in result.evidence


async def test_a_close_after_the_answer_is_none(sim: Simulator) -> None:
    result, _ = await ended(at(sim, "sim/socket-closed-after"))
    assert (result.state, result.signature) == ("done", None)


@pytest.mark.parametrize(
    ("model", "signature"),
    [
        ("sim/headers-then-nothing", "no-first-token"),
        ("sim/hang-mid-stream", "hang-mid-stream"),
        ("sim/keepalives-only", "keep-alives-only"),
    ],
)
async def test_a_silence_has_the_name_that_it_has_over_http(sim: Simulator, model: str, signature: str) -> None:
    result, events = await ended(at(sim, model), stall_s=0.3, timeout_s=1.5)
    assert (result.state, result.signature) == ("timed-out", signature)
    assert any(isinstance(event, ev.StallStarted) for event in events)


async def test_a_limit_on_the_first_token_counts_from_the_message_on() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.receive_json()
        await server.send_json(CREATED)
        await server.receive()

    async with socket_server(script) as url:
        result, _ = await ended(target(url), first_token_timeout_s=0.3)
    assert result.state == "timed-out" and result.error is not None and result.error.code == "first_token_timeout_s"


async def test_cancelling_closes_the_socket() -> None:
    closed = asyncio.Event()

    async def script(server: web.WebSocketResponse) -> None:
        await server.receive_json()
        await server.send_json(CREATED)
        await server.send_json(PIECE)
        assert (await server.receive()).type is web.WSMsgType.CLOSE
        closed.set()

    async with socket_server(script) as url, racing(plan(target(url))) as watched:
        await watched.until(is_text)
        await watched.do("cancel")
        assert (await watched.ended()).state == "cancelled"
        async with asyncio.timeout(20):
            await closed.wait()


async def test_what_is_no_json_is_a_malformed_frame_and_the_answer_goes_on() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.receive_json()
        await server.send_json(CREATED)
        await server.send_str('{"type": oops}')
        for event in (PIECE, COMPLETED):
            await server.send_json(event)

    async with socket_server(script) as url:
        result, _ = await ended(target(url))
    assert (result.state, result.signature, result.text) == ("done", "malformed-frame", "Hello")


async def test_pongs_are_no_keep_alives_and_pings_are() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.receive_json()
        await server.send_json(CREATED)
        await server.ping()
        await server.pong()
        for event in (PIECE, COMPLETED):
            await server.send_json(event)

    async with socket_server(script) as url:
        result, _ = await ended(target(url))
    assert (result.state, result.keepalives) == ("done", 1)


async def test_a_follow_up_has_a_socket_of_its_own(sim: Simulator) -> None:
    async with racing(plan(at(sim, "sim/held-until-next"), stall_s=0.2)) as watched:
        await watched.until(lambda event: isinstance(event, ev.StallStarted))
        await watched.do("nudge")
        result = await watched.ended()
    assert result.attempts == 2 and {one.connection for one in sim.request_log.newest} == {1, 2}


def test_the_url_of_a_dialect_without_websockets_is_refused() -> None:
    assert custom_target("wss://api.openai.com/v1", "m", "responses").base_url == "wss://api.openai.com/v1"
    with pytest.raises(UsageError, match="must begin with http:// or https://"):
        custom_target("wss://api.openai.com/v1", "m", "chat")
    with pytest.raises(UsageError, match="http://, https://, ws:// or wss://"):
        custom_target("ftp://api.openai.com/v1", "m", "responses")


async def test_a_proxy_is_asked_with_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")

    async with serving(script, requests=asked) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        result, _ = await ended(target("ws://provider.example:8000/v1"))
    assert asked[0].startswith(b"CONNECT provider.example:8000 ")
    assert result.state == "failed" and "403" in repr(result.error)
