"""Scenarios with a size: a long generated text (the same for the same size), or a chain of tool calls."""

from __future__ import annotations

import random

from msgspec.structs import replace

from kmon.model import Chain, Scenario

MARK = "{filler}"
STEPS_MARK = "{steps}"
STEPS_LIMIT = 50
TOKENS_LIMIT = 2_000_000
"""Above the context of every Kimi model; a larger number is a typing error."""

_SEED = 20_000
_SENTENCE_TOKENS = 10
_WORDS = (
    "the", "old", "man", "sat", "by", "that", "red", "barn", "and", "saw", "her", "dog", "run", "over", "his", "boat",
    "we", "had", "no", "rain", "all", "day", "but", "sun", "came", "out", "late", "she", "put", "milk", "near", "low",
    "fire", "they", "cut", "hay", "along", "our", "road", "one", "fox", "hid", "for", "two",
)  # fmt: skip
"""Short common words: each is one token in common tokenizers and, with its space, about four characters, so the size
is the same by words and by characters / 4."""


def filler(tokens: int) -> str:
    """Sentences of ten tokens each, with about ``tokens`` tokens in all."""
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
    """The scenario with ``{filler}`` in its messages replaced by about ``tokens`` tokens of text."""
    text = filler(tokens)
    messages = tuple(replace(message, content=message.content.replace(MARK, text)) for message in scenario.messages)
    return replace(scenario, messages=messages, filler_tokens=tokens)


def with_steps(scenario: Scenario, chain: Chain, steps: int) -> Scenario:
    """The scenario with ``{steps}`` replaced by ``steps`` in its messages, check and chain."""
    contains = tuple(needle.replace(STEPS_MARK, str(steps)) for needle in scenario.check.contains)
    messages = tuple(replace(m, content=m.content.replace(STEPS_MARK, str(steps))) for m in scenario.messages)
    check = replace(scenario.check, contains=contains)
    return replace(scenario, messages=messages, check=check, chain=replace(chain, steps=steps))
