"""Ollama's native API as a server speaks it: JSON lines, whole tool calls, its own times in the last line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kmon.dialects.framing import JSON_LINES
from kmon.simulator.answers import ModelAnswer, Piece
from kmon.simulator.http import Headers, ServerRequest
from kmon.simulator.request import CalledTool, ChatMessage, ChatRequest, FunctionCall, OfferedTool, TokenUsage
from kmon.simulator.script import Script, SendChunk, SendHead, Step, Whole, is_progress, offsets
from kmon.simulator.sse import JSON_HEADERS, arguments_of, to_json
from kmon.simulator.wire import ServerDialect, ServerRoute, Trait, provider_in

CHAT, GENERATE, TAGS = "/api/chat", "/api/generate", "/api/tags"
PROVIDER = "ollama"
CREATED = "2026-01-01T00:00:00Z"
"""A constant, so that the same seed gives the same bytes on any day."""
DONE_REASONS = {"stop": "stop", "tool_calls": "stop", "length": "length"}
"""There is no reason of its own for tool calls."""
UNTIMED = {"total_duration": 0, "load_duration": 0, "prompt_eval_duration": 0, "eval_duration": 0}
"""The server's times in ns, before the script knows them."""


class OllamaFunction(Struct, frozen=True):
    name: str = ""
    arguments: dict[str, Any] = {}


class OllamaCall(Struct, frozen=True):
    id: str = ""
    function: OllamaFunction = OllamaFunction()


class OllamaMessage(Struct, frozen=True):
    role: str
    content: str = ""
    tool_calls: list[OllamaCall] | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None


class OllamaOptions(Struct, frozen=True):
    num_predict: int | None = None


class OllamaRequest(Struct, frozen=True):
    """The members of either API that change what is answered. ``num_predict`` below 1 means no cap."""

    model: str
    messages: list[OllamaMessage] = []
    prompt: str = ""
    system: str = ""
    stream: bool | None = None
    tools: list[OfferedTool] | None = None
    options: OllamaOptions = OllamaOptions()
    think: bool | str | None = None


class OllamaWire(Struct, frozen=True):
    """Encodes one answer; implements :class:`kmon.simulator.wire.Wire`. ``chats``: it answers ``/api/chat``."""

    model: str
    chats: bool
    number: int

    @property
    def head(self) -> Headers:
        return (("content-type", JSON_LINES.media_types[0]),)

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        calls = 0
        for block in answer.blocks:
            if block[0].kind == "tool-start":
                yield SendChunk(self._line(tool_calls=[self._call(block, calls)]), "tool")
                calls += 1
                continue
            for piece in block:
                if piece.kind == "reasoning":
                    yield SendChunk(self._line(thinking=piece.text), "reasoning")
                else:
                    yield SendChunk(self._line(piece.text), "text", text=piece.text)
        yield SendChunk(_written(self._said("") | self._ended(answer, usage)), "finish")

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        thinking = answer.joined("reasoning")
        tools = [block for block in answer.blocks if block[0].kind == "tool-start"]
        calls = [self._call(block, index) for index, block in enumerate(tools)]
        more = ({"thinking": thinking} if thinking else {}) | ({"tool_calls": calls} if calls else {})
        said = self._said(answer.joined("text"), **more)
        return Whole(200, JSON_HEADERS, to_json(said | self._ended(answer, usage)))

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        """The script with its times in the last line: the model is loaded until the headers, then the prompt read."""
        times_s = offsets(script)
        reached = list(zip(script, times_s, strict=False))
        load_s = next((at_s for step, at_s in reached if isinstance(step, SendHead)), 0.0)
        first_s = next((at_s for step, at_s in reached if is_progress(step)), load_s)
        end_s = times_s[-1] if times_s else 0.0
        spent_s = dict(zip(UNTIMED, (end_s, load_s, first_s - load_s, end_s - first_s), strict=True))
        draft, told = _times(UNTIMED), _times({name: round(1e9 * time_s) for name, time_s in spent_s.items()})
        return tuple(_replaced(step, draft, told) for step in script)

    def keepalive(self) -> None:
        return None

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        return _written({"error": message})

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        return OLLAMA.refusal(status, message)

    def _line(self, content: str = "", **more: object) -> bytes:
        return _written(self._said(content, **more) | {"done": False})

    def _said(self, content: str, **more: object) -> dict[str, Any]:
        begun = {"model": self.model, "created_at": CREATED}
        if self.chats:
            return begun | {"message": {"role": "assistant", "content": content, **more}}
        return begun | {"response": content, **more}

    def _ended(self, answer: ModelAnswer, usage: TokenUsage) -> dict[str, Any]:
        counts = {"prompt_eval_count": usage.prompt_tokens, "eval_count": usage.completion_tokens}
        return {"done": True, "done_reason": DONE_REASONS[answer.finish], **UNTIMED, **counts}

    def _call(self, block: tuple[Piece, ...], index: int) -> dict[str, Any]:
        given = arguments_of("".join(piece.text for piece in block[1:]))
        function = {"index": index, "name": block[0].text, "arguments": given}
        return {"id": f"call_{self.number:06x}{index:02d}", "function": function}


