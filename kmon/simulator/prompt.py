"""What a request asks for, found in its text: code, a nudge, a minimal reply, a chain of tool calls, a place."""

from __future__ import annotations

import re

from msgspec import Struct

from kmon.simulator.request import ChatRequest

PROMPT_LIMIT_CHARS = 8_000
"""The part of a message that is read, from its end, where a long context has its question."""
MINIMAL_LIMIT_CHARS = 120
CALL_LIMIT = 100

NUDGE = re.compile(r"\b(still there|are you there|you there)\b", re.IGNORECASE)
MAKING = re.compile(r"\b(write|generate|give|show|create|build|make|implement|refactor)\b", re.IGNORECASE)
CODE = re.compile(
    r"\b(code|function|program|script|class|sample|example|component|module|cache|algorithm|helper)\b", re.IGNORECASE
)
MINIMAL = re.compile(r"^\W*(say|reply|answer|respond|ping|hi|hello|hey)\b", re.IGNORECASE)
PLACE = re.compile(r"\b(?:in|for|at)\s+([A-Z][\w'-]*(?:,?\s?[A-Z][\w'-]*)*)")
PLACES = re.compile(r"\b(?:in|for|at|of)\s+([A-Z][\w'-]*(?:(?:,\s*and\s+|\s+and\s+|,\s*|\s)[A-Z][\w'-]*)*)")

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER = rf"\b(\d{{1,3}}|{'|'.join(NUMBERS)})\s+(?:[a-z-]+\s+)?"
STEPS = re.compile(_NUMBER + r"(?:times|steps?|calls?|rounds?|turns?)\b", re.IGNORECASE)
PARALLEL = re.compile(rf"(?:{_NUMBER}(?:[a-z-]+\s+)?)?\bin parallel\b", re.IGNORECASE)


class CallChain(Struct, frozen=True):
    """The tool calls before the answer: ``rounds`` turns of ``width`` calls each."""

    rounds: int
    width: int

    def due(self, results: int) -> int:
        """The number of calls in the next turn, after ``results`` results."""
        return max(0, min(self.width, self.rounds * self.width - results))


def last_prompt(request: ChatRequest) -> str:
    """The last 8,000 characters of the user's newest message."""
    return next((m.text for m in reversed(request.messages) if m.role == "user"), "")[-PROMPT_LIMIT_CHARS:]


def first_prompt(request: ChatRequest) -> str:
    """The last 8,000 characters of the user's oldest message."""
    return next((m.text for m in request.messages if m.role == "user"), "")[-PROMPT_LIMIT_CHARS:]


def is_nudge(request: ChatRequest) -> bool:
    """Whether the last message only asks whether the model is still there."""
    last = request.messages[-1]
    return last.role == "user" and bool(NUDGE.search(last.text))


def asks_for_code(prompt: str) -> bool:
    verb = MAKING.search(prompt)
    return verb is not None and CODE.search(prompt, verb.end()) is not None


def is_minimal(prompt: str) -> bool:
    return len(prompt) <= MINIMAL_LIMIT_CHARS and MINIMAL.search(prompt) is not None


def chain(prompt: str) -> CallChain | None:
    """The chain of calls a prompt asks for; None when it asks for none.

    ``in 3 steps``, ``5 times``: one call per turn. ``in parallel``: all of them in one turn, or, with a number
    before it beside the steps (``two calls in parallel``), so many per turn.
    """
    together = PARALLEL.search(prompt)
    steps = STEPS.search(prompt if together is None else prompt[: together.start()] + prompt[together.end() :])
    rounds = _number(steps[1]) if steps else None
    if together is None:
        return None if rounds is None else CallChain(rounds, 1)
    width = _number(together[1]) if together[1] else None
    if width is None:
        return CallChain(1, rounds or max(2, len(places(prompt))))
    return CallChain(rounds or 1, width)


def places(prompt: str) -> list[str]:
    """The places of the longest enumeration, as in ``for Tokyo, Paris and New York``."""
    listed = [re.split(r",\s*and\s+|\s+and\s+|,\s*", found) for found in PLACES.findall(prompt)]
    return max(listed, key=len, default=[])


def quoted(prompt: str, name: str) -> list[str]:
    """The quoted values after the name of a parameter, as in ``clues "a", "b" and "c"``."""
    listed = re.search(rf'\b{re.escape(name)}s?\s+((?:"[^"]*"(?:,\s*and\s+|\s+and\s+|,\s*)?)+)', prompt, re.IGNORECASE)
    return re.findall(r'"([^"]*)"', listed[1]) if listed else []


def _number(word: str) -> int:
    value = int(word) if word.isdigit() else NUMBERS.index(word.lower()) + 1
    return min(value, CALL_LIMIT)
