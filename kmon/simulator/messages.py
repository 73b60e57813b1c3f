"""Anthropic Messages requests, read into what the simulated model understands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from kmon.simulator.chat import CalledTool, ChatMessage, ChatRequest, FunctionCall, OfferedFunction, OfferedTool
from kmon.simulator.http import Request

VERSION_HEADER = "anthropic-version"

Content = str | list[dict[str, Any]]


class AnthropicMessage(Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: Content


class AnthropicTool(Struct, frozen=True):
    name: str
    description: str = ""
    input_schema: dict[str, Any] = {}


class MessagesRequest(Struct, frozen=True):
    """The members that change what is answered."""

    model: str
    max_tokens: int
    messages: list[AnthropicMessage]
    system: Content = ""
    stream: bool = False
    tools: list[AnthropicTool] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(MessagesRequest)


def read_messages(request: Request, model: str, stream: bool) -> ChatRequest:
    """The request in the body, which itself names model and streaming. Raises ValueError with a sentence."""
    if not request.headers.get(VERSION_HEADER):
        raise ValueError(f"{VERSION_HEADER}: header is required")
    try:
        asked = _DECODER.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the request body is not a Messages request: {error}") from None
    if not asked.messages:
        raise ValueError("messages: at least one message is required")
    _check_tools(asked)
    system = _text(asked.system)
    messages = [ChatMessage("system", system)] if system else []
    for message in asked.messages:
        messages += _messages(message)
    return ChatRequest(
        model=asked.model,
        messages=messages,
        stream=asked.stream,
        tools=[OfferedTool(OfferedFunction(t.name, t.description, t.input_schema)) for t in asked.tools or ()] or None,
        tool_choice=_choice(asked.tool_choice),
        max_tokens=asked.max_tokens,
        thinking=asked.thinking,
    )


def _check_tools(asked: MessagesRequest) -> None:
    """A tool result answers a call of the message before it."""
    called: list[object] = []
    for number, message in enumerate(asked.messages):
        for block in _blocks(message.content, "tool_result"):
            if block.get("tool_use_id") not in called:
                raise ValueError(
                    f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block.get('tool_use_id')}. Each `tool_result` block must have a corresponding `tool_use` "
                    "block in the previous message."
                )
        called = [block.get("id") for block in _blocks(message.content, "tool_use")]


def _messages(message: AnthropicMessage) -> Iterator[ChatMessage]:
    """One turn as chat messages: each tool result is one of its own, before the text beside it."""
    results = _blocks(message.content, "tool_result")
    for block in results:
        yield ChatMessage("tool", _text(block.get("content")), tool_call_id=str(block.get("tool_use_id")))
    text, uses = _text(message.content), _blocks(message.content, "tool_use")
    if text or uses or not results:
        yield ChatMessage(message.role, text, [_called(use) for use in uses] or None)


def _called(use: dict[str, Any]) -> CalledTool:
    function = FunctionCall(str(use.get("name", "")), json.dumps(use.get("input")))
    return CalledTool(str(use.get("id", "")), function)


def _blocks(content: object, kind: str) -> list[dict[str, Any]]:
    blocks = content if isinstance(content, list) else []
    return [block for block in blocks if isinstance(block, dict) and block.get("type") == kind]


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(block.get("text", "")) for block in _blocks(content, "text"))


def _choice(choice: dict[str, Any] | None) -> str | dict[str, Any] | None:
    match choice:
        case {"type": "any"}:
            return "required"
        case {"type": "none"}:
            return "none"
        case {"type": "tool", "name": name}:
            return {"function": {"name": name}}
    return None
