"""Anthropic Messages, which Kimi also serves: requests, streams and whole answers.

Every event has its ``type`` in its JSON and as the SSE event name; the JSON is used. The last event is
``message_stop``; there is no ``[DONE]``. Input tokens come first; output tokens come last, as a running total.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kmon.dialects.delta import Delta, StreamError, ToolFragment, Usage, whole_prompt
from kmon.dialects.dialect import SSE_HEADERS, HttpDialect, Route, WireRequest
from kmon.dialects.fault import fault
from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.dialects.json_access import compact, count, items, members, position, text
from kmon.dialects.sse_deltas import JSONEventsDecoder
from kmon.dialects.turns import Turn, system_of, turns_of
from kmon.model import Auth, PromptMessage, Scenario, Target, Tool

VERSION = "2023-06-01"
EVENTS = ("message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop")
_VERSIONED = re.compile(r"/v\d+/?\Z")
_PATH = re.compile(r"(?:/v\d+|\A)/messages\Z")
"""Not every path that ends in ``/messages``: threads of other APIs have such paths."""
COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
"""The members of ``usage``; the first leaves out the next two."""
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
"""HTTP status by error type, as sent when the error comes before the stream."""


class Messages(HttpDialect):
    """The dialect requires the output cap, and its name is always ``max_tokens``."""

    name = "messages"
    framings = (SERVER_SENT_EVENTS,)
    auth: Auth = "x-api-key"

    def route(self, path: str) -> Route | None:
        return Route() if _PATH.search(path) else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return value.get("type") in EVENTS

    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
        body: dict[str, Any] = {
            "model": target.model,
            "max_tokens": scenario.max_tokens,
            "stream": True,
            "messages": [_turn(turn) for turn in turns_of(messages)],
        }
        if system := system_of(messages):
            body["system"] = system
        if scenario.tools:
            body["tools"] = [_tool(tool) for tool in scenario.tools]
            if scenario.tool_choice is not None:
                body["tool_choice"] = _tool_choice(scenario.tool_choice)
            if scenario.parallel_calls is not None:
                single = {"disable_parallel_tool_use": not scenario.parallel_calls}
                body["tool_choice"] = body.get("tool_choice", {"type": "auto"}) | single
        body |= target.body
        headers = SSE_HEADERS | {"anthropic-version": VERSION} | target.headers
        return WireRequest(_path(target.base_url), headers, msgspec.json.encode(body))

    def decoder(self) -> JSONEventsDecoder:
        return MessagesDecoder()

    def whole(self, value: dict[str, Any]) -> Delta:
        begun = message_delta({"type": "message_start", "message": value})
        blocks = [members(block) for block in items(value.get("content"))]
        return Delta(
            text="".join(text(block.get("text")) for block in blocks),
            reasoning="".join(text(block.get("thinking")) for block in blocks),
            tools=tuple(
                ToolFragment(place, text(block.get("id")), text(block.get("name")), compact(block.get("input") or {}))
                for place, block in enumerate(blocks)
                if block.get("type") == "tool_use"
            ),
            finish_reason=text(value.get("stop_reason")) or None,
            usage=begun.usage,
            response_id=begun.response_id,
            model=begun.model,
        )


class MessagesDecoder(JSONEventsDecoder):
    """Bytes of a Messages body to deltas; ``usage`` has the running totals: the latest of each count."""

    def __init__(self) -> None:
        super().__init__(self._interpreted)
        self._counts: dict[str, int] = {}

    def _interpreted(self, event: dict[str, Any], raw: str, name: str) -> Delta:
        delta = message_delta(event if "type" in event else {**event, "type": name})
        if delta.usage is not None:
            counted = members(members(event.get("message")).get("usage") or event.get("usage"))
            self._counts |= {name: number for name in COUNTS if (number := count(counted.get(name))) is not None}
            delta = msgspec.structs.replace(delta, usage=_usage(self._counts))
        error = delta.error and msgspec.structs.replace(delta.error, frame=raw)
        return msgspec.structs.replace(delta, error=error, raw=raw)


def message_delta(event: dict[str, Any]) -> Delta:
    """The meaning of one event, by its ``type``. A ``ping`` is a keep-alive, never progress."""
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
        return Delta(error=_error(event.get("error") or event))
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


def _error(cause: object) -> StreamError:
    error = fault(cause)
    return msgspec.structs.replace(error, status=error.status or STATUS.get(error.code or ""))


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    uncached, written, read, output = (count(value.get(name)) for name in COUNTS)
    prompt = whole_prompt(uncached, read, written)
    return Usage(prompt, output, None, cached_tokens=read, cache_write_tokens=written)


def _path(base_url: str) -> str:
    """The path for a base URL with or without a version: the vendors' own clients differ."""
    return "/messages" if _VERSIONED.search(base_url) else "/v1/messages"


def _turn(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [block for message in turn.messages for block in _blocks(message)]}


def _blocks(message: PromptMessage) -> Iterator[dict[str, Any]]:
    if message.tool_call_id is not None:
        yield {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
        return
    if message.reasoning:
        yield {"type": "thinking", "thinking": message.reasoning, "signature": ""}
    if message.content:  # an empty text block is refused
        yield {"type": "text", "text": message.content}
    for call in message.tool_calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "input_schema": tool.parameters}


def _tool_choice(choice: str) -> dict[str, Any]:
    if choice in ("auto", "none"):
        return {"type": choice}
    return {"type": "any"} if choice in ("required", "any") else {"type": "tool", "name": choice}