_DECODER = msgspec.json.Decoder(OllamaRequest)


class OllamaServer(ServerDialect):
    """One of the two APIs. A request that does not mention ``stream`` is streamed."""

    name = "ollama"
    traits: frozenset[Trait] = frozenset({"text-framed", "stream-in-body", "tools"})

    def __init__(self, *, chats: bool) -> None:
        self._chats = chats

    def route(self, path: str) -> ServerRoute | None:
        for end, dialect in ((CHAT, OLLAMA), (GENERATE, OLLAMA_GENERATE)):
            if path.endswith(end):
                return ServerRoute(dialect, provider_in(path.removesuffix(end), PROVIDER))
        return None

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        try:
            asked = _DECODER.decode(request.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the request body is not one of Ollama's: {error}") from None
        system = [ChatMessage("system", asked.system)] if asked.system else []
        prompt = [ChatMessage("user", asked.prompt)] if asked.prompt else []
        messages = [_as_chat(message) for message in asked.messages] or [*system, *prompt]
        if not messages:
            raise ValueError("messages or prompt: must not be empty")
        cap = asked.options.num_predict
        return ChatRequest(
            model=asked.model,
            messages=messages,
            stream=asked.stream is not False,
            tools=asked.tools or None,
            max_tokens=cap if cap is not None and cap > 0 else None,
            thinking={"type": "disabled"} if asked.think is False else None,
        )

    def wire(self, request: ChatRequest, rng: Random) -> OllamaWire:
        return OllamaWire(request.model, self._chats, rng.getrandbits(24))

    def refusal(self, status: int, message: str) -> Whole:
        return Whole(status, JSON_HEADERS, to_json({"error": message}))

    def models(self, path: str, models: tuple[str, ...], owner: str) -> bytes | None:
        if not path.endswith(TAGS):
            return None
        return to_json({"models": [{"name": model, "model": model, "modified_at": CREATED} for model in models]})


OLLAMA, OLLAMA_GENERATE = OllamaServer(chats=True), OllamaServer(chats=False)


def _as_chat(message: OllamaMessage) -> ChatMessage:
    calls = [
        CalledTool(call.id, FunctionCall(call.function.name, json.dumps(call.function.arguments)))
        for call in message.tool_calls or ()
    ]
    named = message.tool_call_id or message.tool_name
    return ChatMessage(message.role, message.content, calls or None, named)


def _written(line: dict[str, Any]) -> bytes:
    return to_json(line) + b"\n"


def _times(times: dict[str, int]) -> bytes:
    """The members of the server's times as they stand in a line."""
    return to_json(times)[1:-1]


def _replaced(step: Step, draft: bytes, told: bytes) -> Step:
    match step:
        case SendChunk(kind="finish"):
            return replace(step, data=step.data.replace(draft, told))
        case Whole():
            return replace(step, body=step.body.replace(draft, told))
    return step
