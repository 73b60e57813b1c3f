"""Gemini's requests: where they go, what they hold, and what is read of another program's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kmon.catalog.credential import Credential
from kmon.dialects.dialect import Route
from kmon.dialects.gemini import Gemini
from kmon.dialects.registry import routed
from kmon.model import PromptMessage, Scenario, Target, Tool, ToolUse

SYSTEM = PromptMessage(role="system", content="Be brief.")
QUESTION = PromptMessage(role="user", content="Weather in Oslo?")
CALLED = PromptMessage(role="assistant", tool_calls=(ToolUse(id="c1", name="weather", arguments={"city": "Oslo"}),))
RESULT = PromptMessage(role="tool", content="22", tool_call_id="c1")
WEATHER = Tool(name="weather", description="Now.", parameters={"type": "object", "properties": {}})


def target(model: str = "gemini-2.5-flash", extra: dict[str, Any] | None = None) -> Target:
    url = "https://generativelanguage.googleapis.com/v1beta"
    return Target(name="g", provider="google", model=model, dialect="gemini", base_url=url, body=extra or {})


def body(
    *messages: PromptMessage, aim: Target | None = None, tools: tuple[Tool, ...] = (), choice: str | None = None
) -> dict[str, Any]:
    scenario = Scenario(name="s", messages=messages, max_tokens=64, tools=tools, tool_choice=choice)
    found: dict[str, Any] = json.loads(Gemini().request(aim or target(), scenario, messages).body)
    return found


def test_a_request_names_the_model_in_its_path_and_asks_for_events() -> None:
    scenario = Scenario(name="s", messages=(QUESTION,))
    paths = [Gemini().request(target(model), scenario, (QUESTION,)).path for model in ("m", "models/m", "a/b c")]
    assert paths[0] == paths[1] == "/models/m:streamGenerateContent?alt=sse"
    assert paths[2] == "/models/a%2Fb%20c:streamGenerateContent?alt=sse"


def test_a_conversation_becomes_contents_with_calls_and_results_by_name() -> None:
    assert body(SYSTEM, QUESTION, CALLED, RESULT, tools=(WEATHER,)) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Weather in Oslo?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "22"}}}]},
        ],
        "tools": [
            {"functionDeclarations": [{"name": "weather", "description": "Now.", "parameters": WEATHER.parameters}]}
        ],
        "generationConfig": {"maxOutputTokens": 64},
    }


@pytest.mark.parametrize(("model", "signed"), [("gemini-3-flash", True), ("gemini-2.5-pro", False), ("gemma-3", False)])
def test_from_gemini_3_on_a_call_in_the_conversation_has_the_word_for_no_signature(model: str, signed: bool) -> None:
    (part,) = body(QUESTION, CALLED, RESULT, aim=target(model))["contents"][1]["parts"]
    assert ("thoughtSignature" in part) is signed


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("weather", {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_a_tool_choice_is_a_mode(choice: str, config: dict[str, Any]) -> None:
    assert body(QUESTION, tools=(WEATHER,), choice=choice)["toolConfig"] == {"functionCallingConfig": config}


def test_the_targets_own_generation_config_is_added_to_the_limit() -> None:
    thoughts = {"thinkingConfig": {"includeThoughts": True}}
    asked = body(QUESTION, aim=target(extra={"generationConfig": thoughts}))
    assert asked["generationConfig"] == {"maxOutputTokens": 64, **thoughts}


def test_the_key_is_a_header() -> None:
    credential = Credential({"GEMINI_API_KEY": "k"}, hosts=("generativelanguage.googleapis.com",))
    url = "https://generativelanguage.googleapis.com/v1beta/models"
    assert credential.authorization("x-goog-api-key", url, proxied=False) == {"x-goog-api-key": "k"}
    assert credential.authorization("bearer", url, proxied=False) == {"Authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", Route("gemini-2.5-pro", True)),
        ("/v1/models/gemini-2.5-pro:generateContent", Route("gemini-2.5-pro", False)),
        ("/v1beta/models/m%3AstreamGenerateContent", Route("m", True)),
        ("/v1beta1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent", Route("m", True)),
        ("/v1/projects/p/locations/l/endpoints/42:streamGenerateContent", Route("42", True)),
        ("/v1beta/tunedModels/mine:generateContent", Route("mine", False)),
        ("/gateway/gemini/v1beta/models/google/m:free:streamGenerateContent", Route("google/m:free", True)),
        ("/models/m:streamGenerateContent", Route("m", True)),
        ("/v1internal:streamGenerateContent", Route("", True)),
        ("/v1beta/models/m:countTokens", None),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict", None),
        ("/v1beta/models", None),
        ("/streamGenerateContent", None),
    ],
)
def test_paths_are_recognised_below_any_prefix(path: str, route: Route | None) -> None:
    assert Gemini().route(path) == route
    found = routed(path)
    assert (found is not None and found[0].name == "gemini") is (route is not None)


@pytest.mark.parametrize(
    "asked",
    [
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Yes?"}]}],
            "tools": [{"functionDeclarations": [{"name": "weather"}]}, {"googleSearch": {}}],
        },
        {
            "system_instruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Yes?"}]}],
            "tools": [{"function_declarations": [{"name": "weather"}]}],
        },
    ],
    ids=["camelCase", "snake_case"],
)
def test_another_programs_request_is_read_also_inside_code_assist(asked: dict[str, Any]) -> None:
    for value in (asked, {"model": "m", "request": asked}):
        assert Gemini().tool_names(value) == ["weather"]
        assert Gemini().turns(value) == [
            {"role": "system", "content": [{"text": "Be brief."}]},
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"text": "Yes?"}]},
        ]


def test_models_are_listed_without_their_prefix_and_a_gateways_list_is_read_too() -> None:
    assert Gemini().models_in({"models": [{"name": "models/a"}, {"name": "b"}, {}, None]}) == ["a", "b"]
    assert Gemini().models_in({"publisherModels": [{"name": "publishers/google/models/a"}]}) == ["a"]
    assert Gemini().models_in({"data": [{"id": "c"}]}) == ["c"]
    assert Gemini().models_in({"error": {}}) is None


def test_the_error_of_a_refusal_is_found_also_in_an_array() -> None:
    refused = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
    meant = {"code": "INVALID_ARGUMENT", "message": "API key not valid.", "status": 400}
    assert Gemini().error_in(refused) == Gemini().error_in([refused]) == meant
    assert Gemini().error_in([]) == []
