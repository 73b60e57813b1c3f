"""The output items of an OpenAI Responses answer: what one says, which call it is, and which tool of the server.

An answer is a list of items (a message, reasoning, a function call, a use of a built-in tool). An item is on the wire
when it begins, when it ends, and in the whole answer; its pieces come in between. Item types that are not known are
tools of the server if they are named like one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from kmon.dialects.delta import HiddenWork, ServerTool
from kmon.dialects.json_access import compact, items, members, text

Channel = Literal["text", "refusal", "reasoning", "summary", "arguments"]
"""Where a piece of an item belongs. ``summary`` is the summary of reasoning that is not sent itself."""
CUSTOM_CALL = "custom_tool_call"
CALLS = ("function_call", CUSTOM_CALL)
"""Item types that are calls for the client. The input of a custom tool is free text, not JSON."""
PARTS: Mapping[str, tuple[Channel, str]] = {
    "output_text": ("text", "text"),
    "text": ("text", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("reasoning", "text"),
    "summary_text": ("summary", "text"),
}
"""Channel, and the member that holds the words, by the type of a content part."""


class Said(NamedTuple):
    """Words of an item: their channel, the index of their part, the words."""

    channel: Channel
    part: int
    words: str


def said_by(item: Mapping[str, Any]) -> Iterator[Said]:
    """The words of a whole item, in order; reasoning is its text, else the summaries."""
    kind = item.get("type")
    if kind in CALLS:
        yield Said("arguments", 0, arguments_of(item.get("arguments", item.get("input"))))
    elif kind == "reasoning":
        parts = list(_parts(item.get("content"), "reasoning"))
        yield from parts if any(part.words for part in parts) else _parts(item.get("summary"), "summary")
    elif kind == "message":
        yield from _parts(item.get("content"), "text")


def part_of(value: object, usual: Channel) -> tuple[Channel, str]:
    """Channel and words of one content part; a part without a known type is of the ``usual`` channel."""
    if isinstance(value, str):
        return usual, value
    part = members(value)
    channel, member = PARTS.get(text(part.get("type")), (usual, "text"))
    return channel, text(part.get(member))


def arguments_of(value: object) -> str:
    """The arguments of a call, which a few servers send as an object."""
    return compact(value) if isinstance(value, dict | list) else text(value)


def server_tool(item: Mapping[str, Any]) -> ServerTool | None:
    """The use of a tool that an item is; None for the client's function calls and everything else.

    Results (``..._output``) and an item for a compacted conversation or a program are no uses.
    """
    kind = text(item.get("type"))
    if kind in CALLS or not (kind.endswith("_call") or kind.startswith("mcp_")):
        return None
    return ServerTool(kind, text(item.get("name")))


def hidden_work(item: Mapping[str, Any]) -> HiddenWork | None:
    """What a server works on while this item is open and nothing of it is sent; None if its words are due."""
    if item.get("type") == "reasoning":
        return "reasoning"
    return None if server_tool(item) is None else "server-tool"


def _parts(value: object, usual: Channel) -> Iterator[Said]:
    whole = [value] if isinstance(value, str) else items(value)
    return (Said(channel, place, words) for place, (channel, words) in enumerate(part_of(one, usual) for one in whole))
