"""What makes repeated requests comparable: a shuffled order that can be repeated, and a nonce against prompt caches."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from kmon.model import PromptMessage


def shuffled(count: int, seed: int | None, round_number: int) -> list[int]:
    """The order of ``count`` rows in a round: as given without a seed, else the same for the same seed and round."""
    order = list(range(count))
    if seed is not None:
        random.Random(f"{seed}:{round_number}").shuffle(order)
    return order


def with_nonce(messages: Sequence[PromptMessage], nonce: str) -> tuple[PromptMessage, ...]:
    """The conversation with its first message made unique: a cached prefix can then answer none of it.

    The mark goes to the front, where it changes the whole prefix, and says what it is, so that a model is not misled.
    """
    first, *rest = messages
    return (msgspec.structs.replace(first, content=f"[request {nonce}]\n{first.content}"), *rest)
