"""What the server's dialects have in common: headers, the framing of one SSE event, JSON."""

from __future__ import annotations

import json

from kmon.simulator.http import Headers

SSE_HEADERS: Headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
JSON_HEADERS: Headers = (("content-type", "application/json"),)


def event(members: object, name: str = "") -> bytes:
    """One event with a JSON object as its data; ``name`` becomes its ``event:`` line."""
    named = f"event: {name}\n".encode() if name else b""
    return named + b"data: " + to_json(members) + b"\n\n"


def to_json(value: object) -> bytes:
    """Compact JSON; a lone surrogate becomes a question mark, as no UTF-8 can hold it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def arguments_of(text: str) -> object:
    """The arguments of a tool call as an object; none when the token limit cut them."""
    try:
        return json.loads(text)
    except ValueError:
        return {}
