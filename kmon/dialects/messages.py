"""Anthropic Messages events to deltas."""

from __future__ import annotations

from typing import Any

from kmon.dialects.delta import Delta, ToolFragment, Usage
from kmon.dialects.fault import fault
from kmon.dialects.loose import compact, count, members, position, text


def message_delta(event: dict[str, Any]) -> Delta:
    """The meaning of one event, told by its ``type``. A ``ping`` is life, never progress."""
    kind = event.get("type")
    index = position(event.get("index"), 0)
    if kind == "content_block_delta":
        return _piece(index, members(event.get("delta")))
    if kind == "content_block_start":
        return _block(index, members(event.get("content_block")))
    if kind == "message_start":
        message = members(event.get("message"))
        return Delta(
            usage=_usage(message.get("usage")),
            response_id=text(message.get("id")) or None,
            model=text(message.get("model")) or None,
        )
    if kind == "message_delta":
        reason = text(members(event.get("delta")).get("stop_reason")) or None
        return Delta(finish_reason=reason, usage=_usage(event.get("usage")))
    if kind == "error":
        return Delta(error=fault(event.get("error") or event))
    return Delta(done=kind == "message_stop", keepalive=kind == "ping")


def _piece(index: int, delta: dict[str, Any]) -> Delta:
    partial = text(delta.get("partial_json"))
    return Delta(
        text=text(delta.get("text")),
        reasoning=text(delta.get("thinking")),
        tools=(ToolFragment(index, arguments=partial),) if delta.get("type") == "input_json_delta" else (),
    )


def _block(index: int, block: dict[str, Any]) -> Delta:
    if block.get("type") not in ("tool_use", "server_tool_use"):
        return Delta(text=text(block.get("text")), reasoning=text(block.get("thinking")))
    given = block.get("input")
    arguments = compact(given) if isinstance(given, dict) and given else ""
    return Delta(tools=(ToolFragment(index, text(block.get("id")), text(block.get("name")), arguments),))


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    return Usage(
        count(value.get("input_tokens")),
        count(value.get("output_tokens")),
        None,
        cached_tokens=count(value.get("cache_read_input_tokens")),
    )
