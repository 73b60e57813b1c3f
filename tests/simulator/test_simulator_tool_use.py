"""A chain of tool calls goes on until so many results are there as were asked for, in every dialect that has tools."""

from __future__ import annotations

import json
from random import Random

import pytest

from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import resolve_scenario
from kmon.dialects.registry import http_dialect as client_dialect
from kmon.model import PromptMessage, Scenario, Target, ToolUse
from kmon.simulator.answers import ModelAnswer, answer
from kmon.simulator.dialects.chat import CHAT, read_request
from kmon.simulator.dialects.converse import CONVERSE
from kmon.simulator.dialects.messages import MESSAGES
from kmon.simulator.http import ServerRequest
from kmon.simulator.prompt import CallChain, chain, places, quoted
from kmon.simulator.wire import ServerDialect
from tests.support.talk import Body


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Find it in 3 steps.", CallChain(3, 1)),
        ("Use the tool five times, one after the other.", CallChain(5, 1)),
        ("Make exactly 2 tool calls.", CallChain(2, 1)),
        ("Ask for Tokyo, Paris and New York in parallel.", CallChain(1, 3)),
        ("Use the tool 4 times in parallel.", CallChain(1, 4)),
        ("Get the weather of three cities in parallel.", CallChain(1, 3)),
        ("Call it in parallel: make exactly 6 calls in one turn.", CallChain(1, 6)),
        ("In 3 steps, make two tool calls in parallel each.", CallChain(3, 2)),
        ("Do it in parallel.", CallChain(1, 2)),
        ("Use it 999 times.", CallChain(100, 1)),
        ("What is the weather in Tokyo?", None),
        ("Write at least eight cases in two blocks.", None),
    ],
)
def test_how_many_calls_a_prompt_asks_for(prompt: str, asked: CallChain | None) -> None:
    assert chain(prompt) == asked


def test_what_is_due_gets_less_with_every_result() -> None:
    assert [CallChain(2, 2).due(results) for results in (0, 2, 3, 4, 9)] == [2, 2, 1, 0, 0]


def test_places_and_values_are_read_from_an_enumeration() -> None:
    assert places("The weather in Tokyo, New York, and Lima, please") == ["Tokyo", "New York", "Lima"]
    assert quoted('with the clues "a", "b" and "c d" and so on', "clue") == ["a", "b", "c d"]
    assert quoted("no values", "clue") == []


def scenario(name: str) -> Scenario:
    return resolve_scenario(load_catalog(), name)


def turn(dialect: ServerDialect, asked: Scenario, messages: list[PromptMessage]) -> ModelAnswer:
    """What the simulator says to the request that kmon itself would send."""
    target = Target(name="t", provider="t", model="kimi", base_url="http://127.0.0.1:9/v1")
    request = client_dialect(dialect.name).request(target, asked, messages)
    headers = {name.lower(): value for name, value in request.headers.items()}
    read = dialect.read(ServerRequest("POST", request.path, {}, headers, request.body), "kimi", True)
    return answer(read, 0, Random(1))


@pytest.mark.parametrize("dialect", [CHAT, CONVERSE, MESSAGES], ids=lambda dialect: dialect.name)
def test_the_chain_scenario_is_walked_to_its_end_with_what_each_result_hands_on(dialect: ServerDialect) -> None:
    asked = scenario("tool-chain:3")
    messages, clues = list(asked.messages), []
    while (said := turn(dialect, asked, messages)).calls:
        ((name, arguments),) = said.calls
        assert (name, said.finish) == ("follow_clue", "tool_calls")
        clues.append(json.loads(arguments)["clue"])
        use = ToolUse(id=f"call_{len(clues)}", name=name, arguments=json.loads(arguments))
        result = PromptMessage(role="tool", content=f'{{"clue": "{len(clues)}"}}', tool_call_id=use.id)
        messages += [PromptMessage(role="assistant", tool_calls=(use,)), result]
    assert clues == ["start", "1", "2"]
    assert "3" in said.joined("text")


@pytest.mark.parametrize("dialect", [CHAT, CONVERSE, MESSAGES], ids=lambda dialect: dialect.name)
def test_the_parallel_scenario_gets_all_its_calls_in_one_turn(dialect: ServerDialect) -> None:
    asked = scenario("tool-chain-parallel:3")
    calls = turn(dialect, asked, list(asked.messages)).calls
    assert [json.loads(arguments)["clue"] for _, arguments in calls] == ["a", "b", "c"]
    uses = tuple(ToolUse(id=f"c{n}", name=name, arguments=json.loads(a)) for n, (name, a) in enumerate(calls))
    results = [
        PromptMessage(role="tool", content=f'{{"clue": "{n + 7}"}}', tool_call_id=u.id) for n, u in enumerate(uses)
    ]
    said = turn(dialect, asked, [*asked.messages, PromptMessage(role="assistant", tool_calls=uses), *results])
    assert all(number in said.joined("text") for number in ("7", "8", "9"))
    assert said.finish == "stop"


def test_places_are_taken_in_turn_even_when_a_result_repeats_its_own(weather: Body) -> None:
    asked = {"role": "user", "content": "Use get_weather 2 times, for Paris and Lima."}
    result = {"role": "tool", "tool_call_id": "x", "content": '{"city": "Paris", "temp": 3}'}
    called = {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "get_weather", "arguments": "{}"}}]}
    body = {"model": "m", "messages": [asked, called, result], "tools": [weather]}
    said = answer(read_request(json.dumps(body).encode()), 0, Random(1))
    assert [json.loads(arguments) for _, arguments in said.calls] == [{"city": "Lima"}]
