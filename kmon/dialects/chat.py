"""Chat Completions (OpenAI's dialect and the variants of other providers): requests, streams and whole answers.

Rules where the format is ambiguous: text is the ``delta`` of choice 0, never the ``text`` or ``message`` that some
providers put beside it, unless nothing else ever comes; reasoning has many names (``chat_words.py``); usage may be in
the chunk, in the choice or under ``x_groq``; an unreadable frame is an error and decoding continues.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kmon.dialects.chat_calls import ChatCalls
from kmon.dialects.chat_words import ChatWords, media
from kmon.dialects.delta import Delta, StreamError, ToolFragment, Usage
from kmon.dialects.dialect import SSE_HEADERS, HttpDialect, Route, WireRequest
from kmon.dialects.error_words import reported
from kmon.dialects.fault import fault
from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.dialects.json_access import count, items, members, position, text
from kmon.dialects.sse_deltas import JSONEventsDecoder
from kmon.model import DEFAULT_DIALECT, PromptMessage, Scenario, Target, Tool

UNSEEN_TOKENS = ("audio_tokens", "image_tokens", "video_tokens", "rejected_prediction_tokens")
"""Names of the output tokens that are neither text nor reasoning."""
NO_REASON = frozenset({"", "null", "none", "finish_reason_unspecified"})
"""Finish reasons that are none: some servers write the word for it (DashScope)."""
PATH = "/chat/completions"
READ_PATHS = "/completions"
"""The end of the paths that are read: also of the older completions, whose choices have ``text``."""
COMPARED_CHARS = 100_000
"""How much of a text under ``message`` is kept to find out whether the next one repeats it."""
NAMED_CHOICES = ("auto", "none", "required", "any")


class Chat(HttpDialect):
    """Sends no sampling parameters: Moonshot refuses temperature, and targets would not be comparable."""

    name = DEFAULT_DIALECT
    framings = (SERVER_SENT_EVENTS,)
    parallel_calls = True
    final = False  # usage or an error may follow [DONE]
    base_path = "/v1"
    models_path = "/models"

    def route(self, path: str) -> Route | None:
        return Route() if path.endswith(READ_PATHS) else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return isinstance(value.get("choices"), list)

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

    def decoder(self) -> ChatDecoder:
        return ChatDecoder()

    def whole(self, value: dict[str, Any]) -> Delta:
        """A completion is read as one chunk whose ``message`` is the ``delta``."""
        return chunk_delta(_as_chunk(value))


class ChatDecoder(JSONEventsDecoder):
    """Bytes of a Chat Completions stream to deltas."""

    def __init__(self) -> None:
        super().__init__(self._interpreted)
        self._calls, self._spoken = ChatCalls(), ChatWords()
        self._streamed = False
        """Whether some of the answer came in a delta."""
        self._said = ""
        """The text that came under ``message`` instead."""

    def _interpreted(self, chunk: dict[str, Any], raw: str, name: str) -> Delta:
        delta = chunk_delta(chunk, raw, name, self._calls, self._spoken)
        if not self._streamed:
            if delta.progress:
                self._streamed = True
            elif _is_whole(chunk):
                return self._whole(chunk_delta(_as_chunk(chunk), raw, name, self._calls, self._spoken))
        return delta

    def _whole(self, delta: Delta) -> Delta:
        """The delta of a message: the whole answer, a piece of it, or all so far."""
        said = delta.text
        if self._said and said.startswith(self._said):
            delta = msgspec.structs.replace(delta, text=said.removeprefix(self._said))
        self._said = (self._said + delta.text)[:COMPARED_CHARS]
        return msgspec.structs.replace(delta, unstreamed=delta.progress)


def _is_whole(chunk: dict[str, Any]) -> bool:
    """Whether a choice has a message and no delta. Beside a delta it repeats what came before."""
    return any("message" in choice and not choice.get("delta") for choice in map(members, items(chunk.get("choices"))))


def _as_chunk(value: dict[str, Any]) -> dict[str, Any]:
    choices = [{**choice, "delta": choice.get("message")} for choice in map(members, items(value.get("choices")))]
    return {**value, "choices": choices}


def chunk_delta(
    chunk: dict[str, Any],
    raw: str = "",
    name: str = "",
    calls: ChatCalls | None = None,
    words: ChatWords | None = None,
) -> Delta:
    """The meaning of one chunk object. ``name`` is the SSE event name; ``calls`` and ``words`` are those so far."""
    words = words or ChatWords()
    answer = reasoning = refusal = ""
    shown: tuple[str, ...] = ()
    tools: tuple[ToolFragment, ...] = ()
    finish: str | None = None
    usage: Usage | None = None
    error = _error(chunk, raw, name)
    other_choices = False
    for place, choice in enumerate(items(chunk.get("choices"))):
        if not isinstance(choice, dict):
            continue
        if usage is None and (counts := choice.get("usage")):
            usage = usage_of(counts)
        index = choice.get("index", place)
        if index != 0 and position(index, place) != 0:
            other_choices = True
            continue
        delta = choice.get("delta")
        if isinstance(delta, dict):
            said, thought = words.of(delta)
            answer += said
            reasoning += thought
            if "refusal" in delta:
                refusal += text(delta["refusal"])
            if "audio" in delta or "images" in delta:
                shown += media(delta)
            if "tool_calls" in delta or "function_call" in delta:
                tools += (calls or ChatCalls()).fragments(delta)
        elif not text(chunk.get("object")).startswith("chat."):
            answer += text(choice.get("text"))
        if (reason := text(choice.get("finish_reason"))) and reason.lower() not in NO_REASON:
            finish = reason
        if error is None and (cause := choice.get("error") or members(delta).get("error")):
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
        media=shown,
        refusal=refusal,
        finish_reason=finish,
        usage=usage,
        error=error,
        keepalive=name == "ping",
        other_choices=other_choices,
        response_id=response_id if isinstance(response_id, str) and response_id else None,
        model=model if isinstance(model, str) and model else None,
        upstream=upstream if isinstance(upstream, str) and upstream else None,
        raw=raw,
    )


def usage_of(value: object) -> Usage | None:
    """Token counts of a ``usage`` object, under any of the names in use; None if it holds no count."""
    if not isinstance(value, dict):
        return None
    prompt = members(value.get("prompt_tokens_details") or value.get("input_tokens_details"))
    completion = members(value.get("completion_tokens_details") or value.get("output_tokens_details"))
    usage = Usage(
        _first(value, "prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "prompt_eval_count"),
        _first(value, "completion_tokens", "output_tokens", "completionTokens", "outputTokens", "eval_count"),
        _first(value, "total_tokens", "totalTokens"),
        _either(_first(completion, "reasoning_tokens"), _first(value, "reasoning_tokens")),
        _either(
            _first(prompt, "cached_tokens"),
            _first(value, "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens"),
        ),
        _either(
            _first(prompt, "cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"),
            _first(value, "cache_creation_input_tokens"),
        ),
        sum(count(completion.get(name)) or 0 for name in UNSEEN_TOKENS) or None,
    )
    return None if usage == Usage(None, None, None) else usage


def _first(value: dict[str, Any], *names: str) -> int | None:
    return next((number for name in names if (number := count(value.get(name))) is not None), None)


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first


def _error(chunk: dict[str, Any], raw: str, name: str) -> StreamError | None:
    """The error beside choices. What a chunk without any reports is read for all dialects (``sse_deltas.py``)."""
    if name == "error" or chunk.get("object") == "error":
        cause = reported(chunk)
        return fault(chunk if cause is None else cause, frame=raw)
    if "error" in chunk or "base_resp" in chunk:
        cause = reported(chunk)
    elif "x_groq" in chunk:
        cause = members(chunk["x_groq"]).get("error")
    else:
        return None
    return fault(cause, frame=raw) if cause else None


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
