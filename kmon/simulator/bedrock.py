"""Bedrock's Converse requests, read as strictly as the service does where clients of tools tend to go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from kmon.simulator.chat import CalledTool, ChatMessage, ChatRequest, FunctionCall, OfferedFunction, OfferedTool
from kmon.simulator.http import Request


class ToolUse(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str
    input: Any = None


class ToolResult(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    content: list[dict[str, Any]] = []
    status: str = "success"

    @property
    def text(self) -> str:
        parts = (str(part["text"]) if "text" in part else json.dumps(part.get("json")) for part in self.content)
        return "".join(parts)


class Block(Struct, frozen=True, rename="camel"):
    """One content block; kinds not named here are accepted and ignored."""

    text: str | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None


class ConverseMessage(Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: list[Block]


class InputSchema(Struct, frozen=True):
    json: dict[str, Any] = {}


class ToolSpec(Struct, frozen=True, rename="camel"):
    name: str
    description: str = ""
    input_schema: InputSchema = InputSchema()


class Offered(Struct, frozen=True, rename="camel"):
    tool_spec: ToolSpec | None = None


class ToolConfig(Struct, frozen=True, rename="camel"):
    tools: list[Offered]
    tool_choice: dict[str, Any] | None = None


class InferenceConfig(Struct, frozen=True, rename="camel"):
    max_tokens: int | None = None


class ConverseRequest(Struct, frozen=True, rename="camel"):
    """The members that change what is answered."""

    messages: list[ConverseMessage]
    system: list[Block] = []
    tool_config: ToolConfig | None = None
    inference_config: InferenceConfig = InferenceConfig()
    additional_model_request_fields: dict[str, Any] = field(default_factory=dict)


_DECODER = msgspec.json.Decoder(ConverseRequest)


def read_converse(request: Request, model: str, stream: bool) -> ChatRequest:
    """The request in the body. Raises ValueError with the service's own kind of sentence."""
    try:
        asked = _DECODER.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"Malformed input request: {error}, please reformat your input and try again.") from None
    _check_turns(asked)
    _check_tools(asked)
    system = "".join(block.text or "" for block in asked.system)
    messages = [ChatMessage("system", system)] if system else []
    for message in asked.messages:
        messages += _messages(message)
    config = asked.tool_config
    return ChatRequest(
        model=model,
        messages=messages,
        stream=stream,
        tools=[_offered(tool.tool_spec) for tool in config.tools if tool.tool_spec] if config else None,
        tool_choice=_choice(config.tool_choice) if config else None,
        max_tokens=asked.inference_config.max_tokens,
        thinking=asked.additional_model_request_fields.get("thinking"),
    )


def _check_turns(asked: ConverseRequest) -> None:
    if not asked.messages or asked.messages[0].role != "user":
        raise ValueError(
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )
    for number, message in enumerate(asked.messages):
        if number and message.role == asked.messages[number - 1].role:
            raise ValueError(
                "A conversation must alternate between user and assistant roles. "
                "Make sure the conversation alternates between user and assistant roles and try again."
            )
        if not message.content:
            raise ValueError(f"The content field in the Message object at messages.{number} is empty.")
        for at, block in enumerate(message.content):
            if block.text is not None and not block.text.strip():
                raise ValueError(
                    f"The text field in the ContentBlock object at messages.{number}.content.{at} is blank. "
                    "Add text to the text field, and try again."
                )


def _check_tools(asked: ConverseRequest) -> None:
    """A tool result answers a call of the turn before it, every call has its result, and tools are declared."""
    called: list[str] = []
    for number, message in enumerate(asked.messages):
        results = [block.tool_result.tool_use_id for block in message.content if block.tool_result]
        if unknown := [result for result in results if result not in called]:
            raise ValueError(
                f"messages.{number}: unexpected toolUseId {unknown[0]} in toolResult blocks. "
                "Each toolResult block must have a corresponding toolUse block in the previous message."
            )
        if missing := [use for use in called if use not in results]:
            raise ValueError(
                f"Expected toolResult blocks at messages.{number}.content for the following Ids: {missing[0]}"
            )
        called = [block.tool_use.tool_use_id for block in message.content if block.tool_use]
        if (called or results) and asked.tool_config is None:
            raise ValueError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")


def _messages(message: ConverseMessage) -> Iterator[ChatMessage]:
    """One turn as chat messages: each tool result is one of its own, before the text beside it."""
    results = [block.tool_result for block in message.content if block.tool_result]
    for result in results:
        yield ChatMessage("tool", result.text, tool_call_id=result.tool_use_id)
    text = "".join(block.text or "" for block in message.content)
    uses = [block.tool_use for block in message.content if block.tool_use]
    if text or uses or not results:
        yield ChatMessage(message.role, text, [_called(use) for use in uses] or None)


def _called(use: ToolUse) -> CalledTool:
    return CalledTool(use.tool_use_id, FunctionCall(use.name, json.dumps(use.input)))


def _offered(spec: ToolSpec) -> OfferedTool:
    return OfferedTool(OfferedFunction(spec.name, spec.description, spec.input_schema.json))


def _choice(choice: dict[str, Any] | None) -> str | dict[str, Any] | None:
    match choice:
        case {"any": _}:
            return "required"
        case {"tool": tool}:
            return {"function": tool}
    return None
