"""Bedrock ConverseStream: requests for botocore to serialise and sign, event-stream frames, and whole answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from kmon.dialects.delta import Delta, ServerTool, ToolFragment, Usage, whole_prompt
from kmon.dialects.dialect import (
    FinishWords,
    HttpDialect,
    Route,
    Transport,
    WireRequest,
    cannot_carry,
    carries_calls,
)
from kmon.dialects.eventstream_json import JSONFramesDecoder
from kmon.dialects.framing import AWS_EVENT_STREAM
from kmon.dialects.json_access import compact, count, items, members, position, text
from kmon.dialects.turns import Turn, system_of, turns_of
from kmon.model import Auth, PromptMessage, Scenario, Target, Tool

SERVER_TOOL = "server_tool_use"
"""The type of a call that Bedrock runs itself (Nova's code interpreter)."""
OPERATIONS = {"converse-stream": True, "converse": False}
"""Whether an operation, by the end of its path, streams."""


class Converse(HttpDialect):
    """The body holds the operation's parameters without the model id, which is in the path.

    The dialect has no tool choice "none": the tools are left out instead.
    """

    name = "converse"
    framings = (AWS_EVENT_STREAM,)
    finish_words = FinishWords(
        length=frozenset({"max_tokens", "model_context_window_exceeded"}), without_output=frozenset({"stop_sequence"})
    )
    transport: Transport = "aws"
    auth: Auth = "aws"

    def route(self, path: str) -> Route | None:
        found = model_in(path)
        return None if found is None or found[1] not in OPERATIONS else Route(found[0], OPERATIONS[found[1]])

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return event not in ("", "chunk")

    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
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

    def unstreamed(self, request: WireRequest) -> WireRequest:
        return msgspec.structs.replace(request, path=request.path.removesuffix("-stream"))

    def decoder(self) -> JSONFramesDecoder:
        return JSONFramesDecoder(converse_delta)

    def whole(self, value: dict[str, Any]) -> Delta:
        message = members(members(value.get("output")).get("message"))
        blocks = [members(block) for block in items(message.get("content"))]
        return Delta(
            text="".join(text(block.get("text")) for block in blocks),
            reasoning="".join(
                text(members(members(block.get("reasoningContent")).get("reasoningText")).get("text"))
                for block in blocks
            ),
            tools=tuple(
                ToolFragment(
                    place, text(tool.get("toolUseId")), text(tool.get("name")), compact(tool.get("input") or {})
                )
                for place, block in enumerate(blocks)
                if (tool := members(block.get("toolUse")))
            ),
            finish_reason=text(value.get("stopReason")) or None,
            usage=_usage(value.get("usage")),
        )

    def tool_names(self, value: Mapping[str, Any]) -> Sequence[str]:
        offered = items(members(value.get("toolConfig")).get("tools"))
        return [text(members(members(tool).get("toolSpec")).get("name")) for tool in offered]

    def unsupported(self, target: Target, scenario: Scenario) -> str | None:
        if not carries_calls(scenario) or (scenario.tools and scenario.tool_choice != "none"):
            return None
        return (
            f"{cannot_carry(target, scenario)} (Bedrock refuses tool calls in a conversation that offers no tools); "
            f"offer the tools in the scenario, or leave {target.name} out"
        )


def model_in(path: str) -> tuple[str, str] | None:
    """The model and the operation of a Bedrock runtime path; any prefix before ``/model/`` is ignored."""
    model, _, operation = path.partition("/model/")[2].rpartition("/")
    return (unquote(model), operation) if model and operation else None


def converse_delta(name: str, event: dict[str, Any]) -> Delta:
    """The meaning of one ConverseStream event. ``metadata`` is the terminal one, after ``messageStop``."""
    index = position(event.get("contentBlockIndex"), 0)
    if name == "contentBlockDelta":
        delta = members(event.get("delta"))
        tool = delta.get("toolUse")
        return Delta(
            text=text(delta.get("text")),
            reasoning=text(members(delta.get("reasoningContent")).get("text")),
            tools=(ToolFragment(index, arguments=_input(tool)),) if isinstance(tool, dict) else (),
        )
    if name == "contentBlockStart":
        tool = members(event.get("start")).get("toolUse")
        if isinstance(tool, dict):
            name = text(tool.get("name"))
            on_server = tool.get("type") == SERVER_TOOL  # a call like any other on the wire, and as the SDK gives it
            return Delta(
                tools=(ToolFragment(index, text(tool.get("toolUseId")), name, _input(tool)),),
                server_tools=(ServerTool(SERVER_TOOL, name),) if on_server else (),
            )
        return Delta()
    if name == "messageStop":
        return Delta(finish_reason=text(event.get("stopReason")) or None)
    if name == "metadata":
        latency = members(event.get("metrics")).get("latencyMs")
        return Delta(
            usage=_usage(event.get("usage")),
            done=True,
            server_ms=float(latency) if isinstance(latency, int | float) and count(latency) is not None else None,
        )
    return Delta()


def _input(tool: dict[str, Any]) -> str:
    piece = tool.get("input")
    return compact(piece) if isinstance(piece, dict | list) and piece else text(piece)


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    read, written = count(value.get("cacheReadInputTokens")), count(value.get("cacheWriteInputTokens"))
    return Usage(
        whole_prompt(count(value.get("inputTokens")), read, written),
        count(value.get("outputTokens")),
        count(value.get("totalTokens")),
        cached_tokens=read,
        cache_write_tokens=written,
    )


def _turn(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [block for message in turn.messages for block in _blocks(message)]}


def _blocks(message: PromptMessage) -> Iterator[dict[str, Any]]:
    if message.tool_call_id is not None:
        # Text even if it is JSON, so that all dialects send the same text.
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
