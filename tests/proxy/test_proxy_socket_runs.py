"""Promises of a Responses WebSocket through the proxy: a run for each turn, and nothing of what is between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from kmon.proxy.provider_call import ProviderCall
from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.sockets import frame, socket_server
from tests.support.watching import Middle, before_simulator, proxying

KEY = "sk-test-0123456789abcdef"
TOOL: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
ENDS = ("response.completed", "response.incomplete", "response.failed", "error")
Answer = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]


def created(id: str) -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": id, "model": "m", "status": "in_progress"}}


def piece(words: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": words}


def completed(id: str, tokens: int = 1) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": tokens, "total_tokens": 3 + tokens}
    return {
        "type": "response.completed",
        "response": {"id": id, "model": "m", "status": "completed", "output": [], "usage": usage},
    }


def called(name: str) -> dict[str, Any]:
    item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": name, "arguments": "{}"}
    return {"type": "response.output_item.done", "output_index": 0, "item": item}


async def turn(socket: aiohttp.ClientWebSocketResponse, **members: object) -> list[dict[str, Any]]:
    """The events of one turn of a bare client."""
    await socket.send_json({"type": "response.create", "model": "m", "input": "hello", **members})
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] not in ENDS:
        found.append(await socket.receive_json(timeout=30))
    return found


@contextlib.asynccontextmanager
async def before(answer: Answer, **options: object) -> AsyncIterator[tuple[Middle, aiohttp.ClientWebSocketResponse]]:
    """A client's socket through a proxy to a server that answers each message with ``answer``."""

    async def script(server: web.WebSocketResponse) -> None:
        async for message in server:
            await answer(server, message.json())

    async with socket_server(script) as url, proxying(f"{url.replace('ws', 'http')}/v1", **options) as middle:  # type: ignore[arg-type]
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses") as socket:
            yield middle, socket


