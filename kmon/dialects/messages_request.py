"""The Messages request of a scenario: neutral, without sampling parameters and without credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kmon.catalog.model import Message, Scenario, Target, Tool
from kmon.dialects.turns import Turn, system_of, turns_of
from kmon.dialects.wire import WireRequest

VERSION = "2023-06-01"
HEADERS = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",  # compressed streams are buffered and hide the gaps
    "Content-Type": "application/json",
    "anthropic-version": VERSION,
}
_VERSIONED = re.compile(r"/v\d+/?\Z")


def messages_request(target: Target, scenario: Scenario, messages: Sequence[Message]) -> WireRequest:
    """The request that sends ``messages`` with the tools and output cap of ``scenario`` to ``target``.

    The cap is required by the dialect and always goes under ``max_tokens``. ``target.body`` is merged last and wins.
    """
    body: dict[str, Any] = {
        "model": target.model,
        "max_tokens": scenario.max_tokens,
        "stream": True,
        "messages": [_turn(turn) for turn in turns_of(messages)],
    }
    if system := system_of(messages):
        body["system"] = system
    if scenario.tools:
        body["tools"] = [_tool(tool) for tool in scenario.tools]
        if scenario.tool_choice is not None:
            body["tool_choice"] = _tool_choice(scenario.tool_choice)
        if scenario.parallel_calls is not None:
            single = {"disable_parallel_tool_use": not scenario.parallel_calls}
            body["tool_choice"] = body.get("tool_choice", {"type": "auto"}) | single
    body |= target.body
    return WireRequest(_path(target.base_url), HEADERS | target.headers, msgspec.json.encode(body))


def _path(base_url: str) -> str:
    """Base URLs are given with and without the version, as each vendor's own client wants it."""
    return "/messages" if _VERSIONED.search(base_url) else "/v1/messages"


def _turn(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [block for message in turn.messages for block in _blocks(message)]}


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.tool_call_id is not None:
        yield {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
        return
    if message.reasoning:
        yield {"type": "thinking", "thinking": message.reasoning, "signature": ""}
    if message.content:  # an empty text block is refused
        yield {"type": "text", "text": message.content}
    for call in message.tool_calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "input_schema": tool.parameters}


def _tool_choice(choice: str) -> dict[str, Any]:
    if choice in ("auto", "none"):
        return {"type": choice}
    return {"type": "any"} if choice in ("required", "any") else {"type": "tool", "name": choice}
