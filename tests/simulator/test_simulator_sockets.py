"""Promises of the simulated Responses API over a WebSocket: the official client talks to it, turn by turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from kmon.simulator.server import Simulator

if TYPE_CHECKING:
    import openai
    from openai.resources.responses.responses import AsyncResponsesConnection

pytestmark = pytest.mark.references

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": SCHEMA}
ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    import openai  # here, since every process of the tests imports all of them

    base_url = f"{sim.origin}/openai/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key="sk-test-0123456789", max_retries=0) as client:
        yield client


async def turn(connection: AsyncResponsesConnection, **members: object) -> list[Any]:
    """The events of one turn."""
    asked: Any = {"model": "kimi-k2.5", "store": False, **members}
    await connection.response.create(**asked)
    return await rest(connection)


async def rest(connection: AsyncResponsesConnection, lane: str | None = None) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(30):
        while not found or found[-1].type not in ENDS:
            event = await connection.recv()
            if event.stream_id == lane:
                found.append(event)
    return found


async def test_the_official_client_calls_a_tool_and_continues_on_the_same_socket(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    async with client.responses.connect() as connection:
        called = (await turn(connection, input="Weather for Tokyo?", tools=[WEATHER]))[-1].response
        call = next(item for item in called.output if item.type == "function_call")
        result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"temp":22}'}
        told = (await turn(connection, previous_response_id=called.id, input=[result]))[-1].response
    assert "22" in told.output_text
    logged = sim.request_log.newest
    assert [(one.connection, one.ended, one.tool_result) for one in logged] == [(1, "clean", False), (1, "clean", True)]


async def test_a_warm_up_has_no_output_and_can_be_continued(client: openai.AsyncOpenAI) -> None:
    async with client.responses.connect() as connection:
        warm = await turn(connection, input="Say hello.", generate=False)
        assert [event.type for event in warm] == ["response.created", "response.in_progress", "response.completed"]
        assert warm[-1].response.output == []
        went_on = await turn(connection, previous_response_id=warm[-1].response.id, input="Say OK only.")
        assert went_on[-1].response.output_text


async def test_lanes_are_answered_side_by_side_and_name_themselves(client: openai.AsyncOpenAI) -> None:
    async with client.responses.connect() as connection:
        create = connection.response.create
        await create(model="sim/hang-mid-stream", input="Tell me about rivers.", stream_id="slow")
        await create(model="kimi-k2.5", input="Say OK only.", stream_id="quick")
        quick = await rest(connection, "quick")
        assert quick[-1].type == "response.completed" and quick[-1].response.output_text


async def test_a_second_request_in_a_lane_is_answered_after_the_first(client: openai.AsyncOpenAI) -> None:
    async with client.responses.connect() as connection:
        for words in ("Say OK only.", "Say hello only."):
            await connection.response.create(model="kimi-k2.5", input=words)
        first, second = await rest(connection), await rest(connection)
    assert first[0].response.id == first[-1].response.id != second[-1].response.id


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"previous_response_id": "resp_unknown", "input": "go on"}, 400, "previous_response_not_found"),
        ({"model": "sim/rate-limited", "input": "hello"}, 429, "rate_limit_exceeded"),
        ({"model": "sim/socket-limit", "input": "hello"}, 400, "websocket_connection_limit_reached"),
        ({"model": "sim/html-200", "input": "hello"}, 400, None),
        ({"input": ""}, 400, None),
    ],
)
async def test_a_refusal_is_an_error_message_with_its_status_and_the_socket_goes_on(
    client: openai.AsyncOpenAI, members: dict[str, object], status: int, code: str | None
) -> None:
    async with client.responses.connect() as connection:
        refused = (await turn(connection, **members))[-1]
        assert (refused.type, refused.status, refused.error.code) == ("error", status, code)
        assert (await turn(connection, input="Say OK only."))[-1].type == "response.completed"


async def test_a_fault_of_a_websocket_cannot_be_had_over_http(client: openai.AsyncOpenAI) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="responses over a WebSocket can"):
        await client.responses.create(model="sim/socket-closed", input="hello", stream=True)


@pytest.mark.parametrize(("model", "code"), [("sim/socket-closed", 1011), ("sim/socket-closed-after", 1001)])
async def test_a_socket_is_closed_with_its_code(sim: Simulator, model: str, code: int) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{sim.origin}/openai/v1/responses") as socket:
            await socket.send_json({"type": "response.create", "model": model, "input": "Tell me about rivers."})
            kinds = [message.json()["type"] async for message in socket]
            assert socket.close_code == code
    assert ("response.completed" in kinds) == (code == 1001)


async def test_pings_are_answered_a_close_too_and_what_is_no_request_is_refused(sim: Simulator) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{sim.origin}/openai/v1/responses", autoping=False) as socket:
            await socket.ping(b"there?")
            assert (await socket.receive()).type is aiohttp.WSMsgType.PONG
            for nonsense in ("hello", "[]", '{"type":"response.cancel"}'):
                await socket.send_str(nonsense)
                assert (await socket.receive()).json()["error"]["code"] == "unknown_event"
            await socket.close(code=1000)
            assert socket.close_code == 1000
    await nobody_is_left(sim)


async def test_another_path_has_no_websocket(sim: Simulator) -> None:
    async with aiohttp.ClientSession() as http:
        for path in ("/openai/v1/chat/completions", "/nothing"):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(f"{sim.origin}{path}")


async def nobody_is_left(sim: Simulator) -> None:
    """Wait until no client is connected."""
    async with asyncio.timeout(20):
        while sim.request_log.opened > sim.request_log.closed:
            await asyncio.sleep(0.01)
