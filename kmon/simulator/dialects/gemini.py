"""Gemini's ``generateContent`` as Google's servers speak it: CR LF, running token counts, no terminal event.

With ``alt=sse`` a stream is server-sent events, else one JSON array that grows. A call comes whole, in one chunk, and
an answer with calls ends with ``STOP``. Thoughts are sent as if the request had asked for them (``includeThoughts``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

from msgspec import Struct

from kmon.simulator.answers import ModelAnswer, Piece, PieceKind
from kmon.simulator.dialects.gemini_request import GeminiChat, chat_request
from kmon.simulator.http import Headers, ServerRequest
from kmon.simulator.request import ChatRequest, TokenUsage
from kmon.simulator.script import Script, SendChunk, SendKind, Whole
from kmon.simulator.sse import JSON_HEADERS, SSE_HEADERS, arguments_of, to_json
from kmon.simulator.wire import SSE_TRAITS, ServerDialect, ServerRoute, Trait, provider_in

_PATH = re.compile(r"(?P<before>.*?)(?:/v1\w*)?(?:/projects/.+)?/models/(?P<model>.+):(?P<operation>\w+)\Z")
_LIST = re.compile(r"/v1(?:alpha|beta)\w*/models\Z")
OPERATIONS = {"streamGenerateContent": True, "generateContent": False}
SENT: dict[PieceKind, SendKind] = {
    "reasoning": "reasoning", "text": "text", "tool-start": "tool", "tool": "tool", "search": "hidden",
}  # fmt: skip
CODE = {"language": "PYTHON", "code": "print(6 * 7)\n"}
"""What the server runs as a tool of its own."""
FINISH = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS"}
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The word of ``google.rpc.Code`` that goes with an HTTP status."""


class GeminiWire(Struct, frozen=True):
    """Encodes one answer; implements :class:`kmon.simulator.wire.Wire`."""

    response_id: str
    model: str
    array: bool = False

    @property
    def head(self) -> Headers:
        return (("content-type", "application/json; charset=UTF-8"),) if self.array else SSE_HEADERS

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        sent = thoughts = 0
        begun = False
        for number, block in enumerate(answer.blocks):
            for pieces in [block] if block[0].kind == "tool-start" else ((piece,) for piece in block):
                sent += len(pieces)
                thoughts += pieces[0].kind == "reasoning"
                so_far = TokenUsage(usage.prompt_tokens, sent, thoughts)
                parts = self._parts(number, pieces)
                for at, part in enumerate(parts, 1):
                    kind = SENT[pieces[0].kind] if at == len(parts) else "block"
                    data = self._event(self._response([part], so_far), first=not begun)
                    begun = True
                    yield SendChunk(data, kind, text=pieces[0].text if kind == "text" else "")
        last = self._response([{"text": ""}], usage, FINISH[answer.finish])
        yield SendChunk(self._event(last, first=not begun, last=True), "finish")

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        parts = [part for number, block in enumerate(answer.blocks) for part in self._parts(number, block)]
        return Whole(200, JSON_HEADERS, to_json(self._response(parts, usage, FINISH[answer.finish])))

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        return script

    def keepalive(self) -> bytes:
        """In an array: white space between two elements."""
        return b"\r\n" if self.array else b": keep-alive\r\n\r\n"

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        """In an array: its last element. A ``named`` error is the only event of its stream."""
        return self._event(_error(code, message), first=named, last=True)

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        error = _error(status, message)
        return Whole(status, JSON_HEADERS, to_json([error] if self.array else error))

    def _event(self, value: dict[str, Any], *, first: bool = False, last: bool = False) -> bytes:
        if not self.array:
            return b"data: " + to_json(value) + b"\r\n\r\n"
        return (b"[" if first else b",\r\n") + to_json(value) + (b"\r\n]" if last else b"")

    def _parts(self, number: int, block: tuple[Piece, ...]) -> list[dict[str, Any]]:
        """One part; of a tool that the server runs, its use and its result."""
        words = "".join(piece.text for piece in block if piece.kind != "tool-start")
        match block[0].kind:
            case "reasoning":
                return [{"text": words, "thought": True}]
            case "text":
                return [{"text": words}]
            case "search":
                return [{"executableCode": CODE}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}}]
        name, args = block[0].text, arguments_of(words)
        return [{"functionCall": {"id": f"{self.response_id[:6]}{number:02d}", "name": name, "args": args}}]

    def _response(self, parts: list[dict[str, Any]], usage: TokenUsage, finish: str = "") -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
        if finish:
            candidate["finishReason"] = finish
        return {
            "candidates": [{**candidate, "index": 0}],
            "usageMetadata": _counts(usage),
            "modelVersion": self.model,
            "responseId": self.response_id,
        }


class GeminiServer(ServerDialect):
    """The path names the model and whether to stream, the query how."""

    name = "gemini"
    traits: frozenset[Trait] = SSE_TRAITS | {"tools", "server-tools"}

    def route(self, path: str) -> ServerRoute | None:
        found = _PATH.match(path)
        if found is None or found["operation"] not in OPERATIONS:
            return None
        provider = provider_in(found["before"], self.name)
        return ServerRoute(self, provider, found["model"], OPERATIONS[found["operation"]])

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        return chat_request(request.body, model, stream=stream, array=request.query.get("alt") != "sse")

    def wire(self, request: ChatRequest, rng: Random) -> GeminiWire:
        array = isinstance(request, GeminiChat) and request.array
        return GeminiWire(f"{rng.getrandbits(96):024x}", request.model, array)

    def refusal(self, status: int, message: str) -> Whole:
        return Whole(status, JSON_HEADERS, to_json(_error(status, message)))

    def models(self, path: str, models: tuple[str, ...], owner: str) -> bytes | None:
        if not _LIST.search(path):
            return None
        methods = list(OPERATIONS)
        return to_json(
            {"models": [{"name": f"models/{name}", "supportedGenerationMethods": methods} for name in models]}
        )


GEMINI = GeminiServer()


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": STATUS.get(status, "UNKNOWN")}}


def _counts(usage: TokenUsage) -> dict[str, int]:
    thoughts = {"thoughtsTokenCount": usage.reasoning_tokens} if usage.reasoning_tokens else {}
    return {
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": usage.completion_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.prompt_tokens + usage.completion_tokens,
        **thoughts,
    }
