"""DeepInfra's native inference: a templated prompt in, one event per token out, the whole text in the last one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from kmon.simulator.answers import ModelAnswer
from kmon.simulator.http import Headers, ServerRequest
from kmon.simulator.request import ChatMessage, ChatRequest, TokenUsage
from kmon.simulator.script import Script, SendChunk, SendKind, Whole
from kmon.simulator.sse import JSON_HEADERS, SSE_HEADERS, event, to_json
from kmon.simulator.wire import SSE_TRAITS, ServerDialect, ServerRoute, Trait, provider_in

COST_PER_TOKEN_USD = 2e-6
THINK, THOUGHT = "<think>", "</think>"

# One turn of a templated prompt: Kimi's own form, then ChatML.
TURN = re.compile(
    r"<\|im_(?:system|user|assistant)\|>(?P<kimi>\w+)<\|im_middle\|>(?P<text>.*?)(?:<\|im_end\|>|\Z)"
    r"|<\|im_start\|>(?P<chatml>\w+)\n(?P<written>.*?)(?:<\|im_end\|>|\Z)",
    re.DOTALL,
)


class InferenceRequest(Struct, frozen=True):
    """The members that change what is answered."""

    input: str
    stream: bool = False
    max_new_tokens: int | None = None
    tools: Any = None


class DeepInfraWire(Struct, frozen=True):
    """Encodes one answer; implements :class:`kmon.simulator.wire.Wire`."""

    request_id: str

    @property
    def head(self) -> Headers:
        return (*SSE_HEADERS, self._id_header)

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        number, thinking = 0, False
        for piece in answer.pieces:
            if piece.kind == "text" and thinking:
                yield SendChunk(_token(number, THOUGHT), "block", text=THOUGHT)
                number += 1
            thinking = piece.kind == "reasoning"
            kind: SendKind = "reasoning" if thinking else "text"
            yield SendChunk(_token(number, piece.text), kind, text=piece.text)
            number += 1
        last = {
            "token": {"id": None, "text": "", "logprob": 0, "special": True},
            "generated_text": _generated(answer),
            "details": {"finish_reason": answer.finish},
            **self._counts(usage),
        }
        yield SendChunk(event(last), "finish")

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        total = usage.prompt_tokens + usage.completion_tokens
        status = {
            "status": "succeeded",
            "runtime_ms": 0,
            "cost": round(total * COST_PER_TOKEN_USD, 9),
            "tokens_generated": usage.completion_tokens,
            "tokens_input": usage.prompt_tokens,
        }
        body = {
            "results": [{"generated_text": _generated(answer)}],
            "num_tokens": usage.completion_tokens,
            "num_input_tokens": usage.prompt_tokens,
            "request_id": self.request_id,
            "inference_status": status,
        }
        return Whole(200, (*JSON_HEADERS, self._id_header), to_json(body))

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        return script

    def keepalive(self) -> bytes:
        return b": keep-alive\n\n"

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        return event({"error_type": kind, "error_message": message})

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        return DEEPINFRA.refusal(status, message)

    def _counts(self, usage: TokenUsage) -> dict[str, Any]:
        total = usage.prompt_tokens + usage.completion_tokens
        return {
            "request_id": self.request_id,
            "num_output_tokens": usage.completion_tokens,
            "num_input_tokens": usage.prompt_tokens,
            "estimated_cost": round(total * COST_PER_TOKEN_USD, 9),
        }

    @property
    def _id_header(self) -> tuple[str, str]:
        return ("x-request-id", self.request_id)


_DECODER = msgspec.json.Decoder(InferenceRequest)


class DeepInfraServer(ServerDialect):
    """The model stands in the path. The finish reason is in the last event, so there is no terminal one after it."""

    name = "deepinfra"
    traits: frozenset[Trait] = SSE_TRAITS | {"stream-in-body"}

    def route(self, path: str) -> ServerRoute | None:
        before, _, model = path.partition("/inference/")
        if not model or model.endswith("/chat/completions"):
            return None
        return ServerRoute(self, provider_in(before, "deepinfra"), model)

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        """A prompt that ends with ``<think>`` is answered with thinking first, as its template asks for."""
        try:
            asked = _DECODER.decode(request.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the request body is not an inference request: {error}") from None
        if asked.tools:
            raise ValueError("native inference takes no tools; use /v1/openai/chat/completions")
        if not asked.input.strip():
            raise ValueError("input: must not be empty")
        thinks = asked.input.rstrip().endswith(THINK)
        return ChatRequest(
            model=model,
            messages=_messages(asked.input),
            stream=asked.stream,
            max_tokens=asked.max_new_tokens,
            thinking={"type": "enabled" if thinks else "disabled"},
        )

    def wire(self, request: ChatRequest, rng: Random) -> DeepInfraWire:
        return DeepInfraWire(f"R{rng.getrandbits(80):020x}")

    def refusal(self, status: int, message: str) -> Whole:
        return Whole(status, JSON_HEADERS, to_json({"detail": {"error": message}}))


DEEPINFRA = DeepInfraServer()


def _messages(prompt: str) -> list[ChatMessage]:
    turns = [
        ChatMessage(found["kimi"] or found["chatml"], found["text"] or found["written"] or "")
        for found in TURN.finditer(prompt)
    ]
    opened = turns and turns[-1].role == "assistant" and turns[-1].text.strip() in ("", THINK, THINK + THOUGHT)
    if opened:  # the open turn for the answer is no message
        turns.pop()
    return turns or [ChatMessage("user", prompt)]


def _token(number: int, text: str) -> bytes:
    token = {"id": number, "text": text, "logprob": -0.01, "special": False}
    return event({"token": token, "generated_text": None, "details": None})


def _generated(answer: ModelAnswer) -> str:
    thought, text = answer.joined("reasoning"), answer.joined("text")
    return thought + THOUGHT + text if thought and text else thought + text
