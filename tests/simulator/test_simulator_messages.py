"""The simulated Messages API: named events in their order, cumulative usage, pings, errors in its own shape."""

from __future__ import annotations

import json

import httpx
import pytest

from kmon.simulator.server import Simulator
from tests.support.talk import Body, ledger

MODEL = "kimi-k2.5"
HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "dummy"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "Get the current weather of a city.", "input_schema": SCHEMA}
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Tokyo"}}


def asked(content: object = "Weather for Tokyo?", **members: object) -> Body:
    return {
        "model": MODEL,
        "max_tokens": 4_096,
        "stream": True,
        "messages": [{"role": "user", "content": content}],
        **members,
    }


def with_result(tool_use_id: str) -> list[Body]:
    result = {"type": "tool_result", "tool_use_id": tool_use_id, "content": [{"type": "text", "text": '{"temp":22}'}]}
    return [
        {"role": "user", "content": "Weather for Tokyo?"},
        {"role": "assistant", "content": [{"type": "text", "text": "Getting it."}, USE]},
        {"role": "user", "content": [result]},
    ]


@pytest.fixture
def url(sim: Simulator) -> str:
    return f"{sim.origin}/moonshot/anthropic/v1/messages"


async def events(http: httpx.AsyncClient, url: str, body: Body, fault: str = "smooth") -> list[Body]:
    """The events; each has a name that its data repeats as ``type``."""
    answer = await http.post(url, json=body, headers=HEADERS | {"x-kmon-fault": fault})
    assert answer.status_code == 200, answer.text
    found = []
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def kinds(found: list[Body]) -> list[str]:
    """Event types in order, with the kind of each block or delta, repetitions left out."""
    named = []
    for event in found:
        part = event.get("content_block") or event.get("delta") or {}
        named.append(" ".join(filter(None, (event["type"], part.get("type")))))
    return [name for number, name in enumerate(named) if number == 0 or named[number - 1] != name]


def said(found: list[Body], key: str) -> str:
    return "".join(event.get("delta", {}).get(key, "") for event in found)


async def test_thinking_text_and_a_tool_call_come_as_blocks_in_order(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, asked(tools=[WEATHER]))
    assert kinds(found) == [
        "message_start",
        "ping",
        "content_block_start thinking",
        "content_block_delta thinking_delta",
        "content_block_delta signature_delta",
        "content_block_stop",
        "content_block_start text",
        "content_block_delta text_delta",
        "content_block_stop",
        "content_block_start tool_use",
        "content_block_delta input_json_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event["index"] for event in found if event["type"] == "content_block_stop"] == [0, 1, 2]
    assert json.loads(said(found, "partial_json")) == {"city": "Tokyo"}
    assert said(found, "stop_reason") == "tool_use"


async def test_usage_begins_with_the_input_and_ends_with_all_output(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, asked("Write a Python class.", thinking={"type": "disabled"}))
    start, last = found[0]["message"], found[-2]
    assert start["usage"]["input_tokens"] > 0
    assert start["id"].startswith("msg_")
    assert last["delta"]["stop_reason"] == "end_turn"
    assert last["usage"]["output_tokens"] == kinds_of(found, "text_delta") > 100
    assert kinds_of(found, "thinking_delta") == 0


def kinds_of(found: list[Body], kind: str) -> int:
    return sum(event.get("delta", {}).get("type") == kind for event in found)


async def test_a_tool_result_is_answered_in_words_with_its_number(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, asked(messages=with_result("toolu_1"), tools=[WEATHER]))
    assert "22" in said(found, "text")


async def test_a_request_without_stream_gets_one_message(url: str, http: httpx.AsyncClient) -> None:
    answer = await http.post(url, json=asked(tools=[WEATHER], stream=False), headers=HEADERS)
    message = answer.json()
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    assert message["content"][2]["input"] == {"city": "Tokyo"}
    assert message["stop_reason"] == "tool_use"


async def test_content_of_other_kinds_is_accepted(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, asked([{"type": "image", "source": {}}]))
    assert kinds(found)[-1] == "message_stop"


async def test_the_output_is_capped_by_max_tokens(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, asked("Write a Python class.", max_tokens=5, thinking={"type": "disabled"}))
    assert said(found, "stop_reason") == "max_tokens"
    assert found[-2]["usage"]["output_tokens"] == 5


async def test_either_kind_of_key_is_accepted_and_any_prefix_of_the_path(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    for path, key in (("/v1/messages", "x-api-key"), ("/kimi-coding/messages", "authorization")):
        headers = {"anthropic-version": "2023-06-01", key: "Bearer dummy"}
        answer = await http.post(f"{sim.origin}{path}", json=asked("Say hello."), headers=headers)
        assert answer.headers["request-id"]
    rows = (await ledger(sim, http))["requests"]
    assert [(row["provider"], row["dialect"]) for row in rows] == [("sim", "messages"), ("kimi-coding", "messages")]
    assert [bool(row["request_id"]) for row in rows] == [True, True]


@pytest.mark.parametrize(
    ("body", "headers", "sentence"),
    [
        (asked(), {}, "anthropic-version: header is required"),
        ({key: value for key, value in asked().items() if key != "max_tokens"}, HEADERS, "max_tokens"),
        (asked(messages=[]), HEADERS, "at least one message"),
        (asked(messages=with_result("toolu_2")), HEADERS, "messages.2: unexpected `tool_use_id`"),
    ],
)
async def test_bad_requests_are_refused_in_the_dialects_own_shape(
    body: Body, headers: dict[str, str], sentence: str, url: str, http: httpx.AsyncClient
) -> None:
    answer = await http.post(url, json=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert sentence in answer.json()["error"]["message"]


async def test_an_error_in_the_stream_is_an_error_event(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, asked("Write a Python class."), "error-in-200:after_tokens=5")
    assert found[-1]["type"] == "error"
    assert found[-1]["error"]["type"] == "overloaded_error"
    assert kinds_of(found, "thinking_delta") == 5


async def test_keepalives_are_pings(url: str, http: httpx.AsyncClient) -> None:
    headers = HEADERS | {"x-kmon-fault": "keepalives-only:after_tokens=1"}
    received = ""
    async with http.stream("POST", url, json=asked(), headers=headers) as answer:
        async for piece in answer.aiter_text():
            received += piece
            if received.count("event: ping\n") >= 4:
                break
    assert received.count("thinking_delta") == 1
    assert received.endswith('event: ping\ndata: {"type":"ping"}\n\n')


async def test_finish_without_done_lacks_only_message_stop(url: str, http: httpx.AsyncClient) -> None:
    assert kinds(await events(http, url, asked("Say hello."), "finish-without-done"))[-1] == "message_delta"


@pytest.mark.parametrize(
    ("fault", "status", "kind"), [("rate-limited", 429, "rate_limit_error"), ("http-500", 500, "api_error")]
)
async def test_http_errors_are_in_the_dialects_own_shape(
    fault: str, status: int, kind: str, url: str, http: httpx.AsyncClient
) -> None:
    answer = await http.post(url, json=asked(), headers=HEADERS | {"x-kmon-fault": fault})
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert answer.headers["request-id"]
