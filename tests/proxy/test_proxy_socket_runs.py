"""Promises of a Responses WebSocket through the proxy: a run for each turn, and nothing of what is between them."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from kmon.proxy.provider_call import ProviderCall
from kmon.stream import events as ev
from tests.support.response_sockets import before, called, completed, created, healthy, piece, turn
from tests.support.sockets import socket_server
from tests.support.watching import Middle, before_simulator, proxying

KEY = "sk-test-0123456789abcdef"
TOOL: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}


def queued(middle: Middle) -> list[ev.RunQueued]:
    return [event for event in middle.watched.events if isinstance(event, ev.RunQueued)]


@pytest.mark.references
async def test_the_official_client_has_a_run_for_each_turn() -> None:
    import openai  # here, since every process of the tests imports all of them

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
