"""Both sides of each dialect agree: the simulator reads what kmon asks, and kmon reads what the simulator answers.

A new dialect is tried here by itself. Each test names the part of ``kmon/dialects/NAME.py`` or
``kmon/simulator/dialects/NAME.py`` that it is about.
"""

from __future__ import annotations

import json
from itertools import groupby
from random import Random

import httpx
import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.dialect import HttpDialect, WireRequest
from kmon.dialects.http_answer import answer_error
from kmon.dialects.registry import http_dialect
from kmon.model import PromptMessage, Scenario, Target, Tool, ToolUse
from kmon.proxy.request import overheard
from kmon.simulator.answers import ModelAnswer, Piece
from kmon.simulator.dialects.registry import route, server_dialects
from kmon.simulator.http import ServerRequest
from kmon.simulator.request import ChatRequest, TokenUsage
from kmon.simulator.server import Simulator
from kmon.simulator.wire import ServerDialect, Wire
from tests.support.simulated_streams import CALL, MODEL, WORDS, target

each_dialect = pytest.mark.parametrize("side", [pytest.param(side, id=side.name) for side in server_dialects()])
WEATHER = Tool(name="get_weather", description="Weather of a city")
QUESTION = (PromptMessage(role="system", content="Be brief."), PromptMessage(role="user", content="Weather?"))
CALLED = (
    PromptMessage(
        role="assistant",
        content="I look.",
        reasoning="Hm.",
        tool_calls=(ToolUse(id="c1", name="get_weather", arguments={"city": "Oslo"}),),
    ),
    PromptMessage(role="tool", tool_call_id="c1", content="22"),
)
THOUGHT = Piece("reasoning", "Let me think. ")
SPOKEN = tuple(Piece("text", word) for word in WORDS)
COUNTS = TokenUsage(prompt_tokens=9, completion_tokens=4)


def spoken(side: ServerDialect) -> HttpDialect:
    return http_dialect(side.name)


def asked(side: ServerDialect, choice: str | None = None) -> Scenario:
    """A conversation with a call, its result and a tool; a question alone in a dialect without tools."""
    if "tools" not in side.traits:
        return Scenario(name="s", messages=QUESTION, max_tokens=50)
    return Scenario(name="s", messages=QUESTION + CALLED, tools=(WEATHER,), tool_choice=choice, max_tokens=50)


def aimed(side: ServerDialect, origin: str = "http://h") -> Target:
    """At the simulator's provider with the name of the dialect."""
    return target(side.name, f"{origin}/{side.name}{spoken(side).base_path}")


def sent(side: ServerDialect, scenario: Scenario) -> tuple[httpx.URL, WireRequest]:
    request = spoken(side).request(aimed(side), scenario, scenario.messages)
    return httpx.URL(aimed(side).base_url + request.path), request


def read(side: ServerDialect, scenario: Scenario) -> ChatRequest:
    """What the simulator reads of the request that kmon makes."""
    url, request = sent(side, scenario)
    found = route(url.path)
    assert found is not None and found.dialect.name == side.name, (
        f"the simulator's route() takes {url.path} for {found}"
    )
    headers = {name.lower(): value for name, value in request.headers.items()}
    message = ServerRequest(request.method, url.path, dict(url.params), headers, request.body)
    return found.dialect.read(message, found.model, found.stream)


def writer(side: ServerDialect) -> Wire:
    """The encoder of the answer to that request."""
    return side.wire(read(side, asked(side)), Random(1))


def streamed(side: ServerDialect, answer: ModelAnswer) -> Transcript:
    decoder, folded = spoken(side).decoder(), Transcript()
    body = b"".join(chunk.data for chunk in writer(side).stream(answer, COUNTS))
    for delta in decoder.feed(body) + decoder.end():
        folded.add(delta)
    return folded


def whole(side: ServerDialect, answer: ModelAnswer) -> Transcript:
    delta, folded = spoken(side).whole_answer(writer(side).whole(answer, COUNTS).body), Transcript()
    assert delta is not None, "whole(): the body is no JSON object"
    folded.add(delta)
    return folded


def full(side: ServerDialect) -> ModelAnswer:
    """Reasoning, words and, in a dialect with tools, a call."""
    called = CALL if "tools" in side.traits else ()
    return ModelAnswer((THOUGHT, *SPOKEN, *called), "tool_calls" if called else "stop")


