"""A Gemini request as the simulator understands it: contents, tools and limits, read as strictly as Google does where
clients of tools tend to go wrong. Member names may be ``camelCase`` or ``snake_case``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kmon.dialects.json_access import count, items, members, parsed, text
from kmon.simulator.request import CalledTool, ChatMessage, ChatRequest, FunctionCall, OfferedFunction, OfferedTool

_CAMEL = re.compile(r"(?<=[a-z])([A-Z])")


class GeminiChat(ChatRequest, frozen=True):
    """``array``: whether a stream is one JSON array that grows, not server-sent events."""

    array: bool = False


def chat_request(body: bytes, model: str, *, stream: bool, array: bool) -> GeminiChat:
    """The request in ``body``. Raises ValueError with a sentence in Google's words if it is none."""
    try:
        value = members(parsed(body))
    except ValueError:
        raise ValueError("Invalid JSON payload received.") from None
    contents = [members(content) for content in items(value.get("contents"))]
    if not contents:
        raise ValueError("* GenerateContentRequest.contents: contents is not specified")
    turns = [_parts(content, number) for number, content in enumerate(contents)]
    _check_tools(turns)
    system = _said(items(members(_member(value, "systemInstruction")).get("parts")))
    messages = [ChatMessage("system", system)] if system else []
    for number, (content, parts) in enumerate(zip(contents, turns, strict=True)):
        messages += _as_chat("assistant" if content.get("role") == "model" else "user", parts, number)
    config = members(_member(value, "generationConfig"))
    budget = _member(members(_member(config, "thinkingConfig")), "thinkingBudget")
    declared = [
        members(one)
        for tool in items(value.get("tools"))
        for one in items(_member(members(tool), "functionDeclarations"))
    ]
    return GeminiChat(
        model=model,
        messages=messages,
        stream=stream,
        tools=[_offered(one) for one in declared] or None,
        tool_choice=_choice(members(_member(members(_member(value, "toolConfig")), "functionCallingConfig"))),
        max_tokens=count(_member(config, "maxOutputTokens")),
        thinking={"type": "disabled"} if budget == 0 and not isinstance(budget, bool) else None,
        array=array,
    )


def _member(value: Mapping[str, Any], camel: str) -> object:
    return value.get(camel, value.get(_CAMEL.sub(r"_\1", camel).lower()))


def _parts(content: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    role = content.get("role", "user")
    if role not in ("user", "model", "function"):
        raise ValueError("Please use a valid role: user, model.")
    parts = [members(part) for part in items(content.get("parts"))]
    if not parts:
        raise ValueError(f"* GenerateContentRequest.contents[{number}].parts: contents.parts must not be empty.")
    return parts


def _check_tools(turns: list[list[dict[str, Any]]]) -> None:
    """The turn after function calls has a response to each, in their order."""
    called: list[str] = []
    for parts in turns:
        results = [text(one.get("name")) for one in _those(parts, "functionResponse")]
        if results and not called:
            raise ValueError("Please ensure that function response turn comes immediately after a function call turn.")
        if called and len(results) != len(called):
            raise ValueError(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        called = [text(one.get("name")) for one in _those(parts, "functionCall")]


def _those(parts: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [members(found) for part in parts if (found := _member(part, kind)) is not None]


def _as_chat(role: str, parts: list[dict[str, Any]], turn: int) -> Iterator[ChatMessage]:
    """One turn as chat messages: each function response is one of its own, before the text beside it.

    Calls without an id are named by their turn and place, and responses belong to them by their order.
    """
    results = _those(parts, "functionResponse")
    for place, result in enumerate(results):
        response = members(result.get("response"))
        said = response.get("result", response.get("output"))
        content = said if isinstance(said, str) else json.dumps(response, ensure_ascii=False)
        yield ChatMessage("tool", content, tool_call_id=text(result.get("id")) or f"call-{turn - 1}-{place}")
    said_text = _said(parts)
    calls = [
        CalledTool(
            text(call.get("id")) or f"call-{turn}-{place}",
            FunctionCall(text(call.get("name")), json.dumps(members(call.get("args")), ensure_ascii=False)),
        )
        for place, call in enumerate(_those(parts, "functionCall"))
    ]
    if said_text or calls or not results:
        yield ChatMessage(role, said_text, calls or None)


def _said(parts: list[Any]) -> str:
    return "".join(text(members(part).get("text")) for part in parts if members(part).get("thought") is not True)


def _offered(declared: Mapping[str, Any]) -> OfferedTool:
    schema = members(_member(declared, "parametersJsonSchema")) or members(declared.get("parameters"))
    return OfferedTool(OfferedFunction(text(declared.get("name")), text(declared.get("description")), schema))


def _choice(config: Mapping[str, Any]) -> str | dict[str, Any] | None:
    allowed = items(_member(config, "allowedFunctionNames"))
    match text(config.get("mode")).upper():
        case "ANY" if len(allowed) == 1:
            return {"function": {"name": text(allowed[0])}}
        case "ANY":
            return "required"
        case "NONE":
            return "none"
    return None
