"""Ollama's lines: both APIs, whole tool calls, how a stream ends, the server's own times; and what is asked of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, ToolCall, Usage
from kmon.dialects.http_answer import server_times, server_wait
from kmon.dialects.ollama import Ollama
from kmon.errors import UsageError
from kmon.model import PromptMessage, Scenario, Target, Tool, ToolUse
from kmon.recording.interaction import Request
from kmon.recording.sniff import dialect_of, framing_of

OLLAMA = Ollama()
WEATHER = Tool(name="weather", description="The weather.")
TIMES = {"total_duration": 9_000_000_000, "load_duration": 7_250_000_000, "prompt_eval_duration": 40_000_000}


def line(**members: object) -> bytes:
    return json.dumps({"model": "m", "created_at": "2026-01-01T00:00:00Z", **members}).encode() + b"\n"


def said(content: str = "", **more: object) -> bytes:
    return line(message={"role": "assistant", "content": content, **more}, done=False)


def last(**members: object) -> bytes:
    return line(message={"role": "assistant", "content": ""}, done=True, **members)


def deltas(*lines: bytes) -> list[Delta]:
    wire = OLLAMA.decoder()
    return wire.feed(b"".join(lines)) + wire.end()


def folded(*lines: bytes) -> Transcript:
    transcript = Transcript()
    for delta in deltas(*lines):
        transcript.add(delta)
    return transcript


def call(name: str, arguments: object, **more: object) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments, **more}}


def test_words_and_thinking_are_read_from_a_chat() -> None:
    got = folded(said(thinking="hm"), said("Hel"), said("lo"), last(done_reason="stop", eval_count=3))
    assert (got.text, got.reasoning, got.finish_reason, got.done) == ("Hello", "hm", "stop", True)
    assert (got.usage, got.model, got.chunks, got.error) == (Usage(None, 3, None), "m", 4, None)


def test_words_and_thinking_are_read_from_a_generation() -> None:
    got = folded(
        line(response="", thinking="hm", done=False),
        line(response="Hello", done=False),
        line(response="", done=True, done_reason="length", context=[1, 2], prompt_eval_count=5, eval_count=1),
    )
    assert (got.text, got.reasoning, got.finish_reason, got.done) == ("Hello", "hm", "length", True)
    assert got.usage == Usage(5, 1, None)


@pytest.mark.parametrize(
    "lines",
    [
        [[call("weather", {"city": "Oslo"}), call("weather", {"city": "Rome"})]],
        [[call("weather", {"city": "Oslo"})], [call("weather", {"city": "Rome"})]],
        [[call("weather", {"city": "Oslo"}, index=0)], [call("weather", {"city": "Rome"}, index=0)]],
        [[call("weather", {"city": "Oslo"}, index=0)], [call("weather", {"city": "Rome"}, index=1)]],
    ],
    ids=["one line", "a line each", "an index that repeats", "an index"],
)
def test_each_call_is_whole_wherever_it_stands(lines: list[list[dict[str, Any]]]) -> None:
    got = folded(*(said(tool_calls=calls) for calls in lines), last(done_reason="stop"))
    assert got.tool_calls == (
        ToolCall("", "weather", '{"city":"Oslo"}'),
        ToolCall("", "weather", '{"city":"Rome"}'),
    )


def test_a_call_without_arguments_is_progress_and_an_id_is_kept() -> None:
    (delta,) = deltas(said(tool_calls=[{"id": "call_1", **call("now", {})}]))
    assert delta.progress
    assert [(tool.id, tool.arguments) for tool in delta.tools] == [("call_1", "{}")]


def test_done_ends_it_with_a_reason_or_without_and_nothing_else_does() -> None:
    assert folded(said("Hi"), last()).done
    assert not folded(said("Hi"), line(message={"content": "", "done": True}, done="true")).done
    assert not folded(said("Hi")).done


@pytest.mark.parametrize("error", ["llama runner process has terminated", {"message": "gone", "code": 500}])
def test_an_error_line_is_an_error_of_the_stream(error: object) -> None:
    got = folded(said("Ha"), json.dumps({"error": error}).encode() + b"\n")
    assert got.error is not None
    assert (got.error.kind, got.text, got.done) == ("in-stream", "Ha", False)
    assert got.error.message in ("llama runner process has terminated", "gone")


def test_a_line_that_is_cut_is_an_error_and_a_last_one_without_its_end_is_whole() -> None:
    cut = folded(said("Ha"), last(done_reason="stop")[:40])
    assert cut.error is not None and cut.error.message == "the body ended inside a frame"
    assert folded(said("Ha"), last(done_reason="stop").rstrip()).done


def test_the_servers_times_are_milliseconds_and_a_long_wait_is_told() -> None:
    (delta,) = deltas(last(done_reason="stop", **TIMES))
    assert (delta.server_ms, delta.server_load_ms, delta.server_prompt_ms) == (9000.0, 7250.0, 40.0)
    assert server_wait(server_times(delta)) == "the server says that it loaded the model for 7.2 s"
    (quick,) = deltas(last(done_reason="stop", **TIMES | {"load_duration": 60_000_000}))
    assert server_wait(server_times(quick)) == ""
    (plain,) = deltas(last(done_reason="stop", load_duration="long"))
    assert server_times(plain) == {}


def test_a_whole_answer_is_one_delta() -> None:
    delta = OLLAMA.whole_answer(
        line(message={"content": "Hi", "tool_calls": [call("f", {})]}, done=True, done_reason="stop")
    )
    assert delta is not None
    assert (delta.text, delta.finish_reason, delta.done, delta.tools[0].name) == ("Hi", "stop", True, "f")


def test_a_recording_is_known_by_its_lines_and_lines_of_others_are_not() -> None:
    for body in (said("Hi"), line(response="Hi", done=False)):
        assert framing_of(body) is not None
        assert dialect_of("", body) == "ollama"
    assert framing_of(b'{"message": {"content": "Hi"}}\n{"done": true}\n') is None
    assert framing_of(b'{"done": true, "task": 3}\n') is None


@pytest.mark.parametrize(("body", "streamed"), [("{}", True), ('{"stream":true}', True), ('{"stream":false}', False)])
def test_it_streams_unless_the_request_says_no(body: str, streamed: bool) -> None:
    assert Request("POST", "http://x/api/chat", {}, body.encode()).wants_stream is streamed
    assert not Request("POST", "http://x/v1/chat/completions", {}, b"{}").wants_stream


def target(base_url: str = "http://127.0.0.1:11434", **members: object) -> Target:
    return Target(name="o", provider="ollama", model="m", dialect="ollama", base_url=base_url, **members)  # type: ignore[arg-type]


def scenario(**members: object) -> Scenario:
    asked = (PromptMessage(role="user", content="Weather?"),)
    return Scenario(name="s", messages=asked, max_tokens=50, **members)  # type: ignore[arg-type]


def body(scenario: Scenario, aimed: Target | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(OLLAMA.request(aimed or target(), scenario, scenario.messages).body)
    return found


@pytest.mark.parametrize(
    ("base_url", "chat", "models"),
    [
        ("http://h:1", "/api/chat", "http://h:1/api/tags"),
        ("http://h:1/api", "/chat", "http://h:1/api/tags"),
        ("http://h:1/ollama", "/api/chat", "http://h:1/ollama/api/tags"),
    ],
)
def test_the_base_url_may_have_its_last_part_or_not(base_url: str, chat: str, models: str) -> None:
    asked = scenario()
    assert OLLAMA.request(target(base_url), asked, asked.messages).path == chat
    assert OLLAMA.models_url(base_url) == models


def test_the_cap_is_an_option_and_the_targets_own_are_kept() -> None:
    assert body(scenario())["options"] == {"num_predict": 50}
    own = {"options": {"num_ctx": 8192}, "think": False}
    assert body(scenario(), target(body=own)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Weather?"}],
        "stream": True,
        "options": {"num_predict": 50, "num_ctx": 8192},
        "think": False,
    }


def test_a_tool_result_names_its_tool() -> None:
    talk = (
        PromptMessage(role="user", content="Weather?"),
        PromptMessage(
            role="assistant", reasoning="hm", tool_calls=(ToolUse(id="c1", name="weather", arguments={"city": "Oslo"}),)
        ),
        PromptMessage(role="tool", tool_call_id="c1", content="22"),
    )
    written = json.loads(OLLAMA.request(target(), scenario(tools=(WEATHER,)), talk).body)
    assert [tool["function"]["name"] for tool in written["tools"]] == ["weather"]
    assert written["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
        },
        {"role": "tool", "content": "22", "tool_name": "weather", "tool_call_id": "c1"},
    ]


def test_no_tool_can_be_forced_but_all_can_be_left_out() -> None:
    assert "tools" not in body(scenario(tools=(WEATHER,), tool_choice="none"))
    assert "tools" in body(scenario(tools=(WEATHER,), tool_choice="auto"))
    for choice in ("required", "weather"):
        with pytest.raises(UsageError, match="Ollama cannot be made to call a tool"):
            body(scenario(tools=(WEATHER,), tool_choice=choice))


def test_models_are_read_from_the_list_of_tags() -> None:
    assert OLLAMA.models_in({"models": [{"name": "a:latest", "model": "a:latest"}, {"model": "b"}, 3]}) == [
        "a:latest",
        "b",
    ]
    assert OLLAMA.models_in({"data": []}) is None