@each_dialect
def test_request_carries_the_model_the_stream_the_cap_and_the_conversation(side: ServerDialect) -> None:
    scenario = asked(side)
    got = read(side, scenario)
    assert (got.model, got.stream, got.token_limit) == (MODEL, True, scenario.max_tokens)
    said = [(role, "".join(m.text for m in turn)) for role, turn in groupby(got.messages, lambda m: m.role)]
    assert said == [(message.role, message.content) for message in scenario.messages]
    assert [tool.function.name for tool in got.tools or ()] == [tool.name for tool in scenario.tools]
    calls = [call for message in got.messages for call in message.tool_calls or ()]
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        (call.name, call.arguments) for message in scenario.messages for call in message.tool_calls
    ]
    results = [message.tool_call_id for message in got.messages if message.role == "tool"]
    assert results == [call.id for call in calls], "a result names its call"


@each_dialect
@pytest.mark.parametrize("choice", ["none", "required", WEATHER.name])
def test_request_carries_the_tool_choice_or_unsupported_says_that_it_cannot(side: ServerDialect, choice: str) -> None:
    scenario = asked(side, choice)
    if "tools" not in side.traits or spoken(side).unsupported(aimed(side), scenario) is not None:
        return
    got = read(side, scenario)
    if choice == "none" and not got.tools:
        return  # where it cannot be said, no tool is offered
    named = isinstance(got.tool_choice, dict) and got.tool_choice["function"]["name"]
    meant = (choice, "required") if choice == WEATHER.name else (choice,)  # it is the only tool
    assert (named or got.tool_choice) in meant


@each_dialect
def test_route_turns_and_tool_names_read_the_request_of_another_program(side: ServerDialect) -> None:
    scenario = asked(side)
    url, request = sent(side, scenario)
    got = overheard(url.path, request.body, whole=True)
    assert (got.dialect, got.model, got.stream) == (side.name, MODEL, True)
    assert [message.content in got.prompt for message in QUESTION] == [True, True], got.prompt
    assert [tool.name for tool in got.tools] == [tool.name for tool in scenario.tools]


@each_dialect
def test_decoder_reads_reasoning_words_calls_and_counts(side: ServerDialect) -> None:
    got = streamed(side, full(side))
    assert THOUGHT.text in got.reasoning + got.text and got.text.endswith("".join(WORDS))
    assert [call.arguments for call in got.tool_calls] == (['{"city":"Oslo"}'] if "tools" in side.traits else [])
    assert got.usage is not None, "the tokens are not counted"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (9, 4)
    assert got.done, "no delta with done: the last event, or the sentinel"


@each_dialect
def test_whole_reads_what_the_decoder_reads(side: ServerDialect) -> None:
    one, other = streamed(side, full(side)), whole(side, full(side))
    assert (other.text, other.reasoning) == (one.text, one.reasoning)
    assert other.tool_calls == one.tool_calls
    assert (other.finish_reason, other.usage) == (one.finish_reason, one.usage)
    assert (other.response_id, other.model) == (one.response_id, one.model)


@each_dialect
def test_finish_words_know_the_reason_of_an_answer_that_its_cap_cut(side: ServerDialect) -> None:
    words = spoken(side).finish_words
    cut, plain = (streamed(side, ModelAnswer(SPOKEN, finish)).finish_reason for finish in ("length", "stop"))
    assert cut in words.length, f"finish_words.length lacks {cut!r}"
    assert plain not in words.length | words.tools and not words.is_failure(plain)


@each_dialect
def test_an_error_inside_the_stream_has_the_words_of_the_server(side: ServerDialect) -> None:
    decoder = spoken(side).decoder()
    found = [delta.error for delta in decoder.feed(writer(side).error("upstream overloaded", 502, "server_error"))]
    assert [error and error.message for error in found] == ["upstream overloaded"]


@each_dialect
def test_error_in_finds_the_words_of_a_refusal(side: ServerDialect) -> None:
    refused = writer(side).refusal(429, "Slow down.", "rate_limit_error")
    headers = dict(refused.headers)
    error = answer_error(429, headers["content-type"], headers, refused.body, spoken=spoken(side))
    assert error.message == "HTTP 429: Slow down."
    assert b"Slow down." in side.refusal(400, "Slow down.").body


@each_dialect
async def test_models_in_reads_the_list_that_the_simulator_gives(
    side: ServerDialect, sim: Simulator, http: httpx.AsyncClient
) -> None:
    url = spoken(side).models_url(aimed(side, sim.origin).base_url)
    if url is None:
        return
    if type(spoken(side)).models_in is not HttpDialect.models_in:
        path = httpx.URL(url).path
        assert side.models(path, ("m",), "o") is not None, f"a list of its own form: models() knows no {path}"
    assert "sim/smooth" in (spoken(side).models_in((await http.get(url)).json()) or ())
