"""Chat Completions (OpenAI's dialect and the variants of other providers): requests, streams and whole answers.

Rules where the format is ambiguous: text is the ``delta`` of choice 0, never the ``text`` or ``message`` that some
providers put beside it, unless nothing else ever comes; reasoning is the first of :data:`REASONING_KEYS`, else of
``reasoning_details`` or the thinking parts of a content list, which repeat it; usage may be in the chunk, in the choice
or under ``x_groq``; an unreadable frame is an error and decoding continues.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kmon.dialects.chat_calls import ChatCalls
from kmon.dialects.delta import Delta, StreamError, ToolFragment, Usage
from kmon.dialects.dialect import SSE_HEADERS, HttpDialect, Route, WireRequest
from kmon.dialects.error_words import reported
from kmon.dialects.fault import fault
from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.dialects.json_access import count, items, members, position, text
from kmon.dialects.sse_deltas import JSONEventsDecoder
from kmon.model import DEFAULT_DIALECT, PromptMessage, Scenario, Target, Tool

PARTS_DEPTH = 4
"""How deep content parts are searched for text (a thinking part holds a list of text parts)."""
THINKING_PARTS = ("thinking", "reasoning")
REASONING_KEYS = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "thinking",
    "reasoning_summary",
    "thinking_content",
)
"""Names of the thinking in a delta: DeepSeek's, OpenRouter's, GitHub Copilot's, and others in use."""
REASONING = frozenset({*REASONING_KEYS, "reasoning_details"})
UNSEEN_TOKENS = ("audio_tokens", "image_tokens", "video_tokens", "rejected_prediction_tokens")
"""Names of the output tokens that are neither text nor reasoning."""
NO_REASON = frozenset({"", "null", "none"})
"""Finish reasons that are none: some servers write the word for it (DashScope)."""
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

    def decoder(self) -> ChatDecoder:
        return ChatDecoder()

    def whole(self, value: dict[str, Any]) -> Delta:
        """A completion is read as one chunk whose ``message`` is the ``delta``."""
        return chunk_delta(_as_chunk(value))


class ChatDecoder(JSONEventsDecoder):
    """Bytes of a Chat Completions stream to deltas."""

    def __init__(self) -> None:
        super().__init__(self._interpreted)
        self._calls = ChatCalls()
        self._silent = True
        """Whether nothing of the answer has come."""

    def _interpreted(self, chunk: dict[str, Any], raw: str, name: str) -> Delta:
        delta = chunk_delta(chunk, raw, name, self._calls)
        if self._silent:
            if delta.progress:
                self._silent = False
            elif _is_whole(chunk):
                self._silent = False
                delta = chunk_delta(_as_chunk(chunk), raw, name, self._calls)
                return msgspec.structs.replace(delta, unstreamed=delta.progress)
        return delta


def _is_whole(chunk: dict[str, Any]) -> bool:
    """Whether a choice has a message and no delta. Beside a delta it repeats what came before."""
    return any("message" in choice and not choice.get("delta") for choice in map(members, items(chunk.get("choices"))))


def _as_chunk(value: dict[str, Any]) -> dict[str, Any]:
    choices = [{**choice, "delta": choice.get("message")} for choice in map(members, items(value.get("choices")))]
    return {**value, "choices": choices}


def chunk_delta(chunk: dict[str, Any], raw: str = "", name: str = "", calls: ChatCalls | None = None) -> Delta:
    """The meaning of one chunk object. ``name`` is the SSE event name, ``calls`` the tool calls so far."""
    answer = reasoning = refusal = ""
    media: tuple[str, ...] = ()
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
            content = delta.get("content")
            if isinstance(content, str):
                answer += content
            elif isinstance(content, list):
                answer += _parts(content, thinking=False)
            if not REASONING.isdisjoint(delta) or isinstance(content, list):
                reasoning += _reasoning(delta, content)
            if "refusal" in delta:
                refusal += text(delta["refusal"])
            if "audio" in delta or "images" in delta:
                media += _media(delta)
            if "tool_calls" in delta or "function_call" in delta:
                tools += (calls or ChatCalls()).fragments(delta)
        elif not text(chunk.get("object")).startswith("chat."):
            answer += text(choice.get("text"))
        if (reason := text(choice.get("finish_reason"))) and reason.lower() not in NO_REASON:
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
        media=media,
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
        _first(value, "prompt_tokens", "input_tokens"),
        _first(value, "completion_tokens", "output_tokens"),
        _first(value, "total_tokens"),
        _either(_first(completion, "reasoning_tokens"), _first(value, "reasoning_tokens")),
        _either(
            _first(prompt, "cached_tokens"),
            _first(value, "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens"),
        ),
        _either(
            _first(prompt, "cache_write_tokens", "cache_creation_tokens"), _first(value, "cache_creation_input_tokens")
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


def _reasoning(delta: dict[str, Any], content: object) -> str:
    for key in REASONING_KEYS:
        if (value := delta.get(key)) and (found := _part_text(value, PARTS_DEPTH)):
            return found
    listed = content if isinstance(content, list) else []
    return _details(items(delta.get("reasoning_details"))) or _parts(listed, thinking=True)


def _details(details: list[Any]) -> str:
    """The readable details: texts and summaries. Encrypted ones, and signatures, say nothing."""
    found = (members(detail) for detail in details)
    return "".join(text(detail.get("text")) or text(detail.get("summary")) for detail in found)


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


def _media(delta: dict[str, Any]) -> tuple[str, ...]:
    """A MIME type for each piece of audio or picture, "" where the chunk does not say it (OpenAI, OpenRouter)."""
    audio = members(delta.get("audio"))
    urls = (text(members(members(image).get("image_url")).get("url")) for image in items(delta.get("images")))
    pictures = tuple(url[5:].partition(";")[0] if url.startswith("data:") else "" for url in urls)
    return ("",) * bool(audio.get("data") or audio.get("transcript")) + pictures


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
