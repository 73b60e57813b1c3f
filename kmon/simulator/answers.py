"""The answer of the simulated model: text, reasoning or tool calls that fit the request, in token-sized pieces."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import islice
from random import Random
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kmon.simulator.prompt import (
    PLACE,
    PROMPT_LIMIT_CHARS,
    asks_for_code,
    is_minimal,
    is_nudge,
    last_prompt,
)
from kmon.simulator.request import ChatRequest
from kmon.simulator.tool_use import Call, calls

TOKEN = re.compile(r" ?[A-Za-z]{1,8}|\n *|\d{1,3}| ?[^\sA-Za-z\d]{1,3}|\s+|.", re.DOTALL)
TYPESCRIPT = re.compile(r"\b(typescript|javascript|ts|js|react|node)\b", re.IGNORECASE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
WEATHER = re.compile(r"\b(weather|temp|temperature|degrees|forecast)\b", re.IGNORECASE)
RESULT_LIMIT_CHARS = 60

PieceKind = Literal["reasoning", "text", "tool-start", "tool", "search"]
Finish = Literal["stop", "tool_calls", "length"]


class Piece(Struct, frozen=True):
    """About one token of output. In a ``tool-start``, ``text`` is the tool's name. Without text, a ``reasoning`` is a
    token that is not shown; a ``search`` is a use of a tool of the server, which a fault adds."""

    kind: PieceKind
    text: str


class ModelAnswer(Struct, frozen=True):
    """The output of the model in order. ``calls_before`` counts the tool calls earlier in the conversation."""

    pieces: tuple[Piece, ...]
    finish: Finish = "stop"
    calls_before: int = 0

    def joined(self, kind: PieceKind) -> str:
        return "".join(piece.text for piece in self.pieces if piece.kind == kind)

    def count(self, kind: PieceKind) -> int:
        return sum(piece.kind == kind for piece in self.pieces)

    @property
    def blocks(self) -> list[tuple[Piece, ...]]:
        """The pieces in groups: consecutive reasoning, consecutive text, or one tool call."""
        found: list[list[Piece]] = []
        for piece in self.pieces:
            before = found[-1][-1].kind if found else None
            same = piece.kind == before or (piece.kind == "tool" and before == "tool-start")
            if not same or piece.kind == "tool-start":
                found.append([])
            found[-1].append(piece)
        return [tuple(block) for block in found]

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Name and JSON arguments of every tool call."""
        tools = (block for block in self.blocks if block[0].kind == "tool-start")
        return [(name.text, "".join(piece.text for piece in arguments)) for name, *arguments in tools]

    def capped(self, limit: int | None) -> ModelAnswer:
        """The answer cut to ``limit`` pieces, with finish reason ``length`` if it was longer."""
        if limit is None or len(self.pieces) <= limit:
            return self
        return replace(self, pieces=self.pieces[:limit], finish="length")


def tokens(text: str) -> list[str]:
    """``text`` in token-sized pieces, which joined are the same text."""
    return TOKEN.findall(text)


def answer(request: ChatRequest, reasoning_tokens: int, rng: Random) -> ModelAnswer:
    """The answer to ``request``, with ``reasoning_tokens`` of reasoning first, within its token limit."""
    pieces = list(reasoning(reasoning_tokens if request.may_think else 0))
    before = sum(len(message.tool_calls or ()) for message in request.messages)
    wanted = calls(request)
    if not wanted:
        pieces += [Piece("text", token) for token in tokens(_text(request, rng))]
        return ModelAnswer(tuple(pieces), calls_before=before).capped(request.token_limit)
    if not before and request.tool_choice != "required":  # a forced call has no text before it
        lead = f"I'll use {wanted[0].name} to look that up for you."
        pieces += [Piece("text", token) for token in tokens(lead)]
    for call in wanted:
        pieces += _called(call)
    return ModelAnswer(tuple(pieces), "tool_calls", before).capped(request.token_limit)


def reasoning(count: int) -> Iterator[Piece]:
    """``count`` tokens of reasoning. The text repeats, but each time with another first sentence."""
    return islice((Piece("reasoning", token) for turn in itertools.count(1) for token in _thoughts(turn)), count)


@cache
def _thoughts(turn: int) -> tuple[str, ...]:
    again = f"Looking at it once more, for the {turn}th time. " if turn > 1 else ""
    return tuple(tokens(f"{again}{_file('reasoning').strip()} "))


def _called(call: Call) -> Iterator[Piece]:
    yield Piece("tool-start", call.name)
    for token in tokens(json.dumps(call.arguments, ensure_ascii=False)):
        yield Piece("tool", token)


def _text(request: ChatRequest, rng: Random) -> str:
    if request.tool_result:
        return _about_tool_results(request, rng)
    prompt = last_prompt(request)
    if is_nudge(request):
        return "Yes, still here. The answer above is not finished yet; I am on it."
    if asks_for_code(prompt):
        return _file("typescript" if TYPESCRIPT.search(prompt) else "python")
    if is_minimal(prompt):
        return rng.choice(("OK.", "Hello!", "Hello, I am here.", "OK, ready."))
    return _file("prose")


def _about_tool_results(request: ChatRequest, rng: Random) -> str:
    results = [message.text[:PROMPT_LIMIT_CHARS] for message in request.messages if message.role == "tool"]
    if len(results) > 1:
        *most, last = [_short(result) for result in results]
        return rng.choice(("The {} results are {} and {}.", "All {} calls are done: {} and {}.")).format(
            len(results), ", ".join(most), last
        )
    number = NUMBER.search(results[0])
    if number is None:
        return "The tool has answered; that is all there is to report."
    talk = [message.text[-PROMPT_LIMIT_CHARS:] for message in request.messages]
    if not any(WEATHER.search(text) for text in talk):
        return rng.choice(("The answer is {}.", "The tool says {}.")).format(number.group(0))
    place = next((found.group(1) for text in talk if (found := PLACE.search(text))), "Tokyo")
    degrees = number.group(0)
    return rng.choice(
        (
            f"It's {degrees}°C in {place} right now.",
            f"The current temperature in {place} is {degrees}°C.",
            f"Currently {place} is at {degrees} degrees.",
            f"It's currently {degrees} degrees in {place}.",
            f"{place}'s temperature is: {degrees}°C",
        )
    )


def _short(result: str) -> str:
    number = NUMBER.search(result)
    return number.group(0) if number else " ".join(result.split())[:RESULT_LIMIT_CHARS]


@cache
def _file(name: str) -> str:
    return files("kmon.simulator").joinpath("answers", f"{name}.md").read_text("utf-8")
