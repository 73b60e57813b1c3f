"""Judges whether a prompt asked for what an answer repeats. Pure."""

from __future__ import annotations

import re

from kmon.findings.repetition import Loop

LONG_UNIT_CHARS = 20
"""So long a unit is in the prompt because it is asked about; a shorter one may be any word of it."""
SPARE = 2
"""A loop of so many times the number that was asked for is no longer what was asked for."""
_NUMBER_WORDS = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000}
_COUNTED = re.compile(
    r"(\d[\d,. ]{0,12}|\b(?:dozen|hundred|thousand|million)s?(?: of)?)\s*"
    r"(?:times|lines|rows|copies|items|entries|words|x)\b",
    re.IGNORECASE,
)
_ENDLESS = re.compile(
    r"\b(?:again and again|over and over|for ?ever|endless(?:ly)?|infinite(?:ly)?|without (?:end|stopping)"
    r"|never stop)\b",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"\b(?:repeat(?:ed|edly|ing|s)?|as (?:often|many times) as)\b", re.IGNORECASE)


def asked_for(loop: Loop, prompt: str, *, ended_itself: bool, thinking: bool) -> bool:
    """Whether ``prompt`` asked for a loop; ``thinking``: whether it is in the reasoning, which nobody asks to repeat.

    An answer that ended by itself has done what was asked. One that ran into its limit has, if it was asked for that
    many, or for no end.
    """
    counted, endless = _times(prompt), _ENDLESS.search(prompt) is not None
    asked = bool(counted) or endless or _REPEATED.search(prompt) is not None
    quoted = loop.unit.strip().casefold() in prompt.casefold()
    if quoted and (asked or len(loop.unit.strip()) >= LONG_UNIT_CHARS):
        return ended_itself or not counted or loop.times <= SPARE * counted
    if thinking or not asked:
        return False
    return ended_itself or endless or loop.times <= SPARE * counted


def _times(prompt: str) -> int:
    """The largest number of times, lines or the like in a prompt; 0 if it has none."""
    found = [match[1].lower() for match in _COUNTED.finditer(prompt)]
    return max(map(_number, found), default=0)


def _number(words: str) -> int:
    digits = re.sub(r"\D", "", words)
    return int(digits) if digits else _NUMBER_WORDS[words.removesuffix(" of").removesuffix("s")]
