"""One scenario, every dialect: tool calls and their results are translated, and what cannot be carried is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kmon.catalog.load import load_catalog
from kmon.dialects.dialect import HttpDialect
from kmon.dialects.registry import dialect, http_dialect, http_dialects
from kmon.errors import UsageError
from kmon.model import PromptMessage, Scenario, Target, Tool, ToolUse

CATALOG = load_catalog()
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool(name="get_weather", description="Weather of a city", parameters=PARAMETERS)
CALLS = (
    ToolUse(id="c1", name="get_weather", arguments={"city": "Tokyo"}),
    ToolUse(id="c2", name="get_weather", arguments={"city": "Oslo"}),
)
CONVERSATION = (
    PromptMessage(role="system", content="Be brief."),
    PromptMessage(role="user", content="Weather?"),
    PromptMessage(role="assistant", reasoning="I should look.", tool_calls=CALLS),
    PromptMessage(role="tool", tool_call_id="c1", content='{"temp":22}'),
    PromptMessage(role="tool", tool_call_id="c2", content='{"temp":3}'),
)
QUESTION = Scenario(name="q", messages=CONVERSATION[:2])
SCENARIO = Scenario(name="s", messages=CONVERSATION, tools=(WEATHER,), tool_choice="auto", max_tokens=100)


def target(name: str, **members: object) -> Target:
    given = {"name": "t", "provider": "p", "model": "org/m:1", "base_url": "http://x", "dialect": name}
    return msgspec.convert(given | members, Target)


def refusal(aimed: Target, scenario: Scenario) -> str | None:
    return dialect(aimed.dialect).unsupported(aimed, scenario)


def body(aimed: Target, scenario: Scenario = SCENARIO) -> dict[str, Any]:
    value = json.loads(http_dialect(aimed.dialect).request(aimed, scenario, scenario.messages).body)
    assert isinstance(value, dict)
    return value


def test_chat_carries_calls_and_results() -> None:
    sent = body(target("chat"))
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert sent["messages"][2]["tool_calls"][1]["function"] == {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    assert sent["messages"][3] == {"role": "tool", "content": '{"temp":22}', "tool_call_id": "c1"}


def test_converse_carries_calls_and_results_in_alternating_turns() -> None:
    assert body(target("converse")) == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "I should look."}}},
                    {"toolUse": {"toolUseId": "c1", "name": "get_weather", "input": {"city": "Tokyo"}}},
                    {"toolUse": {"toolUseId": "c2", "name": "get_weather", "input": {"city": "Oslo"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "c1", "content": [{"text": '{"temp":22}'}], "status": "success"}},
                    {"toolResult": {"toolUseId": "c2", "content": [{"text": '{"temp":3}'}], "status": "success"}},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 100},
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "get_weather",
                        "description": "Weather of a city",
                        "inputSchema": {"json": PARAMETERS},
                    }
                }
            ],
            "toolChoice": {"auto": {}},
        },
    }


def test_messages_carries_calls_and_results_in_alternating_turns() -> None:
    assert body(target("messages")) == {
        "model": "org/m:1",
        "max_tokens": 100,
        "stream": True,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "I should look.", "signature": ""},
                    {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Tokyo"}},
                    {"type": "tool_use", "id": "c2", "name": "get_weather", "input": {"city": "Oslo"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": '{"temp":22}'},
                    {"type": "tool_result", "tool_use_id": "c2", "content": '{"temp":3}'},
                ],
            },
        ],
        "tools": [{"name": "get_weather", "description": "Weather of a city", "input_schema": PARAMETERS}],
        "tool_choice": {"type": "auto"},
    }


def test_responses_lists_messages_calls_and_results_as_items() -> None:
    assert body(target("responses")) == {
        "model": "org/m:1",
        "max_output_tokens": 100,
        "stream": True,
        "store": False,
        "input": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city": "Tokyo"}'},
            {"type": "function_call", "call_id": "c2", "name": "get_weather", "arguments": '{"city": "Oslo"}'},
            {"type": "function_call_output", "call_id": "c1", "output": '{"temp":22}'},
            {"type": "function_call_output", "call_id": "c2", "output": '{"temp":3}'},
        ],
        "tools": [
            {
                "type": "function",
                "name": "get_weather",
                "description": "Weather of a city",
                "parameters": PARAMETERS,
                "strict": False,
            }
        ],
        "tool_choice": "auto",
    }


def test_deepinfra_writes_the_conversation_in_the_models_template() -> None:
    kimi = CATALOG.targets["deepinfra-native"]
    talk = (
        PromptMessage(role="system", content="Be brief."),
        PromptMessage(role="user", content="Hi {content}"),
        PromptMessage(role="assistant", content="Yes?"),
        PromptMessage(role="user", content="Bye"),
    )
    assert body(kimi, Scenario(name="s", messages=talk, max_tokens=7)) == {
        "input": "<|im_system|>system<|im_middle|>Be brief.<|im_end|>"
        "<|im_user|>user<|im_middle|>Hi {content}<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>Yes?<|im_end|>"
        "<|im_user|>user<|im_middle|>Bye<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|><think>",
        "stream": True,
        "max_new_tokens": 7,
        "stop": ["<|im_end|>", "[EOS]"],
    }


@pytest.mark.parametrize(
    ("choice", "converse", "messages", "responses"),
    [
        ("required", {"any": {}}, {"type": "any"}, "required"),
        (
            "get_weather",
            {"tool": {"name": "get_weather"}},
            {"type": "tool", "name": "get_weather"},
            {"type": "function", "name": "get_weather"},
        ),
    ],
)
def test_tool_choices_are_translated(choice: str, converse: object, messages: object, responses: object) -> None:
    asked = msgspec.structs.replace(SCENARIO, tool_choice=choice)
    assert body(target("converse"), asked)["toolConfig"]["toolChoice"] == converse
    assert body(target("messages"), asked)["tool_choice"] == messages
    assert body(target("responses"), asked)["tool_choice"] == responses


def test_converse_knows_no_choice_of_no_tools_so_they_are_left_out() -> None:
    question = Scenario(name="s", messages=(CONVERSATION[1],), tools=(WEATHER,), tool_choice="none")
    assert "toolConfig" not in body(target("converse"), question)
    assert body(target("messages"), question)["tool_choice"] == {"type": "none"}
    assert refusal(target("converse"), question) is None


@pytest.mark.parametrize(
    ("name", "base_url", "path"),
    [
        ("messages", "http://x/anthropic", "/v1/messages"),
        ("messages", "http://x/coding/v1", "/messages"),
        ("responses", "http://x/v1", "/responses"),
        ("deepinfra", "http://x", "/v1/inference/org/m:1"),
        ("deepinfra", "http://x/v1", "/inference/org/m:1"),
        ("converse", "http://x", "/model/org%2Fm%3A1/converse-stream"),
    ],
)
def test_the_path_fits_the_base_url(name: str, base_url: str, path: str) -> None:
    aimed = target(name, base_url=base_url)
    assert http_dialect(name).request(aimed, QUESTION, QUESTION.messages).path == path


@pytest.mark.parametrize("name", ["messages", "responses", "deepinfra"])
def test_streams_are_asked_for_uncompressed_and_the_targets_headers_win(name: str) -> None:
    request = http_dialect(name).request(target(name, headers={"X-Own": "1"}), QUESTION, QUESTION.messages)
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["X-Own"] == "1"
    assert ("anthropic-version" in request.headers) == (name == "messages")


@pytest.mark.parametrize("name", [entry.name for entry in http_dialects()])
def test_the_targets_body_is_merged_last(name: str) -> None:
    assert body(target(name, body={"extra": {"a": 1}}), QUESTION)["extra"] == {"a": 1}


@pytest.mark.parametrize("name", ["converse", "messages"])
def test_a_nudge_after_a_question_joins_its_turn(name: str) -> None:
    asked = Scenario(name="s", messages=(CONVERSATION[1], PromptMessage(role="user", content="are you still there?")))
    (turn,) = body(target(name), asked)["messages"]
    assert [block["text"] for block in turn["content"]] == ["Weather?", "are you still there?"]


@pytest.mark.parametrize("name", ["code-tools", "tool-call", "tool-result"])
def test_deepinfra_refuses_tools_with_the_reason_and_a_way_out(name: str) -> None:
    problem = refusal(CATALOG.targets["deepinfra-native"], CATALOG.scenarios[name])
    assert problem is not None
    with pytest.raises(UsageError):
        body(CATALOG.targets["deepinfra-native"], CATALOG.scenarios[name])
    assert problem.startswith(f"scenario {name} cannot be carried by the deepinfra dialect (it has no tools); aim at")
    assert refusal(CATALOG.targets["deepinfra-native"], CATALOG.scenarios["minimal"]) is None


@pytest.mark.parametrize("entry", http_dialects(), ids=lambda entry: entry.name)
def test_a_dialect_carries_every_scenario_or_every_one_without_tools(entry: HttpDialect) -> None:
    """The targets of the catalog are asked; a dialect that none of them speaks is asked with a target of this file."""
    aimed = [known for known in CATALOG.targets.values() if known.dialect == entry.name] or [target(entry.name)]
    with_tools = {name for name, scenario in CATALOG.scenarios.items() if scenario.tools}
    for known in aimed:
        refused = {name for name, scenario in CATALOG.scenarios.items() if refusal(known, scenario) is not None}
        assert refused in (set(), with_tools)
        assert not refused or entry.name not in {"chat", "converse", "messages"}


def test_every_dialect_carries_a_scenario_without_tools() -> None:
    for aimed in CATALOG.targets.values():
        assert refusal(aimed, CATALOG.scenarios["minimal"]) is None


def test_converse_refuses_calls_without_tools_as_bedrock_would() -> None:
    for asked in (
        msgspec.structs.replace(SCENARIO, tools=(), tool_choice=None),
        msgspec.structs.replace(SCENARIO, tool_choice="none"),
    ):
        problem = refusal(target("converse"), asked)
        assert problem is not None and "offers no tools" in problem
