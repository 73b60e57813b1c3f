"""The Chat Completions dialect as a server speaks it: requests read, answers written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.interaction import Request as RecordedRequest
from kmon.simulator.answers import ModelAnswer
from kmon.simulator.http import Headers, ServerRequest
from kmon.simulator.request import (
    CalledTool,
    ChatMessage,
    ChatRequest,
    FunctionCall,
    OfferedFunction,
    OfferedTool,
    TokenUsage,
)
from kmon.simulator.script import Script, SendChunk, Whole
from kmon.simulator.sse import JSON_HEADERS, SSE_HEADERS, event, to_json
from kmon.simulator.wire import DEFAULT_PROVIDER, SSE_TRAITS, ServerDialect, ServerRoute, Trait, provider_in

PATH = "/chat/completions"
CREATED = 1_763_690_000
"""A constant, so that the same seed gives the same bytes on any day."""


class ChatWire(Struct, frozen=True):
    """Encodes one answer; implements :class:`kmon.simulator.wire.Wire`."""

    response_id: str
    model: str
    with_usage: bool

    @property
    def head(self) -> Headers:
        return (*SSE_HEADERS, self._request_id)

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        yield SendChunk(self._delta({"role": "assistant", "content": ""}), "role")
        call = -1
        for piece in answer.pieces:
            match piece.kind:
                case "reasoning":
                    yield SendChunk(self._delta({"reasoning_content": piece.text}), "reasoning")
                case "text":
                    yield SendChunk(self._delta({"content": piece.text}), "text", text=piece.text)
                case "tool-start":
                    call += 1
                    yield SendChunk(self._tool({"index": call, **self._call(answer, call, piece.text, "")}), "tool")
                case "tool":
                    yield SendChunk(self._tool({"index": call, "function": {"arguments": piece.text}}), "tool")
        yield SendChunk(self._delta({}, answer.finish), "finish")
        if self.with_usage:
            yield SendChunk(self._chunk([], usage=_members(usage)), "usage")
        yield SendChunk(b"data: [DONE]\n\n", "done")

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        message: dict[str, Any] = {"role": "assistant", "content": answer.joined("text")}
        if thought := answer.joined("reasoning"):
            message["reasoning_content"] = thought
        if answer.calls:
            message["tool_calls"] = [self._call(answer, i, *call) for i, call in enumerate(answer.calls)]
        choice = {"index": 0, "message": message, "finish_reason": answer.finish}
        body = self._members("chat.completion", [choice], usage=_members(usage))
        return Whole(200, (*JSON_HEADERS, self._request_id), to_json(body))

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        return script

    def keepalive(self) -> bytes:
        return b": OPENROUTER PROCESSING\n\n"

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        """An error object inside the stream; ``named`` adds ``event: error``, as Groq does."""
        members = {"message": message, "type": kind, "code": code, "status_code": code}
        return event({"error": members}, "error" if named else "")

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        return CHAT.refusal(status, message, kind, code)

    @property
    def _request_id(self) -> tuple[str, str]:
        return ("x-request-id", f"req_{self.response_id[-12:]}")

    def _delta(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": finish_reason}])

    def _tool(self, call: Mapping[str, Any]) -> bytes:
        return self._delta({"tool_calls": [call]})

    def _call(self, answer: ModelAnswer, position: int, name: str, arguments: str) -> dict[str, Any]:
        # Kimi numbers its calls through the whole conversation
        number = answer.calls_before + position
        call_id = f"functions.{name}:{number}" if "kimi" in self.model.lower() else self._plain_id(position)
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _plain_id(self, position: int) -> str:
        return f"call_{self.response_id[-12:]}{position or ''}"

    def _chunk(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        return event(self._members("chat.completion.chunk", choices, **more))

    def _members(self, kind: str, choices: list[dict[str, Any]], **more: object) -> dict[str, Any]:
        members = {"id": self.response_id, "object": kind, "created": CREATED, "model": self.model}
        return {**members, "choices": choices, **more}


_DECODER = msgspec.json.Decoder(ChatRequest)


class ChatServer(ServerDialect):
    """The request names model and streaming in its body."""

    name = "chat"
    traits: frozenset[Trait] = SSE_TRAITS | {
        "stream-in-body",
        "tools",
        "tool-pieces",
        "tool-text",
        "tool-finish",
        "terminal-event",
        "chat-chunks",
    }

    def route(self, path: str) -> ServerRoute | None:
        if not path.endswith(PATH):
            return None
        return ServerRoute(self, provider_in(path.removesuffix(PATH), DEFAULT_PROVIDER))

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        return read_request(request.body)

    def read_recorded(self, request: RecordedRequest) -> ChatRequest:
        """Read leniently, because recordings come from many hosts that deviate from the format."""
        body = request.members
        cap = count(body.get("max_completion_tokens")) or count(body.get("max_tokens"))
        return ChatRequest(
            request.model,
            [_recorded(members(message)) for message in items(body.get("messages"))],
            tools=[OfferedTool(_offered(members(members(tool).get("function")))) for tool in items(body.get("tools"))],
            max_tokens=cap,
        )

    def wire(self, request: ChatRequest, rng: Random) -> ChatWire:
        return ChatWire(f"chatcmpl-{rng.getrandbits(96):024x}", request.model, request.wants_usage)

    def refusal(self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> Whole:
        return Whole(status, JSON_HEADERS, error_body(message, kind, code))

    def models(self, path: str, models: tuple[str, ...], owner: str) -> bytes | None:
        if not path.endswith("/models"):
            return None
        cards = [{"id": model, "object": "model", "created": CREATED, "owned_by": owner} for model in models]
        return to_json({"object": "list", "data": cards})


CHAT = ChatServer()


def read_request(body: bytes) -> ChatRequest:
    """The request in ``body``. Raises ValueError with a sentence for the client when it is none."""
    try:
        request = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the request body is not a chat completion request: {error}") from None
    if not request.messages:
        raise ValueError("messages: must not be empty")
    return request


def error_body(message: str, kind: str, code: str | None = None) -> bytes:
    """The JSON body of an HTTP error."""
    return to_json({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _recorded(message: dict[str, Any]) -> ChatMessage:
    content = message.get("content")
    return ChatMessage(
        text(message.get("role")),
        content if isinstance(content, str) else list(map(members, items(content))),
        [_called(members(call)) for call in items(message.get("tool_calls"))],
        text(message.get("tool_call_id")) or None,
        message.get("reasoning_content"),
    )


def _called(call: dict[str, Any]) -> CalledTool:
    function = members(call.get("function"))
    return CalledTool(text(call.get("id")), FunctionCall(text(function.get("name")), text(function.get("arguments"))))


def _offered(function: dict[str, Any]) -> OfferedFunction:
    return OfferedFunction(
        text(function.get("name")), text(function.get("description")), members(function.get("parameters"))
    )


def _members(usage: TokenUsage) -> dict[str, Any]:
    members: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if usage.reasoning_tokens:
        members["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return members
