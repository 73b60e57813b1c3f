"""Ollama's native API (``/api/chat``, ``/api/generate``): requests, streams of JSON lines and whole answers.

A line with ``done: true`` ends the stream and has the reason, the token counts and the server's own times. Tool calls
are whole, one or several per line; their arguments are an object. An error after the stream has begun is a line
``{"error": "..."}``. Source: https://github.com/ollama/ollama/blob/main/docs/api.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kmon.dialects.delta import Delta, ToolFragment, Usage
from kmon.dialects.dialect import SSE_HEADERS, FinishWords, HttpDialect, Route, WireRequest, cannot_carry
from kmon.dialects.fault import fault
from kmon.dialects.framing import JSON_LINES
from kmon.dialects.json_access import compact, count, items, members, text
from kmon.dialects.json_pieces import JSONPiecesDecoder, LinesDecoder
from kmon.errors import UsageError
from kmon.model import PromptMessage, Scenario, Target, Tool

ROOT = "/api"
CHAT, GENERATE, TAGS = f"{ROOT}/chat", f"{ROOT}/generate", f"{ROOT}/tags"
HEADERS = SSE_HEADERS | {"Accept": JSON_LINES.media_types[0]}
UNFORCED = (None, "auto", "none")
"""The tool choices that can be carried: there is no member for it, but the tools can be left out."""
NS_PER_MS = 1e6


class Ollama(HttpDialect):
    """Sends chats only; both APIs are read. The base URL is the server's, with ``/api`` or without."""

    name = "ollama"
    framings = (JSON_LINES,)
    finish_words = FinishWords(required=False, without_output=frozenset({"load", "unload"}))
    models_path = TAGS

    def models_url(self, base_url: str) -> str:
        return base_url + _below(base_url, TAGS)

    def models_in(self, value: object) -> list[str] | None:
        rows = members(value).get("models")
        if not isinstance(rows, list):
            return None
        return [name for row in rows if (name := text(members(row).get("name")) or text(members(row).get("model")))]

    def route(self, path: str) -> Route | None:
        return Route() if path.endswith((CHAT, GENERATE)) else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        said = isinstance(value.get("message"), dict) or isinstance(value.get("response"), str)
        return said and isinstance(value.get("done"), bool)

    def streamed(self, value: Mapping[str, Any]) -> bool:
        return value.get("stream") is not False

    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
        if problem := self.unsupported(target, scenario):
            raise UsageError(problem)
        body: dict[str, Any] = {"model": target.model, "messages": list(_messages(messages)), "stream": True}
        if scenario.tools and scenario.tool_choice != "none":
            body["tools"] = [_tool(tool) for tool in scenario.tools]
        options = {"num_predict": scenario.max_tokens} | members(target.body.get("options"))
        body |= target.body | {"options": options}
        return WireRequest(_below(target.base_url, CHAT), HEADERS | target.headers, msgspec.json.encode(body))

    def decoder(self) -> OllamaDecoder:
        return OllamaDecoder()

    def whole(self, value: dict[str, Any]) -> Delta:
        return line_delta(value)

    def unsupported(self, target: Target, scenario: Scenario) -> str | None:
        if not scenario.tools or scenario.tool_choice in UNFORCED:
            return None
        return (
            f"{cannot_carry(target, scenario)} (Ollama cannot be made to call a tool); set tool_choice to auto in the "
            f"scenario, or leave {target.name} out"
        )


class OllamaDecoder(JSONPiecesDecoder):
    """Bytes of a stream to deltas. Calls are numbered in the order of arrival, since not every server does so."""

    def __init__(self) -> None:
        super().__init__(LinesDecoder(), self._interpreted)
        self._calls = 0

    def _interpreted(self, line: dict[str, Any], raw: str) -> Delta:
        delta = line_delta(line, raw, first_call=self._calls)
        self._calls += len(delta.tools)
        return delta


def line_delta(line: dict[str, Any], raw: str = "", *, first_call: int = 0) -> Delta:
    """The meaning of one line of either API; the index of its first tool call is ``first_call``."""
    message = members(line.get("message"))
    done = line.get("done") is True
    error = line.get("error")
    return Delta(
        text=text(message.get("content")) + text(line.get("response")),
        reasoning=text(message.get("thinking")) + text(line.get("thinking")),
        tools=tuple(
            _called(members(call), index)
            for index, call in enumerate(items(message.get("tool_calls")) or items(line.get("tool_calls")), first_call)
        ),
        finish_reason=text(line.get("done_reason")) or None,
        usage=_usage(line) if done else None,
        error=fault(error, frame=raw or None) if error else None,
        done=done,
        model=text(line.get("model")) or None,
        server_ms=_ms(line, "total_duration"),
        server_load_ms=_ms(line, "load_duration"),
        server_prompt_ms=_ms(line, "prompt_eval_duration"),
        raw=raw,
    )


def _called(call: dict[str, Any], index: int) -> ToolFragment:
    function = members(call.get("function"))
    given = function.get("arguments")
    arguments = given if isinstance(given, str) else compact(given or {})
    return ToolFragment(index, text(call.get("id")), text(function.get("name")), arguments)


def _usage(line: dict[str, Any]) -> Usage | None:
    """The counts of the last line. That of the prompt is left out by servers that had it in a cache."""
    prompt, completion = count(line.get("prompt_eval_count")), count(line.get("eval_count"))
    return None if prompt is None and completion is None else Usage(prompt, completion, None)


def _ms(line: dict[str, Any], name: str) -> float | None:
    """A duration in nanoseconds as ms."""
    duration_ns = count(line.get(name))
    return None if duration_ns is None else duration_ns / NS_PER_MS


def _below(base_url: str, path: str) -> str:
    """The path for a base URL with or without ``/api``: the documentation and the clients differ."""
    return path.removeprefix(ROOT) if base_url.endswith(ROOT) else path


def _messages(messages: Sequence[PromptMessage]) -> Iterator[dict[str, Any]]:
    """The conversation. A tool result names its tool, because older servers know no ids."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    for message in messages:
        written: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.reasoning:
            written["thinking"] = message.reasoning
        if message.tool_calls:
            written["tool_calls"] = [
                {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            written |= {"tool_name": names.get(message.tool_call_id, ""), "tool_call_id": message.tool_call_id}
        yield written


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.parameters}}
