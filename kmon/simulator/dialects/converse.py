"""Bedrock's Converse as the service speaks it: requests read as strictly as it does where clients of tools tend to go
wrong, event-stream frames that are padded, and the time it took at the end."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterator
from itertools import chain, repeat
from random import Random
from string import ascii_letters, digits
from typing import Any, Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from kmon.dialects import eventstream_writer
from kmon.dialects.framing import EVENT_STREAM_TYPE
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
from kmon.simulator.script import Script, SendChunk, Step, Whole, duration_s, offsets
from kmon.simulator.sse import JSON_HEADERS, arguments_of, to_json
from kmon.simulator.wire import ServerDialect, ServerRoute, Trait, provider_in


class ToolUseBlock(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str
    input: Any = None


class ToolResultBlock(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    content: list[dict[str, Any]] = []
    status: str = "success"

    @property
    def text(self) -> str:
        parts = (str(part["text"]) if "text" in part else json.dumps(part.get("json")) for part in self.content)
        return "".join(parts)


class Block(Struct, frozen=True, rename="camel"):
    """One content block; kinds not named here are accepted and ignored."""

    text: str | None = None
    tool_use: ToolUseBlock | None = None
    tool_result: ToolResultBlock | None = None


class ConverseMessage(Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: list[Block]


class InputSchema(Struct, frozen=True):
    json: dict[str, Any] = {}


class ToolSpec(Struct, frozen=True, rename="camel"):
    name: str
    description: str = ""
    input_schema: InputSchema = InputSchema()


class Offered(Struct, frozen=True, rename="camel"):
    tool_spec: ToolSpec | None = None


class ToolConfig(Struct, frozen=True, rename="camel"):
    tools: list[Offered]
    tool_choice: dict[str, Any] | None = None


class InferenceConfig(Struct, frozen=True, rename="camel"):
    max_tokens: int | None = None


class ConverseRequest(Struct, frozen=True, rename="camel"):
    """The members that change what is answered."""

    messages: list[ConverseMessage]
    system: list[Block] = []
    tool_config: ToolConfig | None = None
    inference_config: InferenceConfig = InferenceConfig()
    additional_model_request_fields: dict[str, Any] = field(default_factory=dict)


STOP_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
ERROR_TYPES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
PADDING = ascii_letters + digits
"""The service pads every payload with the beginning of this, as long as chance will have it."""


class ConverseWire(Struct, frozen=True):
    """Encodes one answer; implements :class:`kmon.simulator.wire.Wire`."""

    request_id: str
    model: str

    @property
    def head(self) -> Headers:
        return (("content-type", EVENT_STREAM_TYPE), self._id_header)

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        yield SendChunk(self._event("messageStart", {"role": "assistant"}), "role")
        for index, block in enumerate(answer.blocks):
            yield from self._block(index, block)
        yield SendChunk(self._event("messageStop", {"stopReason": STOP_REASONS[answer.finish]}), "finish")
        yield SendChunk(self._metadata(usage, 0), "done")

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        content: list[dict[str, Any]] = []
        for index, block in enumerate(answer.blocks):
            text = "".join(piece.text for piece in block)
            match block[0].kind:
                case "reasoning":
                    content.append({"reasoningContent": {"reasoningText": {"text": text}}})
                case "text":
                    content.append({"text": text})
                case _:
                    given = arguments_of("".join(piece.text for piece in block[1:]))
                    content.append({"toolUse": {**self._tool(index, block[0].text), "input": given}})
        body = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": STOP_REASONS[answer.finish],
            "usage": _usage(usage),
            "metrics": {"latencyMs": 0},
        }
        return Whole(200, (*JSON_HEADERS, self._id_header), to_json(body))

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        """The script with the latency in its last frame, up to the first step whose end depends on the client."""
        draft = self._metadata(usage, 0)
        times = chain(offsets(script), repeat(duration_s(script)))
        return tuple(
            self._with_latency(step, draft, usage, round(1000 * at_s))
            for step, at_s in zip(script, times, strict=False)
        )

    def _with_latency(self, step: Step, draft: bytes, usage: TokenUsage, latency_ms: int) -> Step:
        match step:
            case SendChunk() if step.data == draft:
                return replace(step, data=self._metadata(usage, latency_ms))
            case Whole():
                return replace(step, body=step.body.replace(b'"latencyMs":0', b'"latencyMs":%d' % latency_ms))
        return step

    def keepalive(self) -> None:
        return None

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        """A frame of an error that the service's model does not know."""
        return eventstream_writer.error(ERROR_TYPES.get(code, "InternalServerException"), message)

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        refused = CONVERSE.refusal(status, message)
        return replace(refused, headers=(*refused.headers, self._id_header))

    def _block(self, index: int, block: tuple[Piece, ...]) -> Iterator[SendChunk]:
        for piece in _as_sent(block, whole_input="nova" in self.model.lower()):
            match piece.kind:
                case "reasoning":
                    yield SendChunk(self._delta(index, {"reasoningContent": {"text": piece.text}}), "reasoning")
                case "text":
                    yield SendChunk(self._delta(index, {"text": piece.text}), "text", text=piece.text)
                case "tool-start":
                    start = {"contentBlockIndex": index, "start": {"toolUse": self._tool(index, piece.text)}}
                    yield SendChunk(self._event("contentBlockStart", start), "tool")
                case "tool":
                    yield SendChunk(self._delta(index, {"toolUse": {"input": piece.text}}), "tool")
        yield SendChunk(self._event("contentBlockStop", {"contentBlockIndex": index}), "block")

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return self._event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})

    def _tool(self, index: int, name: str) -> dict[str, Any]:
        return {"toolUseId": f"tooluse_{self.request_id.replace('-', '')[:20]}{index:02d}", "name": name}

    def _metadata(self, usage: TokenUsage, latency_ms: int) -> bytes:
        return self._event("metadata", {"usage": _usage(usage), "metrics": {"latencyMs": latency_ms}})

    def _event(self, name: str, members: dict[str, Any]) -> bytes:
        chance = zlib.crc32(to_json([self.request_id, name, members]))
        padded = {**members, "p": PADDING[: 1 + chance % len(PADDING)]}
        return eventstream_writer.event(name, to_json(dict(sorted(padded.items()))))

    @property
    def _id_header(self) -> tuple[str, str]:
        return ("x-amzn-RequestId", self.request_id)


