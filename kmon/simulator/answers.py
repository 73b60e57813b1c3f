"""What the simulated model says: an answer that fits the request, as pieces the size of tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import cycle, islice
from random import Random
from typing import Any, Literal

from msgspec import Struct

from kmon.simulator.chat import ChatRequest, OfferedFunction

TOKEN = re.compile(r" ?[A-Za-z]{1,8}|\n *|\d{1,3}| ?[^\sA-Za-z\d]{1,3}|\s+|.", re.DOTALL)
NUDGE = re.compile(r"\b(still there|are you there|you there)\b", re.IGNORECASE)
MAKING = re.compile(r"\b(write|generate|give|show|create|build|make|implement|refactor)\b", re.IGNORECASE)
CODE = re.compile(
    r"\b(code|function|program|script|class|sample|example|component|module|cache|algorithm|helper)\b", re.IGNORECASE
)
TYPESCRIPT = re.compile(r"\b(typescript|javascript|ts|js|react|node)\b", re.IGNORECASE)
MINIMAL = re.compile(r"^\W*(say|reply|answer|respond|ping|hi|hello|hey)\b", re.IGNORECASE)
MINIMAL_LIMIT_CHARS = 120
PROMPT_LIMIT_CHARS = 8_000
"""How much of the last message is read, from its end: a long context asks its question there."""
PLACE = re.compile(r"\b(?:in|for|at)\s+([A-Z][\w'-]*(?:,?\s?[A-Z][\w'-]*)*)")
WORD = re.compile(r"[a-z]{4,}")

PieceKind = Literal["reasoning", "text", "tool-start", "tool"]
Finish = Literal["stop", "tool_calls", "length"]


class Piece(Struct, frozen=True):
    """About one token of output. Of a ``tool-start``, ``text`` is the tool's name."""

    kind: PieceKind
    text: str


class Answer(Struct, frozen=True):
    """Everything the model will say, in order."""

    pieces: tuple[Piece, ...]
    finish: Finish = "stop"

    def joined(self, kind: PieceKind) -> str:
        return "".join(piece.text for piece in self.pieces if piece.kind == kind)

    def count(self, kind: PieceKind) -> int:
        return sum(piece.kind == kind for piece in self.pieces)

    def capped(self, limit: int | None) -> Answer:
        """The answer as ``max_tokens`` leaves it."""
        if limit is None or len(self.pieces) <= limit:
            return self
        return Answer(self.pieces[:limit], "length")


def tokens(text: str) -> list[str]:
    """Split into token-sized pieces; joined again they are the same text."""
    return TOKEN.findall(text)


def answer(request: ChatRequest, reasoning_tokens: int, rng: Random) -> Answer:
    """What to say to ``request``, thinking for ``reasoning_tokens`` first, within its token limit."""
    pieces = list(reasoning(reasoning_tokens))
    tool = _tool_asked_for(request)
    if tool is None:
        pieces += [Piece("text", token) for token in tokens(_text(request, rng))]
        return Answer(tuple(pieces)).capped(request.token_limit)
    arguments = _arguments(tool, _prompt(request))
    lead = f"I'll use {tool.name} to look that up for you."
    pieces += [Piece("text", token) for token in tokens(lead)]
    pieces.append(Piece("tool-start", tool.name))
    pieces += [Piece("tool", token) for token in tokens(json.dumps(arguments, ensure_ascii=False))]
    return Answer(tuple(pieces), "tool_calls").capped(request.token_limit)


def reasoning(count: int) -> Iterator[Piece]:
    """``count`` tokens of thinking."""
    return islice(cycle(Piece("reasoning", token) for token in tokens(_file("reasoning").strip() + " ")), count)


def is_nudge(request: ChatRequest) -> bool:
    """Whether the last message only asks if anybody is still there."""
    last = request.messages[-1]
    return last.role == "user" and bool(NUDGE.search(last.text))


def _text(request: ChatRequest, rng: Random) -> str:
    if request.tool_result:
        return _about_tool_result(request, rng)
    prompt = _prompt(request)
    if is_nudge(request):
        return "Yes, still here. The answer above is not finished yet; I am on it."
    if _asks_for_code(prompt):
        return _file("typescript" if TYPESCRIPT.search(prompt) else "python")
    if MINIMAL.search(prompt) and len(prompt) <= MINIMAL_LIMIT_CHARS:
        return rng.choice(("OK.", "Hello!", "Hello, I am here.", "OK, ready."))
    return _file("prose")


def _prompt(request: ChatRequest) -> str:
    return next((m.text for m in reversed(request.messages) if m.role == "user"), "")[-PROMPT_LIMIT_CHARS:]


def _asks_for_code(prompt: str) -> bool:
    verb = MAKING.search(prompt)
    return verb is not None and CODE.search(prompt, verb.end()) is not None


def _tool_asked_for(request: ChatRequest) -> OfferedFunction | None:
    """The offered tool that the last message asks for: forced by ``tool_choice``, or the one it shares words with."""
    offered = [tool.function for tool in request.tools or ()]
    if not offered or request.tool_result or request.tool_choice == "none":
        return None
    if isinstance(request.tool_choice, dict):
        wanted = request.tool_choice.get("function")
        name = wanted.get("name") if isinstance(wanted, dict) else None
        return next((tool for tool in offered if tool.name == name), None)
    prompt = _prompt(request)
    ranked = sorted(offered, key=lambda tool: -_overlap(tool, prompt))
    if request.tool_choice == "required":
        return ranked[0]
    if is_nudge(request) or _asks_for_code(prompt) or not _overlap(ranked[0], prompt):
        return None
    return ranked[0]


def _overlap(tool: OfferedFunction, prompt: str) -> int:
    about = set(WORD.findall(f"{tool.name} {tool.description} {' '.join(_properties(tool))}".lower()))
    return len(about & set(WORD.findall(prompt.lower())))


def _properties(tool: OfferedFunction) -> dict[str, Any]:
    properties = tool.parameters.get("properties")
    return properties if isinstance(properties, dict) else {}


def _arguments(tool: OfferedFunction, prompt: str) -> dict[str, Any]:
    """Arguments by the tool's JSON Schema: required members, or all when none is required."""
    properties = _properties(tool)
    required = tool.parameters.get("required")
    names = [n for n in required if n in properties] if isinstance(required, list) and required else list(properties)
    return {name: _value(properties[name], prompt) for name in names}


def _value(schema: object, prompt: str) -> object:
    if not isinstance(schema, dict):
        return "value"
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    match schema.get("type"):
        case "integer":
            return 1
        case "number":
            return 1.5
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return {}
    place = PLACE.search(prompt)
    return place.group(1) if place else "Tokyo"


def _about_tool_result(request: ChatRequest, rng: Random) -> str:
    number = re.search(r"-?\d+(?:\.\d+)?", request.messages[-1].text[:PROMPT_LIMIT_CHARS])
    if number is None:
        return "The tool has answered; that is all there is to report."
    place = next((p.group(1) for m in request.messages if (p := PLACE.search(m.text[-PROMPT_LIMIT_CHARS:]))), "Tokyo")
    degrees = number.group(0)
    return rng.choice(
        (
            f"It's {degrees}°C in {place} right now.",
            f"The current temperature in {place} is {degrees}°C.",
            f"Currently {place} is at {degrees} degrees.",
        )
    )


@cache
def _file(name: str) -> str:
    return files("kmon.simulator").joinpath("answers", f"{name}.md").read_text("utf-8")
