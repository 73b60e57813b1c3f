"""Finds a tool call that a model wrote as its whole answer: JSON or a call expression, with the name of a tool. Pure.

Models without a marker for calls write them so (Llama 3 and 4, Phi, xLAM); it is the server's parser that must turn
them into tool calls.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice

from kmon.dialects.json_access import members, parsed, text

CALLS_LIMIT = 20
DEPTH = 3
LONGEST_CHARS = 50_000
"""A longer answer is not searched."""
_FENCED = re.compile(r"```(?:json|python|tool_call|tool_code)?[ \t]*\n(.*?)\n?```", re.DOTALL)
_BETWEEN = re.compile(r"(?<=\})\s*(?:;\s*)?(?=\{)")
_EXPRESSION = re.compile(r"\[?\s*([A-Za-z_][\w.]{0,63})\(.*\)\s*\]?", re.DOTALL)
_HEADED = re.compile(r"(?:>>>|call:)([A-Za-z_][\w.-]{0,63})\s*(?=\{)")
_ARGUMENTS = ("arguments", "parameters", "args", "input")


def written_call(answer: str, tools: Collection[str]) -> str | None:
    """The name of the tool that ``answer`` calls in words and nothing else; None if it is another answer.

    ``tools`` are the names of those that the request offers.
    """
    said = answer.strip() if len(answer) <= LONGEST_CHARS else ""
    fenced = _FENCED.fullmatch(said)
    said = said if fenced is None else fenced[1].strip()
    if said[:1] in ("{", "["):
        named = next((name for name in _named(said) if name in tools), None)
        if named is not None:
            return named
    found = _HEADED.match(said) or _EXPRESSION.fullmatch(said)
    if found is None or (fenced is not None and not said.startswith("[")):
        return None  # code that calls a function of that name
    return found[1] if found[1] in tools else None


def _named(said: str) -> Iterator[str]:
    """The names of the calls in ``said``, which may hold several objects one after the other."""
    for whole in (said, "[" + _BETWEEN.sub(",", said) + "]"):
        try:
            value = parsed(whole.encode("utf-8", "replace"))
        except ValueError:
            continue
        return islice(_calls(value, DEPTH), CALLS_LIMIT)
    return iter(())


def _calls(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value if depth else ():
            yield from _calls(inner, depth - 1)
    elif isinstance(value, dict):
        call = members(value.get("function")) or value
        name = text(call.get("name")) or text(call.get("tool_name"))
        if name and any(_is_arguments(call.get(key)) for key in _ARGUMENTS):
            yield name
        elif depth and isinstance(value.get("tool_calls"), list):
            yield from _calls(value["tool_calls"], depth - 1)


def _is_arguments(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value.lstrip().startswith("{"))
