"""Chance by shuffled decks: of every ten equal requests exactly the expected number is struck, in an order by seed."""

from __future__ import annotations

from random import Random

DECK = 10


def struck(probability: float, turn: int, key: str) -> bool:
    """Whether the ``turn``-th (from 1) of equal requests is struck.

    Requests 1-10, 11-20 and so on are a deck each, from which ``10 * probability`` are drawn without replacement; a
    fraction is carried over to the next deck. So ten rounds at 0.4 are four failures, not somewhere between one and
    eight, and a demonstration shows what it says. ``key`` decides the order.
    """
    deck, place = divmod(turn - 1, DECK)
    share = DECK * probability
    count = int(round((deck + 1) * share, 9)) - int(round(deck * share, 9))
    return place in Random(f"{key}/{deck}").sample(range(DECK), count)
