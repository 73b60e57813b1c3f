"""Streams of the simulator as values, in any of its dialects, for tests that a new dialect passes by itself."""

from __future__ import annotations

from random import Random

from kmon.model import PromptMessage, Scenario, Target
from kmon.simulator.answers import ModelAnswer, Piece
from kmon.simulator.request import ChatMessage, ChatRequest, TokenUsage
from kmon.simulator.script import SendChunk
from kmon.simulator.wire import ServerDialect, Wire

MODEL = "org/m"
WORDS = ("It ", "is ", "22 °C.")
ASK = Scenario(name="minimal", messages=(PromptMessage(role="user", content="hi"),), max_tokens=50)
CALL = (Piece("tool-start", "get_weather"), Piece("tool", '{"city":'), Piece("tool", '"Oslo"}'))


def wire(side: ServerDialect) -> Wire:
    """The encoder of one answer; the same each time."""
    return side.wire(ChatRequest(MODEL, [ChatMessage("user", "hi")], stream=True), Random(1))


def stream(side: ServerDialect, *pieces: Piece) -> list[SendChunk]:
    """The pieces of an answer of :data:`WORDS` and then of ``pieces``."""
    words = tuple(Piece("text", word) for word in WORDS)
    answer = ModelAnswer((*words, *pieces), "tool_calls" if pieces else "stop")
    return list(wire(side).stream(answer, TokenUsage(9, 4)))


def body(side: ServerDialect, *pieces: Piece) -> bytes:
    return b"".join(chunk.data for chunk in stream(side, *pieces))


def target(name: str, url: str) -> Target:
    return Target(name=name, provider="p", model=MODEL, base_url=url, dialect=name)
