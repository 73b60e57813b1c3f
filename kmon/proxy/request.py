"""What is known of another program's request: its dialect, its model, and the last message of the user."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from kmon.dialects.dialect import Route, WireFormat, ends_elsewhere, messages_member, named_tools
from kmon.dialects.json_access import items, members, parsed, text
from kmon.dialects.registry import routed
from kmon.model import Tool

_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_STREAM = re.compile(rb'"stream"\s*:\s*(true|false)')
TOOLS_LIMIT = 200


class Overheard(Struct, frozen=True):
    """A request as far as it could be parsed. ``said_sha256`` is that of the last user message, "" without one."""

    format: WireFormat | None = None
    """None where no dialect that kmon knows has this path."""
    model: str = ""
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    prompt: str = ""
    wants_usage: bool = False
    ends_elsewhere: bool = False
    """Whether it says where the answer is to end."""
    said_sha256: str = ""
    read: bool = False
    """Whether the whole body was parsed; only then can the answer be checked against it."""

    @property
    def dialect(self) -> str:
        """The name of its dialect; empty where it is not known."""
        return "" if self.format is None else self.format.name


def overheard(path: str, body: bytes, *, whole: bool) -> Overheard:
    """Parse a request's body, or only its beginning where it is not ``whole``. Never raises."""
    known, at = routed(path) or (None, Route())
    try:
        value = members(parsed(body)) if whole and body else {}
    except ValueError:
        value = {}
    if not value:
        named = _MODEL.search(body)
        model = at.model or (named[1].decode("utf-8", "replace") if named else "")
        asked = _STREAM.search(body)
        return Overheard(known, model, _streamed(known, at, {"stream": asked[1] == b"true"} if asked else {}))
    messages = (messages_member if known is None else known.turns)(value)
    names = (named_tools if known is None else known.tool_names)(value)
    last = _last_user_text(messages)
    return Overheard(
        known,
        at.model or text(value.get("model")),
        _streamed(known, at, value),
        # without their schemas, which may be invalid
        tuple(Tool(name=name, parameters={}) for name in names[:TOOLS_LIMIT]),
        "\n".join(_message_text(members(message)) for message in messages),
        members(value.get("stream_options")).get("include_usage") is True,
        ends_elsewhere(value),
        said_hash(last) if last else "",
        read=True,
    )


def _streamed(known: WireFormat | None, at: Route, value: dict[str, Any]) -> bool:
    if at.stream is not None:
        return at.stream
    return value.get("stream") is True if known is None else known.streamed(value)


def said_hash(message: str) -> str:
    """Identifies a message without its text; surrounding white space does not count."""
    return hashlib.sha256(message.strip().encode("utf-8", "replace")).hexdigest()


def _last_user_text(messages: Sequence[object]) -> str:
    """The text of the last user message; tool results do not count."""
    for message in reversed(messages):
        if members(message).get("role") == "user" and (content := _message_text(members(message))):
            return content
    return ""


def _message_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(text(members(part).get("text")) for part in items(content))
