"""What a hostile peer puts into every place it may write to, and a look at every field of what is told of it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator

import msgspec

from kmon.dialects import bounds
from kmon.dialects.assemble import TOOL_CALLS_LIMIT
from kmon.simulator.answers import ModelAnswer, Piece
from kmon.simulator.dialects.registry import server_dialects
from kmon.simulator.request import TokenUsage
from kmon.simulator.wire import ServerDialect
from tests.support.event_frames import frame
from tests.support.key_spellings import gives_away, spellings
from tests.support.simulated_streams import wire

KEY = "sk-AbCdef-0123456789+/xyz"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
CONTROL = "\x1b]0;owned\x07\x9b31m\u202e\ud800\r\x00"
MANY_CHARS = 200_000
"""More than any bound but those of text, reasoning and arguments; and the key is searched in all of it."""

LONG_FIELDS = {
    "text": 4_000_000,
    "reasoning": 4_000_000,
    "arguments": 4_000_000,
    "raw": bounds.FRAME_LIMIT_CHARS,
    "frame": bounds.FRAME_LIMIT_CHARS,
    "message": bounds.MESSAGE_LIMIT_CHARS,
    "id": bounds.ID_LIMIT_CHARS,
    "response_id": bounds.ID_LIMIT_CHARS,
    "request_ids": bounds.HEADER_LIMIT_CHARS,
    "evidence": bounds.SENTENCE_LIMIT_CHARS,
    "sentence": bounds.SENTENCE_LIMIT_CHARS,
    "diagnosis": bounds.SENTENCE_LIMIT_CHARS,
    "claim": bounds.SENTENCE_LIMIT_CHARS,
    "why": bounds.SENTENCE_LIMIT_CHARS,
    "url": bounds.SENTENCE_LIMIT_CHARS,
}
"""Every other string is a name."""
SEVERAL_LINES = frozenset({"text", "reasoning", "arguments", "raw", "frame", "message"})


class Hostile:
    """Strings of control characters, the key in one form after the other, and as many characters as are asked for."""

    def __init__(self, key: str = KEY, control: str = CONTROL) -> None:
        self._control = control
        self._forms = itertools.cycle(spellings(key).values())

    def __call__(self, chars: int = MANY_CHARS) -> str:
        return f"{self._control}\n{next(self._forms)} {'x' * chars}"

    def header(self, chars: int = 3_000) -> bytes:
        """The same as far as a header value may hold it."""
        form = next(form for form in self._forms if "\n" not in form and form.isascii())
        return f"\x1b]0;owned\x07\x9b {form} {'x' * chars}".encode("latin-1")

    def head(self, status: bytes = b"200 OK", kind: bytes = b"text/event-stream") -> bytes:
        """A response head with something in every header that is looked at."""
        names = (b"x-request-id", b"cf-ray", b"server", b"server-timing", b"retry-after", b"x-ratelimit-reset", b"date")
        lines = [b"HTTP/1.1 " + status + b" " + self.header(50), b"content-type: " + kind]
        lines += [name + b": " + self.header() for name in names]
        return b"\r\n".join([*lines, b"connection: close", b"", b""])


USAGE = {
    "prompt_tokens": 10**400,
    "completion_tokens": -5,
    "total_tokens": 1e308,
    "completion_tokens_details": {"reasoning_tokens": True},
    "prompt_tokens_details": {"cached_tokens": float("nan")},
    "input_tokens": -1,
    "output_tokens": 2**60,
    "inputTokens": 2**70,
    "outputTokens": "many",
    "totalTokens": -0.5,
}


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def strings(value: object, field: str = "") -> Iterator[tuple[str, str]]:
    """Every string of plain data with the member it stands in; names of members too."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield "name", str(name)
            yield from strings(inner, field if field == "request_ids" else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner, field)


def wrong_with(told: object, key: str = KEY, limits: dict[str, int] = LONG_FIELDS) -> list[str]:
    """What must not be in anything that is told: a control character, a form of the key, a string beyond its bound."""
    found = []
    for field, said in strings(msgspec.to_builtins(told)):
        if FORBIDDEN.search(said) or (field not in SEVERAL_LINES and re.search("[\n\t]", said)):
            found.append(f"{field} holds a control character: {said[:80]!r}")
        if len(said) > limits.get(field, bounds.NAME_LIMIT_CHARS):
            found.append(f"{field} has {len(said)} characters")
        if key and gives_away(said, key):
            found.append(f"{field} gives the key away: {said[:120]!r}")
    return found


def sse_events(*objects: object) -> bytes:
    return b"".join(b"data: " + dumped(one) + b"\n\n" for one in objects)


