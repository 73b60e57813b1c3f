"""Whether two model names can mean the same model. Providers spell one model in many ways, so doubt means yes."""

from __future__ import annotations

import re
from typing import NamedTuple

_FAMILY = re.compile(
    r"(kimi|gpt-oss|gpt|claude|llama|qwen|deepseek|mixtral|mistral|ministral|nova|gemma|gemini|glm|minimax|command|phi|grok)"
)
_KIMI = re.compile(r"kimi[-_ ]?k(\d+)(?:[.p](\d{1,2})(?!\d)|-(\d)(?!\d))?")
_NUMBER = re.compile(r"(\d+(?:[.p]\d+)?)")
_DATE = re.compile(r"(?<!\d)(0\d{3}|1[0-2]\d{2})(?!\d)")


class _Name(NamedTuple):
    family: str
    generation: str
    thinking: bool
    date: str


def may_be_same(asked: str, served: str) -> bool:
    """False only when both names tell their family and the families, generations or kinds of thinking differ."""
    one, other = _name(asked), _name(served)
    if one is None or other is None:
        return True
    if one.family != other.family:
        return False
    if one.generation and other.generation and one.generation != other.generation:
        return False
    if one.family == "kimi" and one.generation == other.generation == "2" and one.thinking != other.thinking:
        return False
    return not (one.family == "kimi" and one.date and other.date and one.date != other.date)


def _name(model: str) -> _Name | None:
    low = model.lower().rsplit("/", 1)[-1]
    family = _FAMILY.search(low)
    if family is None:
        return None
    if family[1] == "kimi":
        found = _KIMI.search(low)
        parts = [part for part in (found[1], found[2] or found[3]) if part] if found else []
        date = _DATE.search(low)
        return _Name("kimi", ".".join(parts), "thinking" in low, date[1] if date else "")
    # Of other families only the number right after the family's name is taken for the generation.
    rest = low[family.end() :].lstrip("-_ v")
    number = _NUMBER.match(rest)
    return _Name(family[1], number[1].replace("p", ".") if number else "", False, "")
