"""What the simulated model says fits what was asked."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import resolve_scenario, resolve_target
from kmon.dialects.chat import Chat
from kmon.simulator.answers import ModelAnswer, answer, tokens
from kmon.simulator.dialects.chat import read_request
from kmon.simulator.prompt import is_nudge
from kmon.simulator.request import ChatRequest
from tests.support.talk import Body


def asked(**members: object) -> ChatRequest:
    return read_request(json.dumps({"model": "m", **members}).encode())


def said(request: ChatRequest, reasoning_tokens: int = 0) -> ModelAnswer:
    return answer(request, reasoning_tokens, Random(1))


def user(text: str) -> list[Body]:
    return [{"role": "user", "content": text}]


def scenario(name: str) -> ModelAnswer:
    catalog = load_catalog()
    found = resolve_scenario(catalog, name)
    return said(read_request(Chat().request(resolve_target(catalog, "together"), found, found.messages).body))


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


@pytest.mark.parametrize("name", ["code", "code-tools"])
def test_a_code_sample_is_code_with_or_without_tools_in_the_request(name: str) -> None:
    answered = scenario(name)
    assert "```typescript" in answered.joined("text")
    assert answered.count("text") > 500
    assert answered.finish == "stop"


def test_python_is_answered_in_python() -> None:
    assert "```python" in said(asked(messages=user("Write a function that sorts, in Python"))).joined("text")


def test_a_question_that_asks_for_a_tool_is_fallback_target_calling_it() -> None:
    answered = scenario("tool-call")
    assert answered.joined("tool-start") == "get_weather"
    assert json.loads(answered.joined("tool")) == {"city": "Tokyo"}
    assert answered.finish == "tool_calls"


def test_a_tool_result_is_answered_in_words_with_its_number() -> None:
    answered = scenario("tool-result")
    assert "22" in answered.joined("text")
    assert answered.joined("tool-start") == ""


def test_words_added_after_a_tool_result_do_not_make_the_tool_be_called_again() -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    question = user("The weather in Tokyo?")
    answered = [
        *question,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "22 degrees"},
    ]
    assert said(asked(messages=question, tools=[tool])).joined("tool-start") == "get_weather"
    assert said(asked(messages=[*answered, *user("Note: weather tools ran.")], tools=[tool])).joined("tool-start") == ""
    spoken = [*answered, {"role": "assistant", "content": "It is 22."}, *question]
    assert said(asked(messages=spoken, tools=[tool])).joined("tool-start") == "get_weather"


def test_arguments_follow_the_schema_of_the_tool() -> None:
    properties = {
        "place": {"type": "string"},
        "unit": {"type": "string", "enum": ["kelvin", "celsius"]},
        "days": {"type": "integer"},
        "detailed": {"type": "boolean"},
        "odd": "no schema",
    }
    parameters = {"type": "object", "properties": properties}
    tool = {"type": "function", "function": {"name": "forecast", "parameters": parameters}}
    answered = said(asked(messages=user("The forecast for Florence, Italy?"), tools=[tool]))
    arguments = json.loads(answered.joined("tool"))
    assert arguments["place"] == "Florence, Italy"
    assert (arguments["unit"], arguments["days"], arguments["detailed"]) == ("kelvin", 1, True)


def test_tool_choice_is_obeyed(weather: Body) -> None:
    forced = {"type": "function", "function": {"name": "get_weather"}}
    for choice, name in (("none", ""), ("required", "get_weather"), (forced, "get_weather"), ("auto", "")):
        answered = said(asked(messages=user("Tell me a story."), tools=[weather], tool_choice=choice))
        assert answered.joined("tool-start") == name
    assert said(asked(messages=user("weather?"), tools=[weather], tool_choice="none")).joined("tool-start") == ""


def test_a_minimal_prompt_gets_a_minimal_answer() -> None:
    assert scenario("minimal").count("text") < 10


def test_a_long_context_is_fallback_target_the_question_at_its_end() -> None:
    filler = "Write about the weather of a function. " * 50_000
    assert scenario("long-context").count("text") > 100
    assert "```" in said(asked(messages=user(filler + "Now write a Python class."))).joined("text")


def test_a_nudge_is_answered_as_a_nudge(weather: Body) -> None:
    request = asked(messages=[*user("Write a class"), *user("are you still there?")], tools=[weather])
    assert is_nudge(request)
    assert said(request).joined("text").startswith("Yes, still here")


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
def test_the_token_limit_counts_reasoning_and_ends_with_length(cap: str) -> None:
    answered = said(asked(messages=user("Write a class"), **{cap: 30}), reasoning_tokens=20)
    assert (answered.count("reasoning"), answered.count("text"), answered.finish) == (20, 10, "length")


def test_content_may_be_a_list_of_parts() -> None:
    parts = [{"type": "text", "text": "are you "}, {"type": "text", "text": "still there?"}]
    assert is_nudge(asked(messages=[{"role": "user", "content": parts}]))


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b'{"model":"m"}', b'{"model":"m","messages":[]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_request_is_refused_in_a_sentence(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"messages|request"):
        read_request(body)
