"""The Chat Completions request of a scenario: neutral, without sampling parameters and without credentials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from kmon.catalog.model import Message, Scenario, Target, Tool
from kmon.dialects.wire import WireRequest

PATH = "/chat/completions"
HEADERS = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",  # compressed streams are buffered and hide the gaps
    "Content-Type": "application/json",
}
NAMED_CHOICES = ("auto", "none", "required", "any")


def chat_request(target: Target, scenario: Scenario, messages: Sequence[Message]) -> WireRequest:
    """The request that sends ``messages`` with the tools and output cap of ``scenario`` to ``target``.

    No temperature and the like: Moonshot refuses them and they would make targets incomparable. ``target.body`` is
    merged last and wins.
    """
    body: dict[str, Any] = {
        "model": target.model,
        "messages": [_message(message) for message in messages],
        "stream": True,
    }
    if scenario.tools:
        body["tools"] = [_tool(tool) for tool in scenario.tools]
        if scenario.tool_choice is not None:
            body["tool_choice"] = _tool_choice(scenario.tool_choice)
        if scenario.parallel_calls is not None:
            body["parallel_tool_calls"] = scenario.parallel_calls
    if target.stream_options:
        body["stream_options"] = {"include_usage": True}
    if target.token_cap is not None:
        body[target.token_cap] = scenario.max_tokens
    body |= target.body
    return WireRequest(PATH, HEADERS | target.headers, msgspec.json.encode(body))


def _message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        wire["reasoning_content"] = message.reasoning
    if message.tool_calls:
        wire["content"] = message.content or None  # Kimi's coding gateway refuses empty text beside a tool call
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _tool_choice(choice: str) -> str | dict[str, Any]:
    return choice if choice in NAMED_CHOICES else {"type": "function", "function": {"name": choice}}
