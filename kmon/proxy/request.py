"""What a request that somebody else made asks for: its dialect, its model, and the last thing the user said."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from kmon.dialects.dialect import Route, WireFormat, messages_member, named_tools
from kmon.dialects.json_access import items, members, parsed, text
from kmon.dialects.registry import routed
from kmon.model import Tool

_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
TOOLS_LIMIT = 200


class Overheard(Struct, frozen=True):
    """A request as far as it could be read. ``said_sha256`` is of the last user message's text, "" where none is."""

    format: WireFormat | None = None
    """None where kmon knows no dialect that is asked at this path."""
    model: str = ""
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    prompt: str = ""
    wants_usage: bool = False
    said_sha256: str = ""
    read: bool = False
    """Whether the whole of it was understood; the answer cannot be judged by a request that is half known."""

    @property
    def dialect(self) -> str:
        """The name of its dialect; empty where kmon knows none."""
        return "" if self.format is None else self.format.name


def overheard(path: str, body: bytes, *, whole: bool) -> Overheard:
    """Read a request's body; only its beginning where it is not ``whole``. Never raises."""
    spoken, at = routed(path) or (None, Route())
    try:
        value = members(parsed(body)) if whole and body else {}
    except ValueError:
        value = {}
    if not value:
        named = _MODEL.search(body)
        model = at.model or (named[1].decode("utf-8", "replace") if named else "")
        return Overheard(spoken, model, bool(_STREAM.search(body)) if at.stream is None else at.stream)
    messages = (messages_member if spoken is None else spoken.turns)(value)
    names = (named_tools if spoken is None else spoken.tool_names)(value)
    said = _last_said(messages)
    return Overheard(
        spoken,
        at.model or text(value.get("model")),
        value.get("stream") is True if at.stream is None else at.stream,
        # Their schemas are not taken over: somebody else's may be no schema.
        tuple(Tool(name=name, parameters={}) for name in names[:TOOLS_LIMIT] if name),
        "\n".join(_said(members(message)) for message in messages),
        members(value.get("stream_options")).get("include_usage") is True,
        said_hash(said) if said else "",
        read=True,
    )


def said_hash(said: str) -> str:
    """By which a message is found again elsewhere, without being kept: surrounding white space does not count."""
    return hashlib.sha256(said.strip().encode("utf-8", "replace")).hexdigest()


def _last_said(messages: Sequence[object]) -> str:
    """What the user said last; tool results are no words of the user's."""
    for message in reversed(messages):
        if members(message).get("role") == "user" and (said := _said(members(message))):
            return said
    return ""


def _said(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(text(members(part).get("text")) for part in items(content))
