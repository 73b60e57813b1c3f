"""The chat request says what the scenario says, in the dialect, and nothing that would make targets differ."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from kmon.dialects.registry import http_dialect
from kmon.model import PromptMessage, Scenario, Target, Tool, ToolUse

WEATHER = Tool(name="weather", description="Weather", parameters={"type": "object", "properties": {}})
HELLO = PromptMessage(role="user", content="hi")


def target(**members: object) -> Target:
    return msgspec.convert({"name": "t", "provider": "p", "model": "m", "base_url": "http://x/v1"} | members, Target)


def body(aimed: Target, scenario: Scenario, *messages: PromptMessage) -> dict[str, Any]:
    value = json.loads(http_dialect("chat").request(aimed, scenario, messages or scenario.messages).body)
    assert isinstance(value, dict)
    return value


def test_a_minimal_request() -> None:
    assert body(target(), Scenario(name="s", messages=(HELLO,), max_tokens=7)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 7,
    }


def test_what_a_target_does_not_take_is_not_sent() -> None:
    sent = body(target(stream_options=False, token_cap=None), Scenario(name="s", messages=(HELLO,)))
    assert set(sent) == {"model", "messages", "stream"}


def test_the_cap_goes_under_the_targets_name_and_its_body_wins() -> None:
    aimed = target(
        token_cap="max_completion_tokens", body={"thinking": {"type": "disabled"}, "max_completion_tokens": 9}
    )
    sent = body(aimed, Scenario(name="s", messages=(HELLO,)))
    assert sent["max_completion_tokens"] == 9
    assert sent["thinking"] == {"type": "disabled"}


def test_one_call_per_turn_is_asked_for_only_beside_tools() -> None:
    plain = Scenario(name="s", messages=(HELLO,), parallel_calls=False)
    assert "parallel_tool_calls" not in body(target(), plain)
    assert "parallel_tool_calls" not in body(target(), Scenario(name="s", messages=(HELLO,), tools=(WEATHER,)))
    asked = Scenario(name="s", messages=(HELLO,), tools=(WEATHER,), parallel_calls=False)
    assert body(target(), asked)["parallel_tool_calls"] is False
    sent = json.loads(http_dialect("messages").request(target(), asked, asked.messages).body)
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_tools_and_tool_choice() -> None:
    sent = body(target(), Scenario(name="s", messages=(HELLO,), tools=(WEATHER,), tool_choice="required"))
    assert sent["tools"][0]["function"] == {
        "name": "weather",
        "description": "Weather",
        "parameters": WEATHER.parameters,
    }
    assert sent["tool_choice"] == "required"
    named = body(target(), Scenario(name="s", messages=(HELLO,), tools=(WEATHER,), tool_choice="weather"))
    assert named["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_a_tool_exchange_is_replayed_with_its_reasoning() -> None:
    use = ToolUse(id="functions.weather:0", name="weather", arguments={"city": "Tōkyō"})
    asked = PromptMessage(role="assistant", reasoning="hm", tool_calls=(use,))
    answered = PromptMessage(role="tool", content="sunny", tool_call_id=use.id)
    _, assistant, tool = body(target(), Scenario(name="s", messages=(HELLO, asked, answered)))["messages"]
    assert assistant["reasoning_content"] == "hm"
    assert assistant["content"] is None
    function = {"name": "weather", "arguments": '{"city": "Tōkyō"}'}
    assert assistant["tool_calls"] == [{"id": use.id, "type": "function", "function": function}]
    assert tool == {"role": "tool", "content": "sunny", "tool_call_id": use.id}


def test_headers_ask_for_an_uncompressed_stream_and_carry_no_credentials() -> None:
    request = http_dialect("chat").request(
        target(headers={"X-Title": "kmon"}), Scenario(name="s", messages=(HELLO,)), (HELLO,)
    )
    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert request.headers == {
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "X-Title": "kmon",
    }
