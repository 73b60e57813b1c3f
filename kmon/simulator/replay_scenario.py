"""What a recorded request asked for, and whom, as a scenario and a target that can be asked again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from kmon.catalog.habits import habits_of
from kmon.dialects.json_access import members, parsed, text
from kmon.model import PromptMessage, Role, Scenario, Target, Tool, ToolUse
from kmon.recording import Interaction, Request
from kmon.simulator.request import CalledTool, ChatMessage
from kmon.simulator.wire import ServerDialect

UNSAFE_IN_PATH = re.compile(r"[^A-Za-z0-9._-]+")
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


def scenario(
    name: str, dialect: ServerDialect | None, request: Request, called: Callable[[], Iterable[str]]
) -> Scenario:
    """The messages, tools and output cap that were asked for; a stand-in for missing or invalid messages.

    ``dialect`` is None where the simulator has no such dialect. Where the recording does not hold the messages, it may
    lack the tools as well: those that the answer calls, ``called()``, must have been offered.
    """
    try:
        asked = dialect.read_recorded(request) if dialect is not None and request.members else None
    except ValueError:
        asked = None
    offered = [tool.function for tool in (asked and asked.tools) or () if tool.function.name]
    tools = [Tool(name=one.name, description=one.description, parameters=one.parameters) for one in offered]
    messages = tuple(_message(message) for message in asked.messages) if asked is not None else ()
    if not messages:
        known = {tool.name for tool in tools}
        tools += [Tool(name=one, parameters={}) for one in dict.fromkeys(called()) if one and one not in known]
    return Scenario(
        name=name,
        title="as recorded",
        messages=messages or (LOST,),
        tools=tuple(tools),
        max_tokens=(asked and asked.token_limit) or MAX_TOKENS,
    )


def recorded_target(recorded: Interaction, *, name: str, model: str, base_url: str) -> Target:
    """The target of a recorded exchange: ``model`` at ``base_url``, with the habits of the host that answered."""
    usual = habits_of(recorded.request.url, model)
    return Target(
        name=name,
        provider=provider_of(recorded.request.url),
        model=model or "unknown",
        dialect=recorded.dialect,
        base_url=base_url,
        stream_options=recorded.request.wants_usage,
        end_event=recorded.ends_kept and usual.end_event,
        finish_reason=recorded.ends_kept and usual.finish_reason,
        simulated=True,
    )


def provider_of(url: str) -> str:
    """The provider a URL belongs to: the name of its domain, ``groq`` for ``api.groq.com``."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    if not host:
        return "recorded"
    if host == "localhost" or host.replace(".", "").isdigit() or ":" in host:
        return "local"
    if host.startswith("bedrock") and host.endswith(".amazonaws.com"):
        return "bedrock"
    return UNSAFE_IN_PATH.sub("-", host.split(".")[-2] if "." in host else host)


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
