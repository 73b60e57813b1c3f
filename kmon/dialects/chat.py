"""Chat Completions (OpenAI's dialect and the variants of other providers): requests, streams and whole answers.

Rules where the format is ambiguous: text is the ``delta`` of choice 0, never the ``text`` or ``message`` that some
providers put beside it; reasoning is ``reasoning_content``, else ``reasoning``, else the thinking parts of a content
list; usage may be in the chunk, in the choice or under ``x_groq``; an unreadable frame is an error and decoding
continues.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kmon.dialects.delta import Delta, StreamError, ToolFragment, Usage
from kmon.dialects.dialect import SSE_HEADERS, HttpDialect, Route, WireRequest
from kmon.dialects.fault import fault
from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.dialects.json_access import compact, count, items, members, position, text
from kmon.dialects.sse_deltas import JSONEventsDecoder
from kmon.model import DEFAULT_DIALECT, PromptMessage, Scenario, Target, Tool

PARTS_DEPTH = 4
"""How deep content parts are searched for text (a thinking part holds a list of text parts)."""
THINKING_PARTS = ("thinking", "reasoning")
PATH = "/chat/completions"
NAMED_CHOICES = ("auto", "none", "required", "any")


class Chat(HttpDialect):
    """Sends no sampling parameters: Moonshot refuses temperature, and targets would not be comparable."""

    name = DEFAULT_DIALECT
    framings = (SERVER_SENT_EVENTS,)
    final = False  # usage may follow [DONE]
    base_path = "/v1"
    models_path = "/models"

    def route(self, path: str) -> Route | None:
        return Route() if path.endswith(PATH) else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return "choices" in value

    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
        body: dict[str, Any] = {
            "model": target.model,
            "messages": [_message(message) for message in messages],
            "stream": True,
        }
        if scenario.tools:
            body["tools"] = [_tool(tool) for tool in scenario.tools]
            if scenario.tool_choice is not None:
                body["tool_choice"] = _tool_choice(scenario.tool_choice)
            if scenario.parallel_calls is not None:
                body["parallel_tool_calls"] = scenario.parallel_calls
        if target.stream_options:
            body["stream_options"] = {"include_usage": True}
        if target.token_cap is not None:
            body[target.token_cap] = scenario.max_tokens
        body |= target.body
        return WireRequest(PATH, SSE_HEADERS | target.headers, msgspec.json.encode(body))

    def decoder(self) -> JSONEventsDecoder:
        return JSONEventsDecoder(chunk_delta)

    def whole(self, value: dict[str, Any]) -> Delta:
        """A completion is read as one chunk whose ``message`` is the ``delta``."""
        choices = [{**choice, "delta": choice.get("message")} for choice in map(members, items(value.get("choices")))]
        return chunk_delta({**value, "choices": choices})


def chunk_delta(chunk: dict[str, Any], raw: str = "", name: str = "") -> Delta:
    """The meaning of one chunk object. ``name`` is the SSE event name."""
    answer = reasoning = ""
    tools: tuple[ToolFragment, ...] = ()
    finish: str | None = None
    usage: Usage | None = None
    error = _error(chunk, raw, name)
    for place, choice in enumerate(items(chunk.get("choices"))):
        if not isinstance(choice, dict):
            continue
        if usage is None and (counts := choice.get("usage")):
            usage = usage_of(counts)
        index = choice.get("index", place)
        if index != 0 and position(index, place) != 0:
            continue
        delta = choice.get("delta")
        if isinstance(delta, dict):
            content = delta.get("content")
            if isinstance(content, str):
                answer += content
            elif isinstance(content, list):
                answer += _parts(content, thinking=False)
            if "reasoning_content" in delta or "reasoning" in delta or isinstance(content, list):
                reasoning += _reasoning(delta, content)
            if "tool_calls" in delta or "function_call" in delta:
                tools += _fragments(delta)
        elif not text(chunk.get("object")).startswith("chat."):
            answer += text(choice.get("text"))
        if reason := text(choice.get("finish_reason")):
            finish = reason
        if error is None and (cause := choice.get("error")):
            error = fault(cause, frame=raw)
    if counts := chunk.get("usage"):
        usage = usage_of(counts) or usage
    elif usage is None and "x_groq" in chunk:
        usage = usage_of(members(chunk["x_groq"]).get("usage"))
    response_id, model, upstream = chunk.get("id"), chunk.get("model"), chunk.get("provider")
    return Delta(
        text=answer,
        reasoning=reasoning,
        tools=tools,
        finish_reason=finish,
        usage=usage,
        error=error,
        keepalive=name == "ping",
        response_id=response_id if isinstance(response_id, str) and response_id else None,
        model=model if isinstance(model, str) and model else None,
        upstream=upstream if isinstance(upstream, str) and upstream else None,
        raw=raw,
    )


def usage_of(value: object) -> Usage | None:
    """Token counts of a ``usage`` object; None if it holds no count."""
    if not isinstance(value, dict):
        return None
    usage = Usage(
        count(value.get("prompt_tokens")),
        count(value.get("completion_tokens")),
        count(value.get("total_tokens")),
        count(members(value.get("completion_tokens_details")).get("reasoning_tokens")),
        _first(
            count(members(value.get("prompt_tokens_details")).get("cached_tokens")),
            count(value.get("cached_tokens")),
            count(value.get("prompt_cache_hit_tokens")),
        ),
        count(members(value.get("prompt_tokens_details")).get("cache_write_tokens")),
    )
    return None if usage == Usage(None, None, None) else usage


def _first(*counts: int | None) -> int | None:
    return next((number for number in counts if number is not None), None)


def _error(chunk: dict[str, Any], raw: str, name: str) -> StreamError | None:
    if cause := chunk.get("error"):
        return fault(cause, frame=raw)
    if name == "error" or chunk.get("object") == "error":
        return fault(chunk, frame=raw)
    cause = members(chunk.get("x_groq")).get("error")
    return fault(cause, frame=raw) if cause else None


def _reasoning(delta: dict[str, Any], content: object) -> str:
    reasoning = text(delta.get("reasoning_content")) or text(delta.get("reasoning"))
    return reasoning or (_parts(content, thinking=True) if isinstance(content, list) else "")


def _parts(parts: list[Any], *, thinking: bool) -> str:
    """The text of the thinking parts of a content list, or of its other parts."""
    pieces = []
    for part in parts:
        if isinstance(part, str):
            pieces.append("" if thinking else part)
        elif isinstance(part, dict) and (part.get("type") in THINKING_PARTS) == thinking:
            pieces.append(_part_text(part, PARTS_DEPTH))
    return "".join(pieces)


def _part_text(part: object, depth: int) -> str:
    if isinstance(part, str) or depth == 0:
        return text(part)
    if isinstance(part, list):
        return "".join(_part_text(inner, depth - 1) for inner in part)
    found = members(part)
    return next(
        (
            piece
            for key in ("text", "thinking", "reasoning", "summary")
            if (piece := _part_text(found.get(key), depth - 1))
        ),
        "",
    )


def _fragments(delta: dict[str, Any]) -> tuple[ToolFragment, ...]:
    """Fragments of tool calls. Without an ``index`` (Mistral) the position in the list is the index."""
    fragments = []
    for place, call in enumerate(items(delta.get("tool_calls"))):
        if isinstance(call, dict):
            called = members(call.get("function"))
            index = position(call.get("index"), place)
            fragments.append(ToolFragment(index, _id(call.get("id")), text(called.get("name")), _arguments(called)))
    legacy = delta.get("function_call")
    if isinstance(legacy, dict):
        fragments.append(ToolFragment(0, "", text(legacy.get("name")), _arguments(legacy)))
    return tuple(fragments)


def _id(value: object) -> str:
    return str(value) if isinstance(value, int) and count(value) is not None else text(value)


def _arguments(called: dict[str, Any]) -> str:
    arguments = called.get("arguments")
    return compact(arguments) if isinstance(arguments, dict | list) else text(arguments)


def _message(message: PromptMessage) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        wire["reasoning_content"] = message.reasoning
    if message.tool_calls:
        wire["content"] = message.content or None  # Kimi's coding gateway refuses empty text beside a tool call
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _tool_choice(choice: str) -> str | dict[str, Any]:
    return choice if choice in NAMED_CHOICES else {"type": "function", "function": {"name": choice}}
