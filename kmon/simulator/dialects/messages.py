"""The Anthropic Messages dialect as a server speaks it: named events, content blocks, pings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kmon.recording.interaction import Request as RecordedRequest
from kmon.simulator.answers import ModelAnswer, Piece
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
from kmon.simulator.sse import JSON_HEADERS, SSE_HEADERS, arguments_of, event, to_json
from kmon.simulator.wire import DEFAULT_PROVIDER, SSE_TRAITS, ServerDialect, ServerRoute, Trait, provider_in

PATH = "/messages"
VERSION_HEADER = "anthropic-version"
VERTEX = re.compile(
    r"/v1/projects/.*/publishers/anthropic/models/(?P<model>[^/:]+):(?P<verb>streamRawPredict|rawPredict)\Z"
)

Content = str | list[dict[str, Any]]


class AnthropicMessage(Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: Content


class AnthropicTool(Struct, frozen=True):
    name: str
    description: str = ""
    input_schema: dict[str, Any] = {}


class MessagesRequest(Struct, frozen=True):
    """The members that change what is answered."""

    max_tokens: int
    messages: list[AnthropicMessage]
    model: str = ""
    anthropic_version: str = ""
    system: Content = ""
    stream: bool = False
    tools: list[AnthropicTool] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None


STOP_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "overloaded_error",
    529: "overloaded_error",
}
BEGUN: Mapping[str, dict[str, Any]] = {
    "reasoning": {"type": "thinking", "thinking": "", "signature": ""},
    "text": {"type": "text", "text": ""},
}


class MessagesWire(Struct, frozen=True):
    """Encodes one answer; implements :class:`kmon.simulator.wire.Wire`."""

    response_id: str
    model: str

    @property
    def head(self) -> Headers:
        return (*SSE_HEADERS, self._id_header)

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        begun = self._message([], None, {"input_tokens": usage.prompt_tokens, "output_tokens": 1})
        yield SendChunk(_event("message_start", {"message": begun}), "role")
        yield SendChunk(self.keepalive(), "comment")
        for index, block in enumerate(answer.blocks):
            yield from self._block(index, block)
        delta = {"stop_reason": STOP_REASONS[answer.finish], "stop_sequence": None}
        yield SendChunk(_event("message_delta", {"delta": delta, "usage": _output(usage)}), "finish")
        yield SendChunk(_event("message_stop", {}), "done")

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        content = [self._whole_block(index, block) for index, block in enumerate(answer.blocks)]
        counts = {"input_tokens": usage.prompt_tokens, **_output(usage)}
        body = self._message(content, STOP_REASONS[answer.finish], counts)
        return Whole(200, (*JSON_HEADERS, self._id_header), to_json(body))

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        return script

    def keepalive(self) -> bytes:
        return _event("ping", {})

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        return _event("error", {"error": {"type": ERROR_TYPES.get(code, "api_error"), "message": message}})

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        refused = MESSAGES.refusal(status, message)
        return replace(refused, headers=(*refused.headers, self._id_header))

    def _block(self, index: int, block: tuple[Piece, ...]) -> Iterator[SendChunk]:
        first, *rest = block
        if first.kind == "tool-start":
            start = {"type": "tool_use", "id": self._tool_id(index), "name": first.text, "input": {}}
            yield SendChunk(_at(index, "start", content_block=start), "tool")
        else:
            yield SendChunk(_at(index, "start", content_block=BEGUN[first.kind]), "block")
        for piece in rest if first.kind == "tool-start" else block:
            match piece.kind:
                case "reasoning":
                    yield SendChunk(_delta(index, "thinking_delta", thinking=piece.text), "reasoning")
                case "text":
                    yield SendChunk(_delta(index, "text_delta", text=piece.text), "text", text=piece.text)
                case _:
                    yield SendChunk(_delta(index, "input_json_delta", partial_json=piece.text), "tool")
        if first.kind == "reasoning":
            yield SendChunk(_delta(index, "signature_delta", signature=self.response_id), "block")
        yield SendChunk(_at(index, "stop"), "block")

    def _whole_block(self, index: int, block: tuple[Piece, ...]) -> dict[str, Any]:
        text = "".join(piece.text for piece in block if piece.kind != "tool-start")
        match block[0].kind:
            case "reasoning":
                return {"type": "thinking", "thinking": text, "signature": self.response_id}
            case "text":
                return {"type": "text", "text": text}
        return {"type": "tool_use", "id": self._tool_id(index), "name": block[0].text, "input": arguments_of(text)}

    def _message(self, content: list[dict[str, Any]], stop: str | None, usage: dict[str, int]) -> dict[str, Any]:
        return {
            "id": self.response_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage,
        }

    def _tool_id(self, index: int) -> str:
        return f"toolu_{self.response_id[4:24]}{index:02d}"

    @property
    def _id_header(self) -> tuple[str, str]:
        return ("request-id", f"req_{self.response_id[4:]}")


_DECODER = msgspec.json.Decoder(MessagesRequest)


class MessagesServer(ServerDialect):
    """The request names model and streaming in its body, at Vertex in its path."""

    name = "messages"
    traits: frozenset[Trait] = SSE_TRAITS | {"stream-in-body", "tools", "tool-pieces", "tool-finish", "terminal-event"}

    def route(self, path: str) -> ServerRoute | None:
        if (found := VERTEX.search(path)) is not None:
            before = path[: found.start()]
            return ServerRoute(self, provider_in(before, "vertex"), found["model"], found["verb"] == "streamRawPredict")
        if not path.endswith(PATH):
            return None
        return ServerRoute(self, provider_in(path.removesuffix(PATH), DEFAULT_PROVIDER))

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        try:
            asked = _DECODER.decode(request.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the request body is not a Messages request: {error}") from None
        if not (request.headers.get(VERSION_HEADER) or asked.anthropic_version):
            raise ValueError(f"{VERSION_HEADER}: header is required")
        if not (model or asked.model):
            raise ValueError("model: Field required")
        if not asked.messages:
            raise ValueError("messages: at least one message is required")
        _check_tools(asked)
        system = _text(asked.system)
        messages = [ChatMessage("system", system)] if system else []
        for message in asked.messages:
            messages += _as_chat(message)
        return ChatRequest(
            model=model or asked.model,
            messages=messages,
            stream=asked.stream or stream,
            tools=[OfferedTool(OfferedFunction(t.name, t.description, t.input_schema)) for t in asked.tools or ()]
            or None,
            tool_choice=_choice(asked.tool_choice),
            max_tokens=asked.max_tokens,
            thinking=asked.thinking,
        )

    def read_recorded(self, request: RecordedRequest) -> ChatRequest:
        headers = {VERSION_HEADER: "as recorded"}  # a recording may have left it out
        return self.read(ServerRequest("POST", "", {}, headers, request.body), request.model, True)

    def wire(self, request: ChatRequest, rng: Random) -> MessagesWire:
        return MessagesWire(f"msg_{rng.getrandbits(96):024x}", request.model)

    def refusal(self, status: int, message: str) -> Whole:
        error = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
        return Whole(status, JSON_HEADERS, to_json({"type": "error", "error": error}))


MESSAGES = MessagesServer()


def _check_tools(asked: MessagesRequest) -> None:
    """A tool result answers a call of the message before it."""
    called: list[object] = []
    for number, message in enumerate(asked.messages):
        for block in _blocks(message.content, "tool_result"):
            if block.get("tool_use_id") not in called:
                raise ValueError(
                    f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block.get('tool_use_id')}. Each `tool_result` block must have a corresponding `tool_use` "
                    "block in the previous message."
                )
        called = [block.get("id") for block in _blocks(message.content, "tool_use")]


def _as_chat(message: AnthropicMessage) -> Iterator[ChatMessage]:
    """One turn as chat messages: each tool result is one of its own, before the text beside it."""
    results = _blocks(message.content, "tool_result")
    for block in results:
        yield ChatMessage("tool", _text(block.get("content")), tool_call_id=str(block.get("tool_use_id")))
    text, uses = _text(message.content), _blocks(message.content, "tool_use")
    if text or uses or not results:
        yield ChatMessage(message.role, text, [_called(use) for use in uses] or None)


def _offered(tool: AnthropicTool) -> OfferedTool:
    return OfferedTool(OfferedFunction(tool.name, tool.description, tool.input_schema))


def _called(use: dict[str, Any]) -> CalledTool:
    function = FunctionCall(str(use.get("name", "")), json.dumps(use.get("input")))
    return CalledTool(str(use.get("id", "")), function)


def _blocks(content: object, kind: str) -> list[dict[str, Any]]:
    blocks = content if isinstance(content, list) else []
    return [block for block in blocks if isinstance(block, dict) and block.get("type") == kind]


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(block.get("text", "")) for block in _blocks(content, "text"))


def _choice(choice: dict[str, Any] | None) -> str | dict[str, Any] | None:
    match choice:
        case {"type": "any"}:
            return "required"
        case {"type": "none"}:
            return "none"
        case {"type": "tool", "name": name}:
            return {"function": {"name": name}}
    return None


def _event(kind: str, members: dict[str, Any]) -> bytes:
    return event({"type": kind, **members}, kind)


def _at(index: int, what: str, **members: object) -> bytes:
    return _event(f"content_block_{what}", {"index": index, **members})


def _delta(index: int, kind: str, **members: str) -> bytes:
    return _at(index, "delta", delta={"type": kind, **members})


def _output(usage: TokenUsage) -> dict[str, int]:
    return {"output_tokens": usage.completion_tokens}
