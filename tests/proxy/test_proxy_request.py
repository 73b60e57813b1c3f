"""Promises about requests and answers that are only overheard: what they ask, and what a whole answer says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import Delta
from kmon.dialects.registry import routed, wire_format
from kmon.proxy.request import overheard, said_hash


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/chat/completions", ("chat", "", None)),
        ("/openai/v1/chat/completions", ("chat", "", None)),
        ("/anthropic/v1/messages", ("messages", "", None)),
        ("/model/moonshotai.kimi-k2.5/converse-stream", ("converse", "moonshotai.kimi-k2.5", True)),
        ("/model/a%3Ab%2Fc/converse", ("converse", "a:b/c", False)),
        ("/model/m/invoke-with-response-stream", ("bedrock-invoke", "m", True)),
        ("/v1/inference/moonshotai/Kimi-K2.5", ("deepinfra", "moonshotai/Kimi-K2.5", None)),
        ("/inference/v1/chat/completions", ("chat", "", None)),
        ("/v1/completions", ("chat", "", None)),
        ("/v1/threads/x/messages/3", None),
        ("/v1/models", None),
    ],
)
def test_a_path_tells_the_dialect(path: str, found: tuple[str, str, bool | None] | None) -> None:
    spoken = routed(path)
    assert (spoken and (spoken[0].name, spoken[1].model, spoken[1].stream)) == found


def whole_answer(name: str, body: bytes) -> Delta | None:
    spoken = wire_format(name)
    assert spoken is not None
    return spoken.whole_answer(body)


def test_the_last_thing_the_user_said_is_known_by_its_hash_only() -> None:
    result = {"type": "tool_result", "tool_use_id": "x", "content": "22"}
    messages = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": " are you "}, {"type": "text", "text": "there? "}]},
        {"role": "assistant", "content": "let me see"},
        {"role": "user", "content": [result]},
    ]
    body = json.dumps({"model": "m", "stream": True, "messages": messages, "tools": [{"name": "look"}]}).encode()
    found = overheard("/v1/messages", body, whole=True)
    assert (found.model, found.stream, found.read) == ("m", True, True)
    assert found.said_sha256 == said_hash("are you there?")
    assert [tool.name for tool in found.tools] == ["look"]


@pytest.mark.parametrize(
    ("system", "prompt"),
    [
        ("Be brief.", "Be brief.\nHi"),
        ([{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}], "Be brief.\nHi"),
        (None, "Hi"),
        (7, "Hi"),
    ],
)
def test_what_the_system_says_is_part_of_the_prompt_where_it_stands_beside_the_messages(
    system: object, prompt: str
) -> None:
    body = {"model": "m", "system": system, "messages": [{"role": "user", "content": "Hi"}]}
    assert overheard("/v1/messages", json.dumps(body).encode(), whole=True).prompt == prompt


def test_of_half_a_body_the_model_is_still_found() -> None:
    found = overheard("/v1/chat/completions", b'{"stream": true, "model": "kimi", "messages": [{"ro', whole=False)
    assert (found.model, found.stream, found.read, found.said_sha256) == ("kimi", True, False, "")


def test_offered_tools_are_found_in_every_form() -> None:
    offered = {
        "tools": [
            {"type": "function", "function": {"name": "look"}},
            {"type": "custom", "custom": {"name": "sql"}},
            {"type": "web_search"},
        ],
        "functions": [{"name": "weigh"}],
    }
    found = overheard("/v1/chat/completions", json.dumps(offered).encode(), whole=True)
    assert [tool.name for tool in found.tools] == ["look", "sql", "", "weigh"]


@pytest.mark.parametrize("system", ['"Use <thinking> tags."', '[{"type": "text", "text": "Use <thinking> tags."}]'])
def test_the_system_text_of_every_dialect_is_part_of_the_prompt(system: str) -> None:
    body = b'{"model": "c", "messages": [{"role": "user", "content": "Hi"}], "system": ' + system.encode() + b"}"
    found = overheard("/v1/messages", body, whole=True)
    assert found.prompt == "Use <thinking> tags.\nHi"
    assert found.said_sha256 == said_hash("Hi")


@given(st.binary(max_size=200), st.booleans())
def test_no_body_is_too_odd(body: bytes, whole: bool) -> None:
    overheard("/v1/chat/completions", body, whole=whole)
    whole_answer("messages", body)


TEXT, TOOL = "the answer", ("c1", "look", '{"at":1}')
WHOLE = {
    "chat": {
        "id": "r",
        "choices": [
            {
                "index": 0,
                "message": {
                    "content": TEXT,
                    "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": '{"at":1}'}}],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    },
    "messages": {
        "id": "r",
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": TEXT},
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    },
    "converse": {
        "output": {
            "message": {
                "content": [{"text": TEXT}, {"toolUse": {"toolUseId": "c1", "name": "look", "input": {"at": 1}}}]
            }
        },
        "stopReason": "tool_use",
        "usage": {"inputTokens": 3, "outputTokens": 4},
    },
}


@pytest.mark.parametrize("dialect", WHOLE)
def test_a_whole_answer_says_what_a_stream_would(dialect: str) -> None:
    delta = whole_answer(dialect, json.dumps(WHOLE[dialect]).encode())
    assert delta is not None
    assert (delta.text, delta.done) == (TEXT, True)
    assert [(tool.id, tool.name, tool.arguments) for tool in delta.tools] == [TOOL]
    assert delta.finish_reason in ("tool_calls", "tool_use")
    assert delta.usage is not None
    assert (delta.usage.prompt_tokens, delta.usage.completion_tokens) == (3, 4)


def test_a_native_answer_is_read_too_and_what_is_no_answer_is_none() -> None:
    delta = whole_answer("deepinfra", b'{"results":[{"generated_text":"yes"}],"num_input_tokens":2,"num_tokens":5}')
    assert delta is not None
    assert (delta.text, delta.usage and delta.usage.completion_tokens) == ("yes", 5)
    assert whole_answer("chat", b"<html>") is None
    assert whole_answer("chat", b"[]") is None
