"""The ConverseStream request of a scenario, as the members botocore serialises and signs.

The body holds the operation's parameters without the model id, which Bedrock wants in the path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from kmon.catalog.model import Message, Scenario, Target, Tool
from kmon.dialects.turns import Turn, system_of, turns_of
from kmon.dialects.wire import WireRequest


def converse_request(target: Target, scenario: Scenario, messages: Sequence[Message]) -> WireRequest:
    """The request that sends ``messages`` with the tools and output cap of ``scenario`` to ``target``.

    ``target.body`` is merged last and wins (``additionalModelRequestFields``, ``performanceConfig``). The dialect has
    no tool choice "none": the tools are left out instead.
    """
    body: dict[str, Any] = {
        "messages": [_turn(turn) for turn in turns_of(messages)],
        "inferenceConfig": {"maxTokens": scenario.max_tokens},
    }
    if system := system_of(messages):
        body["system"] = [{"text": system}]
    if scenario.tools and scenario.tool_choice != "none":
        body["toolConfig"] = {"tools": [_tool(tool) for tool in scenario.tools]}
        if scenario.tool_choice is not None:
            body["toolConfig"]["toolChoice"] = _tool_choice(scenario.tool_choice)
    body |= target.body
    path = f"/model/{quote(target.model, safe='')}/converse-stream"
    return WireRequest(path, dict(target.headers), msgspec.json.encode(body))


def _turn(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [block for message in turn.messages for block in _blocks(message)]}


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.tool_call_id is not None:
        # As text even when it is JSON: every dialect is then asked with the very same words.
        content = [{"text": message.content}] if message.content else []
        yield {"toolResult": {"toolUseId": message.tool_call_id, "content": content, "status": "success"}}
        return
    if message.reasoning:
        yield {"reasoningContent": {"reasoningText": {"text": message.reasoning}}}
    if message.content:  # a blank text block is refused
        yield {"text": message.content}
    for call in message.tool_calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"toolSpec": {"name": tool.name, **described, "inputSchema": {"json": tool.parameters}}}


def _tool_choice(choice: str) -> dict[str, Any]:
    if choice == "auto":
        return {"auto": {}}
    return {"any": {}} if choice in ("required", "any") else {"tool": {"name": choice}}