def chat_stream(h: Hostile) -> bytes:
    call = {"index": 0, "id": h(), "type": h(), "function": {"name": h(), "arguments": h()}}
    many = [
        {"index": n, "id": h(9), "function": {"name": h(9), "arguments": "{}"}} for n in range(1, TOOL_CALLS_LIMIT + 10)
    ]
    said = {"content": h(), "reasoning_content": h(9), "tool_calls": [call]}
    return (
        b": " + h(9).replace("\n", "").encode("utf-8", "replace") + b"\n\n"
        + sse_events(
            {"id": h(), "model": h(), "provider": h(), "choices": [{"index": 0, "delta": said}]},
            {"choices": [{"index": 0, "delta": {"tool_calls": many}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": h()}], "usage": USAGE, "model": h(99)},
            {"error": {"message": h(), "code": h(), "type": h(), "param": h()}},
        )
        + b"data: " + h().encode("utf-8", "replace").replace(b"\n", b"") + b"\n\n"
    )  # fmt: skip


def messages_stream(h: Hostile) -> bytes:
    started = {"id": h(), "model": h(), "usage": USAGE}
    return sse_events(
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": h(), "name": h()}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": h()}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": h()}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": h()}},
        {"type": "message_delta", "delta": {"stop_reason": h()}, "usage": USAGE},
        {"type": h(), "error": {"type": h(), "message": h()}},
        {"type": "error", "error": {"type": h(), "message": h()}},
    )


def deepinfra_stream(h: Hostile) -> bytes:
    return sse_events(
        {"token": {"id": 1, "text": h()}, "request_id": h(), "num_input_tokens": -3},
        {"error_message": h(), "error_type": h()},
        {"token": {"id": 1, "text": ""}, "details": {"finish_reason": h()}, "num_tokens": 10**30},
    )


def converse_stream(h: Hostile) -> bytes:
    name = h(40_000).encode("utf-8", "replace").decode()
    return b"".join([
        frame("messageStart", {"role": h()}),
        frame("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": h(), "name": h()}}}),
        frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": h()}}}),
        frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": h()}}),
        frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": h()}}}),
        frame("messageStop", {"stopReason": h()}),
        frame(name, {"message": h(), "originalMessage": h()}, kind="exception"),
        frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1e300}}),
    ])  # fmt: skip


def ollama_stream(h: Hostile) -> bytes:
    call = {"id": h(), "function": {"name": h(), "arguments": {h(9): h()}}}
    said = ({"role": h(9), "content": h()}, {"thinking": h()}, {"tool_calls": [call]})
    return b"".join(
        dumped(line) + b"\n"
        for line in (
            *({"model": h(9), "message": message, "done": False} for message in said),
            {"error": h()},
            {"model": h(), "message": {"content": ""}, "done": True, "done_reason": h(), "load_duration": 1e300},
        )
    )


def gemini_stream(h: Hostile) -> bytes:
    piece = {"jsonPath": "$.a", "stringValue": h(), "willContinue": True}
    parts = [
        {"text": h()},
        {"text": h(9), "thought": True},
        {"functionCall": {"id": h(), "name": h(), "args": {h(9): h()}}},
        {"functionCall": {"name": h(9), "partialArgs": [piece], "willContinue": True}},
        {"executableCode": {"language": h(), "code": h(9)}},
        {"inlineData": {"mimeType": h(), "data": h(9)}},
    ]
    return sse_events(
        {"candidates": [], "modelVersion": h(), "responseId": h()},
        *({"candidates": [{"content": {"parts": [part]}}]} for part in parts),
        {"candidates": [{"finishReason": h()}], "usageMetadata": {"promptTokenCount": -3, "totalTokenCount": 10**30}},
        {"promptFeedback": {"blockReason": h(), "blockReasonMessage": h()}},
        {"error": {"code": 503, "status": h(), "message": h()}},
    )


def simulated_stream(side: ServerDialect) -> Callable[[Hostile], bytes]:
    """A stream by the encoder of the simulator: hostile words, a call where there are tools, and an error."""

    def stream(h: Hostile) -> bytes:
        def words(chars: int = MANY_CHARS) -> str:
            return h(chars).encode("utf-8", "replace").decode()

        calls = [Piece("tool-start", words()), Piece("tool", "{}")] if "tools" in side.traits else []
        answer = ModelAnswer((Piece("text", words()), *calls))
        pieces = wire(side).stream(answer, TokenUsage(-1, 2**60))
        return b"".join(chunk.data for chunk in pieces) + wire(side).error(
            words(9_000), 500, words(9)
        )  # a frame header has at most 64 KiB

    return stream


WRITTEN: dict[str, Callable[[Hostile], bytes]] = {
    "chat": chat_stream,
    "messages": messages_stream,
    "deepinfra": deepinfra_stream,
    "converse": converse_stream,
    "ollama": ollama_stream,
    "gemini": gemini_stream,
}
STREAMS = {side.name: WRITTEN.get(side.name, simulated_stream(side)) for side in server_dialects()}
"""Per dialect, a stream whose every member is hostile; by the simulator's encoder where none is written."""
