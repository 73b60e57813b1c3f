"""The Anthropic Messages dialect as a server speaks it: named events, content blocks, pings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kmon.simulator.answers import Answer, Piece
from kmon.simulator.chat import ChatRequest, Usage
from kmon.simulator.http import Headers
from kmon.simulator.script import Script, Send, Whole
from kmon.simulator.sse import JSON_HEADERS, SSE_HEADERS, event, to_json

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

    def stream(self, answer: Answer, usage: Usage) -> Iterator[Send]:
        begun = self._message([], None, {"input_tokens": usage.prompt_tokens, "output_tokens": 1})
        yield Send(_event("message_start", {"message": begun}), "role")
        yield Send(self.keepalive(), "comment")
        for index, block in enumerate(answer.blocks):
            yield from self._block(index, block)
        delta = {"stop_reason": STOP_REASONS[answer.finish], "stop_sequence": None}
        yield Send(_event("message_delta", {"delta": delta, "usage": _output(usage)}), "finish")
        yield Send(_event("message_stop", {}), "done")

    def whole(self, answer: Answer, usage: Usage) -> Whole:
        content = [self._whole_block(index, block) for index, block in enumerate(answer.blocks)]
        counts = {"input_tokens": usage.prompt_tokens, **_output(usage)}
        body = self._message(content, STOP_REASONS[answer.finish], counts)
        return Whole(200, (*JSON_HEADERS, self._id_header), to_json(body))

    def timed(self, script: Script, usage: Usage) -> Script:
        return script

    def keepalive(self) -> bytes:
        return _event("ping", {})

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        return _event("error", {"error": {"type": ERROR_TYPES.get(code, "api_error"), "message": message}})

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        refused = refusal(status, message)
        return replace(refused, headers=(*refused.headers, self._id_header))

    def _block(self, index: int, block: tuple[Piece, ...]) -> Iterator[Send]:
        first, *rest = block
        if first.kind == "tool-start":
            start = {"type": "tool_use", "id": self._tool_id(index), "name": first.text, "input": {}}
            yield Send(_at(index, "start", content_block=start), "tool")
        else:
            yield Send(_at(index, "start", content_block=BEGUN[first.kind]), "block")
        for piece in rest if first.kind == "tool-start" else block:
            match piece.kind:
                case "reasoning":
                    yield Send(_delta(index, "thinking_delta", thinking=piece.text), "reasoning")
                case "text":
                    yield Send(_delta(index, "text_delta", text=piece.text), "text", text=piece.text)
                case _:
                    yield Send(_delta(index, "input_json_delta", partial_json=piece.text), "tool")
        if first.kind == "reasoning":
            yield Send(_delta(index, "signature_delta", signature=self.response_id), "block")
        yield Send(_at(index, "stop"), "block")

    def _whole_block(self, index: int, block: tuple[Piece, ...]) -> dict[str, Any]:
        text = "".join(piece.text for piece in block if piece.kind != "tool-start")
        match block[0].kind:
            case "reasoning":
                return {"type": "thinking", "thinking": text, "signature": self.response_id}
            case "text":
                return {"type": "text", "text": text}
        return {"type": "tool_use", "id": self._tool_id(index), "name": block[0].text, "input": _arguments(text)}

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


def messages_wire(request: ChatRequest, rng: Random) -> MessagesWire:
    return MessagesWire(f"msg_{rng.getrandbits(96):024x}", request.model)


def refusal(status: int, message: str) -> Whole:
    """An HTTP error."""
    error = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
    return Whole(status, JSON_HEADERS, to_json({"type": "error", "error": error}))


def _event(kind: str, members: dict[str, Any]) -> bytes:
    return event({"type": kind, **members}, kind)


def _at(index: int, what: str, **members: object) -> bytes:
    return _event(f"content_block_{what}", {"index": index, **members})


def _delta(index: int, kind: str, **members: str) -> bytes:
    return _at(index, "delta", delta={"type": kind, **members})


def _output(usage: Usage) -> dict[str, int]:
    return {"output_tokens": usage.completion_tokens}


def _arguments(text: str) -> object:
    """The arguments as an object; none when the token limit cut them."""
    try:
        return json.loads(text)
    except ValueError:
        return {}
