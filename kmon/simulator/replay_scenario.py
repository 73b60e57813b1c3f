"""What a recorded request asked for, as a scenario that can be asked again."""

from __future__ import annotations

from collections.abc import Mapping

from kmon.dialects.json_access import members, parsed, text
from kmon.model import PromptMessage, Role, Scenario, Tool, ToolUse
from kmon.recording import Interaction
from kmon.recording.decode import decode
from kmon.simulator.request import CalledTool, ChatMessage
from kmon.simulator.wire import ServerDialect

LOST = PromptMessage(role="user", content="(the recording does not hold the request)")
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


def scenario(name: str, dialect: ServerDialect, recorded: Interaction) -> Scenario:
    """The messages, tools and output cap that were asked for; a stand-in for missing or invalid messages.

    Where the recording does not hold the request, the tools that the answer calls must have been offered.
    """
    request = recorded.request
    try:
        asked = dialect.read_recorded(request) if request.members else None
    except ValueError:
        asked = None
    if asked is None:
        called = dict.fromkeys(call.name for call in decode("", recorded).tool_calls if call.name)
        tools = tuple(Tool(name=called_tool, parameters={}) for called_tool in called)
        return Scenario(name=name, title="as recorded", messages=(LOST,), tools=tools, max_tokens=MAX_TOKENS)
    offered = [tool.function for tool in asked.tools or () if tool.function.name]
    return Scenario(
        name=name,
        title="as recorded",
        messages=tuple(_message(message) for message in asked.messages) or (LOST,),
        tools=tuple(Tool(name=one.name, description=one.description, parameters=one.parameters) for one in offered),
        max_tokens=asked.token_limit or MAX_TOKENS,
    )


def _message(message: ChatMessage) -> PromptMessage:
    return PromptMessage(
        role=ROLES.get(message.role, "user"),
        content=message.text,
        reasoning=text(message.reasoning_content),
        tool_calls=tuple(_tool_use(call) for call in message.tool_calls or ()),
        tool_call_id=message.tool_call_id,
    )


def _tool_use(call: CalledTool) -> ToolUse:
    try:
        read = members(parsed(call.function.arguments.encode("utf-8", "replace")))
    except ValueError:
        read = {}
    return ToolUse(id=call.id, name=call.function.name, arguments=read)
