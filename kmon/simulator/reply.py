"""A healthy answer as a script: what a provider in good order would send, and when."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from kmon.simulator.answers import Answer, Piece
from kmon.simulator.chat import JSON_HEADERS, SSE_HEADERS, ChatRequest, ChatWire, Usage
from kmon.simulator.pacing import Pace, first_wait_s, gaps_s
from kmon.simulator.script import End, Head, Script, Send, Step, Whole

HEAD_SHARE = 0.3
"""Part of the wait for the first token after which the headers are there."""
CHARS_PER_TOKEN = 4


def streamed(request: ChatRequest, wire: ChatWire, answer: Answer, pace: Pace, rng: Random) -> Script:
    """The answer as a stream."""
    return tuple(_stream(request, wire, answer, pace, rng))


def _stream(request: ChatRequest, wire: ChatWire, answer: Answer, pace: Pace, rng: Random) -> Iterator[Step]:
    wait_s = first_wait_s(pace, rng)
    yield Head(200, _with_id(SSE_HEADERS, wire), after_s=wait_s * HEAD_SHARE)
    yield Send(wire.role(), "role")
    gaps = [wait_s * (1 - HEAD_SHARE), *gaps_s(pace, len(answer.pieces), rng)]
    for piece, gap_s in zip(answer.pieces, gaps, strict=False):
        yield _send(wire, piece, gap_s)
    yield Send(wire.finish(answer.finish), "finish", after_s=gaps[len(answer.pieces)])
    if request.wants_usage:
        yield Send(wire.usage(usage(request, answer)), "usage")
    yield Send(wire.done(), "done")
    yield End()


def _send(wire: ChatWire, piece: Piece, after_s: float) -> Send:
    match piece.kind:
        case "reasoning":
            return Send(wire.reasoning(piece.text), "reasoning", after_s)
        case "text":
            return Send(wire.text(piece.text), "text", after_s, text=piece.text)
        case "tool-start":
            return Send(wire.tool_start(_call_id(wire, piece.text), piece.text), "tool", after_s)
        case "tool":
            return Send(wire.tool_arguments(piece.text), "tool", after_s)


def complete(request: ChatRequest, wire: ChatWire, answer: Answer, pace: Pace, rng: Random) -> Script:
    """The answer in one piece, after the time it takes to generate it."""
    wait_s = first_wait_s(pace, rng) + sum(gaps_s(pace, len(answer.pieces), rng))
    return (whole_answer(request, wire, answer, wait_s),)


def whole_answer(request: ChatRequest, wire: ChatWire, answer: Answer, after_s: float) -> Whole:
    """The answer as one JSON document."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.joined("text")}
    if thought := answer.joined("reasoning"):
        message["reasoning_content"] = thought
    if name := answer.joined("tool-start"):
        function = {"name": name, "arguments": answer.joined("tool")}
        message["tool_calls"] = [{"id": _call_id(wire, name), "type": "function", "function": function}]
    body = wire.completion(message, answer.finish, usage(request, answer))
    return Whole(200, _with_id(JSON_HEADERS, wire), body, after_s)


def usage(request: ChatRequest, answer: Answer) -> Usage:
    """Token counts: output by the pieces sent, input by length."""
    chars = sum(len(message.text) for message in request.messages)
    tools = sum(len(tool.function.description) + 40 for tool in request.tools or ())
    prompt = (chars + tools) // CHARS_PER_TOKEN + 4 * len(request.messages)
    return Usage(max(1, prompt), len(answer.pieces), answer.count("reasoning"))


def _call_id(wire: ChatWire, name: str) -> str:
    """Tool ids in the family's own form: Kimi numbers them per function."""
    return f"functions.{name}:0" if "kimi" in wire.model.lower() else f"call_{wire.response_id[-12:]}"


def _with_id(headers: tuple[tuple[str, str], ...], wire: ChatWire) -> tuple[tuple[str, str], ...]:
    return (*headers, ("x-request-id", f"req_{wire.response_id[-12:]}"))
