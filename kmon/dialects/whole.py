"""Answers that came whole, not streamed, as the one delta that says the same. For exchanges that are only watched."""

from __future__ import annotations

from typing import Any

from kmon.dialects.bounds import frame_text
from kmon.dialects.chat import chunk_delta
from kmon.dialects.deepinfra import token_delta
from kmon.dialects.delta import Delta, ToolFragment
from kmon.dialects.loose import compact, items, members, parsed, text
from kmon.dialects.messages import message_delta


def whole_answer(dialect: str, body: bytes) -> Delta | None:
    """The meaning of a JSON answer in ``dialect``; None if it is none."""
    try:
        value = parsed(body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    raw = frame_text(body)
    match dialect:
        case "chat":
            delta = _chat(value)
        case "messages":
            delta = _messages(value)
        case "converse":
            delta = _converse(value)
        case "deepinfra":
            delta = _deepinfra(value)
        case _:
            return None
    return Delta(
        text=delta.text,
        reasoning=delta.reasoning,
        tools=delta.tools,
        finish_reason=delta.finish_reason,
        usage=delta.usage,
        error=delta.error,
        done=True,
        response_id=delta.response_id,
        model=delta.model,
        upstream=delta.upstream,
        raw=raw,
    )


def _chat(value: dict[str, Any]) -> Delta:
    """A completion is its one chunk, with ``message`` where a chunk has ``delta``."""
    choices = [{**choice, "delta": choice.get("message")} for choice in map(members, items(value.get("choices")))]
    return chunk_delta({**value, "choices": choices})


def _messages(value: dict[str, Any]) -> Delta:
    said, thought, tools = _blocks(items(value.get("content")))
    begun = message_delta({"type": "message_start", "message": value})
    reason = text(value.get("stop_reason")) or None
    return Delta(
        text=said,
        reasoning=thought,
        tools=tools,
        finish_reason=reason,
        usage=begun.usage,
        response_id=begun.response_id,
        model=begun.model,
    )


def _blocks(blocks: list[Any]) -> tuple[str, str, tuple[ToolFragment, ...]]:
    said = thought = ""
    tools: list[ToolFragment] = []
    for place, block in enumerate(map(members, blocks)):
        called = members(block.get("toolUse")) or (block if block.get("type") == "tool_use" else {})
        said += text(block.get("text"))
        reasoning = members(members(block.get("reasoningContent")).get("reasoningText"))
        thought += text(block.get("thinking")) or text(reasoning.get("text"))
        if called:
            call_id = text(called.get("toolUseId")) or text(called.get("id"))
            tools.append(ToolFragment(place, call_id, text(called.get("name")), compact(called.get("input") or {})))
    return said, thought, tuple(tools)


def _converse(value: dict[str, Any]) -> Delta:
    from kmon.dialects.converse import converse_delta

    message = members(members(value.get("output")).get("message"))
    said, thought, tools = _blocks(items(message.get("content")))
    reason = text(value.get("stopReason")) or None
    usage = converse_delta("metadata", value).usage
    return Delta(text=said, reasoning=thought, tools=tools, finish_reason=reason, usage=usage)


def _deepinfra(value: dict[str, Any]) -> Delta:
    first = members(next(iter(items(value.get("results"))), None))
    counted = token_delta({name: value.get(name) for name in ("num_tokens", "num_input_tokens", "request_id")})
    said = text(first.get("generated_text"))
    return Delta(text=said, finish_reason="stop" if said else None, usage=counted.usage)
