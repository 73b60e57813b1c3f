"""Bedrock's ConverseStream as the service speaks it: event-stream frames, padded, with the time it took at the end."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterator
from itertools import chain, repeat
from random import Random
from string import ascii_letters, digits
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kmon.simulator import eventstream
from kmon.simulator.answers import Answer, Piece
from kmon.simulator.chat import ChatRequest, Usage
from kmon.simulator.http import Headers
from kmon.simulator.script import Script, Send, Step, Whole, duration_s, offsets
from kmon.simulator.sse import JSON_HEADERS, to_json

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
        return (("content-type", eventstream.CONTENT_TYPE), self._id_header)

    def stream(self, answer: Answer, usage: Usage) -> Iterator[Send]:
        yield Send(self._event("messageStart", {"role": "assistant"}), "role")
        for index, block in enumerate(answer.blocks):
            yield from self._block(index, block)
        yield Send(self._event("messageStop", {"stopReason": STOP_REASONS[answer.finish]}), "finish")
        yield Send(self._metadata(usage, 0), "done")

    def whole(self, answer: Answer, usage: Usage) -> Whole:
        content: list[dict[str, Any]] = []
        for index, block in enumerate(answer.blocks):
            text = "".join(piece.text for piece in block)
            match block[0].kind:
                case "reasoning":
                    content.append({"reasoningContent": {"reasoningText": {"text": text}}})
                case "text":
                    content.append({"text": text})
                case _:
                    content.append({"toolUse": {**self._tool(index, block[0].text), "input": _arguments(block[1:])}})
        body = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": STOP_REASONS[answer.finish],
            "usage": _usage(usage),
            "metrics": {"latencyMs": 0},
        }
        return Whole(200, (*JSON_HEADERS, self._id_header), to_json(body))

    def timed(self, script: Script, usage: Usage) -> Script:
        """The script with its own times told at its end, as far as the server can know them."""
        draft = self._metadata(usage, 0)
        times = chain(offsets(script), repeat(duration_s(script)))
        return tuple(
            self._told(step, draft, usage, round(1000 * at_s)) for step, at_s in zip(script, times, strict=False)
        )

    def _told(self, step: Step, draft: bytes, usage: Usage, latency_ms: int) -> Step:
        match step:
            case Send() if step.data == draft:
                return replace(step, data=self._metadata(usage, latency_ms))
            case Whole():
                return replace(step, body=step.body.replace(b'"latencyMs":0', b'"latencyMs":%d' % latency_ms))
        return step

    def keepalive(self) -> None:
        return None

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        """A frame of an error that the service's model does not know."""
        return eventstream.error(ERROR_TYPES.get(code, "InternalServerException"), message)

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        refused = refusal(status, message)
        return replace(refused, headers=(*refused.headers, self._id_header))

    def _block(self, index: int, block: tuple[Piece, ...]) -> Iterator[Send]:
        for piece in _as_sent(block, whole_input="nova" in self.model.lower()):
            match piece.kind:
                case "reasoning":
                    yield Send(self._delta(index, {"reasoningContent": {"text": piece.text}}), "reasoning")
                case "text":
                    yield Send(self._delta(index, {"text": piece.text}), "text", text=piece.text)
                case "tool-start":
                    start = {"contentBlockIndex": index, "start": {"toolUse": self._tool(index, piece.text)}}
                    yield Send(self._event("contentBlockStart", start), "tool")
                case "tool":
                    yield Send(self._delta(index, {"toolUse": {"input": piece.text}}), "tool")
        yield Send(self._event("contentBlockStop", {"contentBlockIndex": index}), "block")

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return self._event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})

    def _tool(self, index: int, name: str) -> dict[str, Any]:
        return {"toolUseId": f"tooluse_{self.request_id.replace('-', '')[:20]}{index:02d}", "name": name}

    def _metadata(self, usage: Usage, latency_ms: int) -> bytes:
        return self._event("metadata", {"usage": _usage(usage), "metrics": {"latencyMs": latency_ms}})

    def _event(self, name: str, members: dict[str, Any]) -> bytes:
        chance = zlib.crc32(to_json([self.request_id, name, members]))
        padded = {**members, "p": PADDING[: 1 + chance % len(PADDING)]}
        return eventstream.event(name, to_json(dict(sorted(padded.items()))))

    @property
    def _id_header(self) -> tuple[str, str]:
        return ("x-amzn-RequestId", self.request_id)


def converse_wire(request: ChatRequest, rng: Random) -> ConverseWire:
    return ConverseWire(str(uuid.UUID(int=rng.getrandbits(128), version=4)), request.model)


def refusal(status: int, message: str) -> Whole:
    """An HTTP error as botocore reads it: its type in a header, its message in the body."""
    error_type = ERROR_TYPES.get(status, "ValidationException")
    return Whole(status, (*JSON_HEADERS, ("x-amzn-ErrorType", error_type)), to_json({"message": message}))


def _as_sent(block: tuple[Piece, ...], *, whole_input: bool) -> tuple[Piece, ...]:
    """Nova sends the input of a tool in one piece, others in many."""
    if not whole_input or block[0].kind != "tool-start" or len(block) == 1:
        return block
    return (block[0], Piece("tool", "".join(piece.text for piece in block[1:])))


def _arguments(pieces: tuple[Piece, ...]) -> object:
    """The arguments as an object; none when the token limit cut them."""
    try:
        return json.loads("".join(piece.text for piece in pieces))
    except ValueError:
        return {}


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {"inputTokens": usage.prompt_tokens, "outputTokens": usage.completion_tokens, "totalTokens": total}