async def healthy(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
    for event in (created("resp_1"), piece("Hello"), completed("resp_1")):
        await server.send_json(event)


def queued(middle: Middle) -> list[ev.RunQueued]:
    return [event for event in middle.watched.events if isinstance(event, ev.RunQueued)]


async def test_the_official_client_has_a_run_for_each_turn() -> None:
    calls: list[ProviderCall] = []
    async with before_simulator(on_call=calls.append) as middle:
        async with openai.AsyncOpenAI(base_url=middle.url, api_key=KEY, max_retries=0) as client:
            async with client.responses.connect() as connection:
                texts, before_id = [], None
                for number, words in enumerate(("Say OK only.", "Say hello only."), 1):
                    asked: Any = {"model": "kimi-k2.5", "input": words, "previous_response_id": before_id}
                    await connection.response.create(**asked)
                    while (event := await connection.recv()).type != "response.completed":
                        pass
                    before_id = event.response.id  # type: ignore[union-attr]
                    texts.append(event.response.output_text)  # type: ignore[union-attr]
                    ended = await middle.watched.ended(number)
                    assert (ended.run, ended.state, ended.signature) == (f"p{number}", "done", None)
                    assert (ended.text, ended.response_id) == (texts[-1], before_id)
                    assert ended.label == "test/kimi-k2.5" and ended.usage is not None and ended.ttft_ms is not None
        await middle.host.close()
        runs = queued(middle)
        assert [(run.run, run.dialect, run.scenario) for run in runs] == [
            ("p1", "responses", "proxied"),
            ("p2", "responses", "proxied"),
        ]
        assert all(run.note.startswith("AsyncOpenAI/Python") for run in runs)
        assert KEY not in "".join(map(repr, middle.watched.events))
    assert [call.run for call in calls if call.ending == "done"] == ["p1", "p2"]
    assert all(call.path == "/v1/responses" and call.model == "kimi-k2.5" for call in calls)


async def test_compressed_messages_are_read_and_nothing_is_changed() -> None:
    words = "the same words again and again " * 200

    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        assert asked["input"] == words and server.compress
        for event in (created("resp_1"), piece(words), completed("resp_1", 1_400)):
            await server.send_json(event)

    async def script(server: web.WebSocketResponse) -> None:
        async for message in server:
            await answer(server, message.json())

    async with socket_server(script) as url, proxying(f"{url.replace('ws', 'http')}/v1") as middle:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses", compress=15) as socket:
            for number in (1, 2):
                assert (await turn(socket, input=words))[1]["delta"] == words
                ended = await middle.watched.ended(number)
                assert (ended.state, ended.signature, ended.text) == ("done", None, words)


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


async def test_a_silence_between_turns_is_of_no_run_and_one_in_a_turn_is_its_stall() -> None:
    go_on = asyncio.Event()

    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        await server.send_json(created("resp_1"))
        await server.send_json(piece("Hel"))
        if asked["input"] == "slow":
            await go_on.wait()
        await server.send_json(completed("resp_1"))

    async with before(answer, stall_s=0.2) as (middle, socket):
        await turn(socket)
        await middle.watched.ended()
        await asyncio.sleep(0.6)  # three times the threshold: the client works
        assert not any(isinstance(event, ev.StallStarted) for event in middle.watched.events)
        slow = asyncio.create_task(turn(socket, input="slow"))
        stall = await middle.watched.until(lambda event: isinstance(event, ev.StallStarted))
        assert isinstance(stall, ev.StallStarted) and stall.run == "p2"
        go_on.set()
        await slow
        ended = await middle.watched.ended(2)
        assert ended.state == "done" and [one.ended for one in ended.stalls] == [True]


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


async def test_a_request_sent_before_the_answer_has_ended_begins_when_its_own_is_due() -> None:
    waiting = asyncio.Event()

    async def script(server: web.WebSocketResponse) -> None:
        first, second = await server.receive_json(), await server.receive_json()
        assert (first["input"], second["input"]) == ("one", "two")
        await waiting.wait()
        for number in ("1", "2"):
            for event in (created(number), piece(number), completed(number)):
                await server.send_json(event)
        await server.receive()

    async with socket_server(script) as url, proxying(f"{url.replace('ws', 'http')}/v1", stall_s=0.2) as middle:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses") as socket:
            for words in ("one", "two"):
                await socket.send_json({"type": "response.create", "model": "m", "input": words})
            stall = await middle.watched.until(lambda event: isinstance(event, ev.StallStarted))
            assert isinstance(stall, ev.StallStarted) and stall.run == "p1"
            waiting.set()
            first, second = await middle.watched.ended(1), await middle.watched.ended(2)
    assert [(one.run, one.state, one.text) for one in (first, second)] == [("p1", "done", "1"), ("p2", "done", "2")]
    assert len(first.stalls) == 1 and not second.stalls


async def test_lanes_are_runs_side_by_side() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        lanes = [(await server.receive_json())["stream_id"] for _ in range(2)]
        for event in (created("r"), piece("Hel"), piece("lo"), completed("r")):
            for lane in lanes:
                await server.send_json(event | {"stream_id": lane})
        await server.receive()

    async with socket_server(script) as url, proxying(f"{url.replace('ws', 'http')}/v1") as middle:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses") as socket:
            for lane in ("a", "b"):
                await socket.send_json({"type": "response.create", "model": lane, "input": "hi", "stream_id": lane})
            ended = [await middle.watched.ended(1), await middle.watched.ended(2)]
    assert [(one.label, one.state, one.text) for one in ended] == [
        ("test/a", "done", "Hello"),
        ("test/b", "done", "Hello"),
    ]


@pytest.mark.parametrize(
    ("error", "signature", "words"),
    [
        (
            {"status": 400, "error": {"code": "previous_response_not_found", "message": "no resp_9"}},
            "http-error",
            "400",
        ),
        ({"status": 429, "error": {"type": "usage_limit_reached", "message": "used up"}}, "rate-limited", "429"),
        ({"code": "server_error", "message": "oops"}, "error-in-stream", "the first event"),
    ],
)
async def test_an_error_ends_its_run_by_its_name_and_the_next_turn_is_well(
    error: dict[str, Any], signature: str, words: str
) -> None:
    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        if asked["input"] == "wrong":
            await server.send_json({"type": "error", **error})
        else:
            await healthy(server, asked)

    async with before(answer) as (middle, socket):
        await turn(socket, input="wrong")
        failed = await middle.watched.ended()
        assert (failed.state, failed.signature) == ("failed", signature) and words in failed.evidence
        await turn(socket)
        assert (await middle.watched.ended(2)).signature is None


async def test_a_warm_up_is_a_run_without_output_and_without_fault() -> None:
    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        for event in (created("resp_1"), completed("resp_1")):
            await server.send_json(event)

    async with before(answer) as (middle, socket):
        await turn(socket, generate=False)
        warm = await middle.watched.ended()
        await turn(socket)
        empty = await middle.watched.ended(2)
    assert (warm.state, warm.signature, warm.scenario) == ("done", None, "warm-up")
    assert (empty.state, empty.signature, empty.scenario) == ("done", "empty-answer", "proxied")


async def test_tools_of_the_request_are_known_also_of_the_one_that_it_goes_on_with() -> None:
    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        id = f"resp_{asked['input']}"
        for event in (created(id), called("get_weather"), completed(id)):
            await server.send_json(event)

    async with before(answer) as (middle, socket):
        await turn(socket, input="1", tools=[TOOL])
        await turn(socket, input="2", previous_response_id="resp_1")
        await turn(socket, input="3", tools=[TOOL | {"name": "other"}])
        ended = [await middle.watched.ended(number) for number in (1, 2, 3)]
    assert [one.signature for one in ended] == [None, None, "tool-not-offered"]


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


async def test_pings_of_the_upstream_are_life_and_pongs_only_bytes() -> None:
    async def answer(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        await server.send_json(created("resp_1"))
        await server.ping()
        await server.pong()
        for event in (piece("Hello"), completed("resp_1")):
            await server.send_json(event)

    async with before(answer) as (middle, socket):
        await turn(socket)
        ended = await middle.watched.ended()
    assert (ended.state, ended.keepalives, ended.text) == ("done", 1, "Hello")


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


async def test_what_comes_unasked_before_any_turn_is_passed_on_and_is_no_run() -> None:
    async def script(server: web.WebSocketResponse) -> None:
        await server.send_json({"type": "codex.rate_limits", "plan_type": "plus"})
        await server.send_str("not json")
        async for message in server:
            await healthy(server, message.json())

    async with socket_server(script) as url, proxying(f"{url.replace('ws', 'http')}/v1") as middle:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses") as socket:
            assert (await socket.receive_json())["type"] == "codex.rate_limits"
            assert await socket.receive_str() == "not json"
            await turn(socket)
            ended = await middle.watched.ended()
    assert (ended.run, ended.state, ended.signature) == ("p1", "done", None)


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
