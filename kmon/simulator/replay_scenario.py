"""What a recorded request asked for, as a scenario that can be asked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kmon.catalog.model import Message, Role, Scenario, Tool, ToolUse
from kmon.dialects.json_access import count, items, members, parsed, text
from kmon.recording.interaction import Request as RecordedRequest
from kmon.simulator.bedrock import read_converse
from kmon.simulator.chat import ChatMessage, ChatRequest
from kmon.simulator.http import Request
from kmon.simulator.messages import VERSION_HEADER, read_messages
from kmon.simulator.wire import Spoken

LOST = Message(role="user", content="(the recording does not hold the request)")
MAX_TOKENS = 1024
"""The output cap where the recording has none."""
ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def scenario(name: str, dialect: Spoken, request: RecordedRequest) -> Scenario:
    """The messages, tools and output cap of ``request``; a stand-in for messages that are lost or make no sense."""
    if dialect == "chat":
        return _of_chat(name, request.members)
    read = read_converse if dialect == "converse" else read_messages
    try:
        asked = read(Request("POST", "", {}, {VERSION_HEADER: "as recorded"}, request.body), request.model, True)
    except ValueError:
        return _scenario(name, (), (), None)
    return _of_request(name, asked)


def _of_request(name: str, asked: ChatRequest) -> Scenario:
    offered = [tool.function for tool in asked.tools or ()]
    tools = tuple(Tool(name=one.name, description=one.description, parameters=one.parameters) for one in offered)
    return _scenario(name, tuple(_read(message) for message in asked.messages), tools, asked.token_limit)


def _read(message: ChatMessage) -> Message:
    calls = message.tool_calls or ()
    return Message(
        role=ROLES.get(message.role, "user"),
        content=message.text,
        tool_calls=tuple(_tool_use(call.id, call.function.name, call.function.arguments) for call in calls),
        tool_call_id=message.tool_call_id,
    )


def _of_chat(name: str, body: dict[str, Any]) -> Scenario:
    """Chat recordings come from many hosts that bend the format, hence read as loosely as can be."""
    tools = tuple(_tool(members(members(tool).get("function"))) for tool in items(body.get("tools")))
    return _scenario(
        name,
        tuple(_message(members(message)) for message in items(body.get("messages"))),
        tuple(tool for tool in tools if tool.name),
        count(body.get("max_completion_tokens")) or count(body.get("max_tokens")),
    )


def _scenario(name: str, messages: tuple[Message, ...], tools: tuple[Tool, ...], cap: int | None) -> Scenario:
    return Scenario(
        name=name, title="as recorded", messages=messages or (LOST,), tools=tools, max_tokens=cap or MAX_TOKENS
    )


def _message(message: dict[str, Any]) -> Message:
    return Message(
        role=ROLES.get(text(message.get("role")), "user"),
        content=_content(message.get("content")),
        reasoning=text(message.get("reasoning_content")),
        tool_calls=tuple(_call(members(call)) for call in items(message.get("tool_calls"))),
        tool_call_id=text(message.get("tool_call_id")) or None,
    )


def _content(content: object) -> str:
    return text(content) or "".join(text(members(part).get("text")) for part in items(content))


def _call(call: dict[str, Any]) -> ToolUse:
    function = members(call.get("function"))
    return _tool_use(text(call.get("id")), text(function.get("name")), text(function.get("arguments")))


def _tool_use(call_id: str, name: str, arguments: str) -> ToolUse:
    try:
        read = members(parsed(arguments.encode("utf-8", "replace")))
    except ValueError:
        read = {}
    return ToolUse(id=call_id, name=name, arguments=read)


def _tool(function: dict[str, Any]) -> Tool:
    return Tool(
        name=text(function.get("name")),
        description=text(function.get("description")),
        parameters=members(function.get("parameters")),
    )
