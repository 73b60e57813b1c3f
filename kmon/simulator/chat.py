"""The Chat Completions dialect as a server speaks it: the request it reads and the bytes it answers with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from kmon.simulator.http import Headers

CREATED = 1_763_690_000
"""A constant, so that the same seed gives the same bytes on any day."""

SSE_HEADERS: Headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
JSON_HEADERS: Headers = (("content-type", "application/json"),)


class FunctionCall(Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class CalledTool(Struct, frozen=True):
    id: str = ""
    function: FunctionCall = FunctionCall()


class ChatMessage(Struct, frozen=True):
    """One message of the request; ``content`` may be text or a list of parts."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, parts joined."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content if isinstance(part, dict))
        return self.content or ""

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two messages the same message, however they were written."""
        calls = [f"{call.id} {call.function.name} {call.function.arguments}" for call in self.tool_calls or ()]
        return (self.role, self.text.strip(), self.tool_call_id or "", *calls)


class OfferedFunction(Struct, frozen=True):
    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


class OfferedTool(Struct, frozen=True):
    function: OfferedFunction
    type: str = "function"


class StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


class ChatRequest(Struct, frozen=True):
    """The members of a request that change what is answered; all others are accepted and ignored."""

    model: str
    messages: list[ChatMessage]
    stream: bool | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream_options: StreamOptions | None = None

    @property
    def conversation(self) -> tuple[tuple[str, ...], ...]:
        """The messages as comparable values."""
        return tuple(message.identity for message in self.messages)

    @property
    def token_limit(self) -> int | None:
        limit = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return None if limit is None else max(1, limit)

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def tool_result(self) -> bool:
        """Whether the last message is the result of a tool."""
        return self.messages[-1].role == "tool"


class Usage(Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0

    @property
    def members(self) -> dict[str, Any]:
        members: dict[str, Any] = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }
        if self.reasoning_tokens:
            members["completion_tokens_details"] = {"reasoning_tokens": self.reasoning_tokens}
        return members


_DECODER = msgspec.json.Decoder(ChatRequest)


def read_request(body: bytes) -> ChatRequest:
    """The request in ``body``. Raises ValueError with a sentence for the client when it is none."""
    try:
        request = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the request body is not a chat completion request: {error}") from None
    if not request.messages:
        raise ValueError("messages: must not be empty")
    return request


class ChatWire(Struct, frozen=True):
    """Encodes one answer. Every method returns one complete SSE event unless it says otherwise."""

    response_id: str
    model: str

    def _event(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        return event(
            {
                "id": self.response_id,
                "object": "chat.completion.chunk",
                "created": CREATED,
                "model": self.model,
                "choices": choices,
                **more,
            }
        )

    def delta(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        return self._event([{"index": 0, "delta": dict(delta), "finish_reason": finish_reason}])

    def role(self) -> bytes:
        return self.delta({"role": "assistant", "content": ""})

    def text(self, text: str) -> bytes:
        return self.delta({"content": text})

    def reasoning(self, text: str) -> bytes:
        return self.delta({"reasoning_content": text})

    def tool_start(self, call_id: str, name: str) -> bytes:
        function = {"name": name, "arguments": ""}
        return self.delta({"tool_calls": [{"index": 0, "id": call_id, "type": "function", "function": function}]})

    def tool_arguments(self, text: str) -> bytes:
        return self.delta({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})

    def finish(self, reason: str) -> bytes:
        return self.delta({}, reason)

    def usage(self, usage: Usage) -> bytes:
        return self._event([], usage=usage.members)

    def done(self) -> bytes:
        return b"data: [DONE]\n\n"

    def keepalive(self) -> bytes:
        return b": OPENROUTER PROCESSING\n\n"

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        """An error object inside the stream; ``named`` adds ``event: error``, as Groq does."""
        members = {"message": message, "type": kind, "code": code, "status_code": code}
        return (b"event: error\n" if named else b"") + event({"error": members})

    def http_error(self, message: str, kind: str, code: str | int | None = None) -> bytes:
        """The JSON body of an HTTP error; no event."""
        return error_body(message, kind, code)

    def completion(self, message: Mapping[str, Any], finish_reason: str, usage: Usage) -> bytes:
        """The whole answer as one JSON document, as a request without ``stream`` gets it."""
        return _json(
            {
                "id": self.response_id,
                "object": "chat.completion",
                "created": CREATED,
                "model": self.model,
                "choices": [{"index": 0, "message": dict(message), "finish_reason": finish_reason}],
                "usage": usage.members,
            }
        )


def event(members: Mapping[str, Any]) -> bytes:
    return b"data: " + _json(members) + b"\n\n"


def error_body(message: str, kind: str, code: str | int | None = None) -> bytes:
    """The JSON body of an HTTP error."""
    return _json({"error": {"message": message, "type": kind, "param": None, "code": code}})


def models_body(models: tuple[str, ...], owner: str) -> bytes:
    """The answer to ``GET /models``."""
    cards = [{"id": model, "object": "model", "created": CREATED, "owned_by": owner} for model in models]
    return _json({"object": "list", "data": cards})


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
