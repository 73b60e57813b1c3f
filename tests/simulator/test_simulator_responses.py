"""The simulated Responses API: numbered events in their order, whole items, errors."""

from __future__ import annotations

import json

import httpx
import pytest

from kmon.simulator.server import Simulator
from tests.support.talk import Body, ledger

MODEL = "kimi-k2.5"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "get_weather", "description": "Current weather of a city.", "parameters": SCHEMA}
CALLED = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city":"Tokyo"}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": '{"temp":22}'}


def asked(content: object = "Weather for Tokyo?", **members: object) -> Body:
    return {"model": MODEL, "stream": True, "input": content, **members}


@pytest.fixture
def url(sim: Simulator) -> str:
    return f"{sim.origin}/openai/v1/responses"


async def events(http: httpx.AsyncClient, url: str, body: Body, fault: str = "smooth") -> list[Body]:
    """The events; each has a name that its data repeats as ``type``."""
    answer = await http.post(url, json=body, headers={"x-kmon-fault": fault})
    assert answer.status_code == 200, answer.text
    found = []
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def kinds(found: list[Body]) -> list[str]:
    """Event types in order, repetitions left out."""
    named = [event["type"].removeprefix("response.") for event in found]
    return [name for number, name in enumerate(named) if number == 0 or named[number - 1] != name]


async def test_reasoning_text_and_a_call_come_as_items_in_order(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, asked(tools=[WEATHER]))
    assert kinds(found) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    begun = [event["item"] for event in found if event["type"] == "response.output_item.added"]
    ended = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert [item["id"] for item in begun] == [item["id"] for item in ended]
    assert ended == found[-1]["response"]["output"]
    pieces = "".join(event["delta"] for event in found if event["type"] == "response.function_call_arguments.delta")
    assert json.loads(pieces) == {"city": "Tokyo"}
    assert ended[-1]["arguments"] == pieces


async def test_an_answer_that_the_limit_cut_is_incomplete(url: str, http: httpx.AsyncClient) -> None:
    cut = (await events(http, url, asked("Tell me how rivers find the sea.", max_output_tokens=20)))[-1]
    assert (cut["type"], cut["response"]["incomplete_details"]) == (
        "response.incomplete",
        {"reason": "max_output_tokens"},
    )
    assert cut["response"]["usage"]["output_tokens"] == 20
    whole = (await events(http, url, asked("Tell me how rivers find the sea.")))[-1]
    assert (whole["type"], whole["response"]["incomplete_details"]) == ("response.completed", None)


async def test_a_whole_answer_is_what_the_stream_ends_with(url: str, http: httpx.AsyncClient) -> None:
    body = asked(tools=[WEATHER])
    streamed = (await events(http, url, body))[-1]["response"]
    whole = (await http.post(url, json=body | {"stream": False}, headers={"x-kmon-fault": "smooth"})).json()
    assert [item["type"] for item in whole["output"]] == [item["type"] for item in streamed["output"]]
    assert whole["usage"] == streamed["usage"]


async def test_results_of_tools_are_answered_in_text(url: str, http: httpx.AsyncClient) -> None:
    talk = [{"role": "user", "content": "Weather for Tokyo?"}, CALLED, RESULT]
    found = await events(http, url, asked(talk, tools=[WEATHER]))
    assert "22" in found[-1]["response"]["output"][-1]["content"][0]["text"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (asked([]), "input: must not be empty"),
        (asked([RESULT]), "No tool call found for function call output with call_id c1"),
        (asked([{"role": "wizard", "content": "Hi"}]), "input[0].role: must be one of"),
        ({"model": MODEL, "messages": []}, "the request body is not a Responses request"),
    ],
)
async def test_what_is_no_request_is_refused(url: str, http: httpx.AsyncClient, body: Body, sentence: str) -> None:
    answer = await http.post(url, json=body)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]["message"]


async def test_errors_inside_a_stream_come_as_a_failed_answer_or_as_an_event(url: str, http: httpx.AsyncClient) -> None:
    failed = (await events(http, url, asked("Tell me how rivers find the sea."), "error-in-200"))[-1]
    assert (failed["type"], failed["response"]["error"]["code"]) == ("response.failed", "server_error")
    (first,) = await events(http, url, asked(), "error-first")
    assert (first["type"], first["code"]) == ("error", "invalid_request_error")


async def test_the_ledger_names_the_dialect(sim: Simulator, url: str, http: httpx.AsyncClient) -> None:
    await events(http, url, asked())
    assert [(row["provider"], row["dialect"]) for row in (await ledger(sim, http))["requests"]] == [
        ("openai", "responses")
    ]
