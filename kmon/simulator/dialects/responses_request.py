"""Reads a Responses request into a request to the simulated model: strictly from a client, leniently from a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from kmon.dialects.json_access import count, items, members, text
from kmon.simulator.request import (
    CalledTool,
    ChatMessage,
    ChatRequest,
    FunctionCall,
    OfferedFunction,
    OfferedTool,
)

ROLES = ("user", "assistant", "system", "developer")


class ResponsesRequest(Struct, frozen=True):
    """The members that change what is answered."""

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    max_output_tokens: int | None = None
    reasoning: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(ResponsesRequest)


def read_request(body: bytes) -> ChatRequest:
    """The request in ``body``. Raises ValueError with a sentence for the client if it is none."""
    try:
        asked = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the request body is not a Responses request: {error}") from None
    _check(asked)
    return ChatRequest(
        model=asked.model,
        messages=list(_messages(asked.instructions, asked.input)),
        stream=asked.stream,
        tools=_offered(asked.tools),
        tool_choice=_choice(asked.tool_choice),
        max_completion_tokens=asked.max_output_tokens,
        thinking={"type": "disabled"} if (asked.reasoning or {}).get("effort") == "none" else None,
    )


def read_recorded_request(model: str, body: dict[str, Any]) -> ChatRequest:
    """The request with these members; recordings come from many hosts that deviate from the format."""
    return ChatRequest(
        model,
        list(_messages(body.get("instructions"), body.get("input"))),
        tools=_offered(body.get("tools")),
        max_completion_tokens=count(body.get("max_output_tokens")),
    )


def _check(asked: ResponsesRequest) -> None:
    """Refuse what the service refuses: no input, and a result without its call."""
    if not asked.input:
        raise ValueError("input: must not be empty")
    called: set[object] = set()
    for number, item in enumerate(asked.input if isinstance(asked.input, list) else ()):
        kind = item.get("type", "message")
        if kind == "message" and item.get("role") not in ROLES:
            raise ValueError(f"input[{number}].role: must be one of {', '.join(ROLES)}")
        if kind == "function_call":
            called.add(text(item.get("call_id")))
        if kind == "function_call_output" and text(item.get("call_id")) not in called:
            raise ValueError(f"No tool call found for function call output with call_id {item.get('call_id')}.")


def _messages(instructions: object, given: object) -> Iterator[ChatMessage]:
    if system := text(instructions):
        yield ChatMessage("system", system)
    if isinstance(given, str):
        yield ChatMessage("user", given)
    for item in map(members, items(given)):
        match item.get("type", "message"):
            case "message":
                role = text(item.get("role"))
                yield ChatMessage("system" if role == "developer" else role, _content(item.get("content")))
            case "function_call":
                function = FunctionCall(text(item.get("name")), text(item.get("arguments")))
                yield ChatMessage("assistant", "", [CalledTool(text(item.get("call_id")), function)])
            case "function_call_output":
                yield ChatMessage("tool", _content(item.get("output")), tool_call_id=text(item.get("call_id")))


def _content(value: object) -> str:
    return text(value) or "".join(text(members(part).get("text")) for part in items(value))


def _offered(tools: object) -> list[OfferedTool] | None:
    """The functions; a tool that the service itself runs is never called by the simulated model."""
    offered = [members(tool) for tool in items(tools)]
    return [
        OfferedTool(
            OfferedFunction(text(tool.get("name")), text(tool.get("description")), members(tool.get("parameters")))
        )
        for tool in offered
        if tool.get("type") == "function"
    ] or None


def _choice(choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    match choice:
        case {"type": "function", "name": name}:
            return {"function": {"name": name}}
        case str():
            return choice
    return None
