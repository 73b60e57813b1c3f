"""What a request that somebody else made asks for: its dialect, its model, and the last thing the user said."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from kmon.catalog.model import Tool
from kmon.dialects.loose import items, members, parsed, text

_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
TOOLS_LIMIT = 200


class Place(Struct, frozen=True):
    """What a path says. ``dialect`` is empty where kmon knows none; ``stream`` is None where the body decides."""

    dialect: str = ""
    model: str = ""
    stream: bool | None = None


class Overheard(Struct, frozen=True):
    """A request as far as it could be read. ``said_sha256`` is of the last user message's text, "" where none is."""

    dialect: str = ""
    model: str = ""
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    prompt: str = ""
    wants_usage: bool = False
    said_sha256: str = ""
    read: bool = False
    """Whether the whole of it was understood; the answer cannot be judged by a request that is half known."""


def place(path: str) -> Place:
    """What the path of a request says, whatever stands before the dialect's own part of it."""
    before, found, rest = path.partition("/model/")
    if found:
        model, _, operation = rest.rpartition("/")
        names = {"converse-stream": "converse", "invoke-with-response-stream": "bedrock-invoke", "converse": "converse"}
        if model and operation in names:
            return Place(names[operation], unquote(model), operation != "converse")
    before, found, model = path.partition("/inference/")
    if found and model and not path.endswith("/chat/completions") and before.endswith("/v1"):
        return Place("deepinfra", unquote(model))
    if path.endswith("/chat/completions"):
        return Place("chat")
    return Place("messages") if path.endswith("/v1/messages") or path == "/messages" else Place()


def overheard(path: str, body: bytes, *, whole: bool) -> Overheard:
    """Read a request's body; only its beginning where it is not ``whole``. Never raises."""
    at = place(path)
    try:
        value = members(parsed(body)) if whole and body else {}
    except ValueError:
        value = {}
    if not value:
        named = _MODEL.search(body)
        model = at.model or (named[1].decode("utf-8", "replace") if named else "")
        return Overheard(at.dialect, model, bool(_STREAM.search(body)) if at.stream is None else at.stream)
    messages = items(value.get("messages"))
    said = _last_said(messages) or text(value.get("input"))
    return Overheard(
        at.dialect,
        at.model or text(value.get("model")),
        value.get("stream") is True if at.stream is None else at.stream,
        _tools(value),
        "\n".join(_said(members(message)) for message in messages) or text(value.get("input")),
        members(value.get("stream_options")).get("include_usage") is True,
        said_hash(said) if said else "",
        read=True,
    )


def said_hash(said: str) -> str:
    """By which a message is found again elsewhere, without being kept: surrounding white space does not count."""
    return hashlib.sha256(said.strip().encode("utf-8", "replace")).hexdigest()


def _last_said(messages: list[Any]) -> str:
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


def _tools(value: dict[str, Any]) -> tuple[Tool, ...]:
    """The tools on offer in any dialect. Their schemas are not taken over: somebody else's may be no schema."""
    offered = items(value.get("tools")) or items(members(value.get("toolConfig")).get("tools"))
    names = (
        text(members(tool.get("function")).get("name"))
        or text(members(tool.get("toolSpec")).get("name"))
        or text(tool.get("name"))
        for tool in map(members, offered[:TOOLS_LIMIT])
    )
    return tuple(Tool(name=name, parameters={}) for name in names if name)
