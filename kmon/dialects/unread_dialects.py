"""Dialects that kmon recognises and does not decode, so that their streams are named instead of misjudged.

One entry for each: its name, and a test of one event's members. Sources: the wire documentation of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kmon.dialects.json_access import members, text

_COHERE = frozenset({
    "message-start", "content-start", "content-delta", "content-end", "tool-plan-delta", "tool-call-start",
    "tool-call-delta", "tool-call-end", "citation-start", "citation-end", "message-end",
})  # fmt: skip
_AI_SDK = frozenset({
    "start", "start-step", "finish-step", "text-start", "text-delta", "text-end", "reasoning-start", "reasoning-delta",
    "reasoning-end", "tool-input-start", "tool-input-delta", "tool-input-available", "tool-output-available",
    "source-url", "source-document",
})  # fmt: skip


class Unread(NamedTuple):
    """One dialect that is only named: its name in JSON, what its stream is called in a sentence, and the test."""

    name: str
    stream: str
    is_event: Callable[[Mapping[str, Any]], bool]


UNREAD = (
    Unread("cohere", "a Cohere v2 stream", lambda value: text(value.get("type")) in _COHERE),
    Unread("ai-sdk-ui", "an AI SDK UI stream", lambda value: text(value.get("type")) in _AI_SDK),
    Unread(
        "dashscope",
        "a DashScope native stream",
        lambda value: "request_id" in value and bool(members(value.get("output"))),
    ),
    Unread(
        "workers-ai",
        "a Workers AI stream",
        lambda value: isinstance(value.get("response"), str) and "done" not in value,
    ),
    Unread(
        "llama-cpp",
        "a llama.cpp completion stream",
        lambda value: isinstance(value.get("content"), str) and isinstance(value.get("stop"), bool),
    ),
    Unread("mcp", "an MCP stream", lambda value: text(value.get("jsonrpc")) == "2.0"),
)
ANY = "a stream kmon does not read"


def unread_name(value: Mapping[str, Any]) -> str | None:
    """The name of a dialect that has an event of these members; None for none of them."""
    return next((entry.name for entry in UNREAD if entry.is_event(value)), None)


def unread_words(name: str) -> str:
    """A stream of the dialect called ``name``, or of one that is not known (""), in words."""
    found = next((entry.stream for entry in UNREAD if entry.name == name), None)
    return ANY if found is None else f"{found}, which kmon does not read"