_DECODER = msgspec.json.Decoder(ConverseRequest)


class ConverseServer(ServerDialect):
    """The path names the model and streaming. The type of an error before a stream is in a header, for botocore."""

    name = "converse"
    traits: frozenset[Trait] = frozenset({"event-stream", "tools", "tool-pieces", "tool-finish", "terminal-event"})

    def route(self, path: str) -> ServerRoute | None:
        before, _, rest = path.partition("/model/")
        model, _, operation = rest.rpartition("/")
        if not model or operation not in ("converse", "converse-stream"):
            return None
        return ServerRoute(self, provider_in(before, "bedrock"), model, operation == "converse-stream")

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        try:
            asked = _DECODER.decode(request.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"Malformed input request: {error}, please reformat your input and try again.") from None
        _check_turns(asked)
        _check_tools(asked)
        system = "".join(block.text or "" for block in asked.system)
        messages = [ChatMessage("system", system)] if system else []
        for message in asked.messages:
            messages += _as_chat(message)
        config = asked.tool_config
        return ChatRequest(
            model=model,
            messages=messages,
            stream=stream,
            tools=[_offered(tool.tool_spec) for tool in config.tools if tool.tool_spec] if config else None,
            tool_choice=_choice(config.tool_choice) if config else None,
            max_tokens=asked.inference_config.max_tokens,
            thinking=asked.additional_model_request_fields.get("thinking"),
        )

    def wire(self, request: ChatRequest, rng: Random) -> ConverseWire:
        return ConverseWire(str(uuid.UUID(int=rng.getrandbits(128), version=4)), request.model)

    def refusal(self, status: int, message: str) -> Whole:
        error_type = ERROR_TYPES.get(status, "ValidationException")
        return Whole(status, (*JSON_HEADERS, ("x-amzn-ErrorType", error_type)), to_json({"message": message}))


CONVERSE = ConverseServer()


def _check_turns(asked: ConverseRequest) -> None:
    if not asked.messages or asked.messages[0].role != "user":
        raise ValueError(
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )
    for number, message in enumerate(asked.messages):
        if number and message.role == asked.messages[number - 1].role:
            raise ValueError(
                "A conversation must alternate between user and assistant roles. "
                "Make sure the conversation alternates between user and assistant roles and try again."
            )
        if not message.content:
            raise ValueError(f"The content field in the Message object at messages.{number} is empty.")
        for at, block in enumerate(message.content):
            if block.text is not None and not block.text.strip():
                raise ValueError(
                    f"The text field in the ContentBlock object at messages.{number}.content.{at} is blank. "
                    "Add text to the text field, and try again."
                )


def _check_tools(asked: ConverseRequest) -> None:
    """A tool result answers a call of the turn before it, every call has its result, and tools are declared."""
    called: list[str] = []
    for number, message in enumerate(asked.messages):
        results = [block.tool_result.tool_use_id for block in message.content if block.tool_result]
        if unknown := [result for result in results if result not in called]:
            raise ValueError(
                f"messages.{number}: unexpected toolUseId {unknown[0]} in toolResult blocks. "
                "Each toolResult block must have a corresponding toolUse block in the previous message."
            )
        if missing := [use for use in called if use not in results]:
            raise ValueError(
                f"Expected toolResult blocks at messages.{number}.content for the following Ids: {missing[0]}"
            )
        called = [block.tool_use.tool_use_id for block in message.content if block.tool_use]
        if (called or results) and asked.tool_config is None:
            raise ValueError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")


def _as_chat(message: ConverseMessage) -> Iterator[ChatMessage]:
    """One turn as chat messages: each tool result is one of its own, before the text beside it."""
    results = [block.tool_result for block in message.content if block.tool_result]
    for result in results:
        yield ChatMessage("tool", result.text, tool_call_id=result.tool_use_id)
    text = "".join(block.text or "" for block in message.content)
    uses = [block.tool_use for block in message.content if block.tool_use]
    if text or uses or not results:
        yield ChatMessage(message.role, text, [_called(use) for use in uses] or None)


def _called(use: ToolUseBlock) -> CalledTool:
    return CalledTool(use.tool_use_id, FunctionCall(use.name, json.dumps(use.input)))


def _offered(spec: ToolSpec) -> OfferedTool:
    return OfferedTool(OfferedFunction(spec.name, spec.description, spec.input_schema.json))


def _choice(choice: dict[str, Any] | None) -> str | dict[str, Any] | None:
    match choice:
        case {"any": _}:
            return "required"
        case {"tool": tool}:
            return {"function": tool}
    return None


def _as_sent(block: tuple[Piece, ...], *, whole_input: bool) -> tuple[Piece, ...]:
    """Nova sends the input of a tool in one piece, others in many."""
    if not whole_input or block[0].kind != "tool-start" or len(block) == 1:
        return block
    return (block[0], Piece("tool", "".join(piece.text for piece in block[1:])))


def _usage(usage: TokenUsage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {"inputTokens": usage.prompt_tokens, "outputTokens": usage.completion_tokens, "totalTokens": total}
