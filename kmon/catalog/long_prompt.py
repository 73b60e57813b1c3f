"""Scenarios with a size: a long text made to measure (the same size gives the same text), a chain of so many steps."""

from __future__ import annotations

import random

from msgspec.structs import replace

from kmon.model import Chain, Scenario

MARK = "{filler}"
STEPS_MARK = "{steps}"
STEPS_LIMIT = 50
TOKENS_LIMIT = 2_000_000
"""Twice the largest context any Kimi model has; more is a typing error."""

_SEED = 20_000
_SENTENCE_TOKENS = 10
_WORDS = (
    "the", "old", "man", "sat", "by", "that", "red", "barn", "and", "saw", "her", "dog", "run", "over", "his", "boat",
    "we", "had", "no", "rain", "all", "day", "but", "sun", "came", "out", "late", "she", "put", "milk", "near", "low",
    "fire", "they", "cut", "hay", "along", "our", "road", "one", "fox", "hid", "for", "two",
)  # fmt: skip
"""Short common words: each is one token to the tokenizers in use, and with its space about four characters, so
counting words or dividing characters by four agrees on the size."""


def filler(tokens: int) -> str:
    """About ``tokens`` tokens of plain sentences, ten tokens each with the full stop."""
    draw = random.Random(_SEED)
    sentences: list[str] = []
    left = tokens
    while left > 0:
        size = min(_SENTENCE_TOKENS, left) - 1
        words = [_WORDS[int(draw.random() * len(_WORDS))] for _ in range(max(1, size))]
        sentences.append(" ".join(words).capitalize() + ".")
        left -= _SENTENCE_TOKENS
    return " ".join(sentences)


def filled(scenario: Scenario, tokens: int) -> Scenario:
    """The scenario with about ``tokens`` tokens of text in place of the mark in its messages."""
    text = filler(tokens)
    messages = tuple(replace(message, content=message.content.replace(MARK, text)) for message in scenario.messages)
    return replace(scenario, messages=messages, filler_tokens=tokens)


def with_steps(scenario: Scenario, chain: Chain, steps: int) -> Scenario:
    """The scenario asking for ``steps`` tool results, and checked for them."""
    contains = tuple(needle.replace(STEPS_MARK, str(steps)) for needle in scenario.check.contains)
    messages = tuple(replace(m, content=m.content.replace(STEPS_MARK, str(steps))) for m in scenario.messages)
    check = replace(scenario.check, contains=contains)
    return replace(scenario, messages=messages, check=check, chain=replace(chain, steps=steps))
