"""Anthropic Messages, at Anthropic, Google Vertex, Moonshot and others: requests, streams and whole answers.

Every event has its ``type`` in its JSON and as the SSE event name; the JSON is used, and ``messages_events.py`` says
what it means. The last event is ``message_stop``; there is no ``[DONE]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from kmon.dialects.delta import Delta
from kmon.dialects.dialect import SSE_HEADERS, FinishWords, HttpDialect, Route, WireRequest
from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.dialects.messages_events import EVENTS, WITHOUT_OUTPUT, MessagesEvents, whole_message
from kmon.dialects.sse_deltas import JSONEventsDecoder
from kmon.dialects.turns import Turn, system_of, turns_of
from kmon.model import Auth, PromptMessage, Scenario, Target, Tool

VERSION = "2023-06-01"
_VERSIONED = re.compile(r"/v\d+/?\Z")
_PATH = re.compile(r"(?:/v\d+|\A)/messages\Z")
"""Not every path that ends in ``/messages``: threads of other APIs have such paths."""
VERTEX_VERSION = "vertex-2023-10-16"
_VERTEX = "/publishers/anthropic/models"
"""The end of a base URL at Google Vertex, where the path names the model and the operation."""
_VERTEX_PATH = re.compile(rf"{_VERTEX}/([^/:]+):(streamRawPredict|rawPredict)\Z")


class Messages(HttpDialect):
    """The dialect requires the output cap, and its name is always ``max_tokens``."""

    name = "messages"
    framings = (SERVER_SENT_EVENTS,)
    parallel_calls = True
    auth: Auth = "x-api-key"
    finish_words = FinishWords(
        length=frozenset({"max_tokens", "model_context_window_exceeded"}),
        without_output=WITHOUT_OUTPUT,
    )

    def route(self, path: str) -> Route | None:
        if (found := _VERTEX_PATH.search(path)) is not None:
            return Route(unquote(found[1]), found[2] == "streamRawPredict")
        return Route() if _PATH.search(path) else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return value.get("type", event) in EVENTS

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
        if target.base_url.endswith(_VERTEX):
            del body["model"]
            body |= {"anthropic_version": VERTEX_VERSION} | target.body
            path = f"/{quote(target.model, safe='@')}:streamRawPredict"
            return WireRequest(path, SSE_HEADERS | target.headers, msgspec.json.encode(body))
        body |= target.body
        headers = SSE_HEADERS | {"anthropic-version": VERSION} | target.headers
        return WireRequest(_path(target.base_url), headers, msgspec.json.encode(body))

    def unstreamed(self, request: WireRequest) -> WireRequest:
        return super().unstreamed(
            msgspec.structs.replace(request, path=request.path.replace(":streamRawPredict", ":rawPredict"))
        )

    def decoder(self) -> JSONEventsDecoder:
        return MessagesDecoder()

    def whole(self, value: dict[str, Any]) -> Delta:
        return whole_message(value)


class MessagesDecoder(JSONEventsDecoder):
    """Bytes of a Messages body to deltas."""

    def __init__(self) -> None:
        super().__init__(self._interpreted)
        self._events = MessagesEvents()

    def _interpreted(self, event: dict[str, Any], raw: str, name: str) -> Delta:
        delta = self._events.delta(event if "type" in event else {**event, "type": name})
        error = delta.error and msgspec.structs.replace(delta.error, frame=raw)
        return msgspec.structs.replace(delta, error=error, raw=raw)


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
