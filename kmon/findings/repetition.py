"""Finds repetition in output: a loop at the end of a text, and a passage that was sent twice. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WINDOW_CHARS = 8_192
"""Only the end of a text is searched, since a model in a loop stays in it."""
SHORT_UNIT_CHARS = 40
LOOP_CHARS = 320
"""Least length of a loop, so that a ruler, a refrain or a few equal lines are no loop."""
SHORT_TIMES, LONG_TIMES = 12, 4
"""How often a short and a longer unit must be repeated."""
PASSAGE_CHARS = 160
PASSAGE_WORDS = 12
"""Least length and least different words of a passage whose repetition is no coincidence."""
PERIOD_LIMIT_PIECES = 2_000
LOOKED_BACK = 6


class Loop(NamedTuple):
    """``unit`` stands ``times`` in a row at the end of a text."""

    unit: str
    times: int


def loop_at_end(text: str) -> Loop | None:
    """The loop at the end of ``text``, or None. A unit of fewer than two different letters is decoration, no loop."""
    tail = text[-WINDOW_CHARS:].rstrip()[::-1]
    if len(tail) < LOOP_CHARS:
        return None
    # The Knuth-Morris-Pratt table of the reversed tail holds, for every length, its shortest period.
    border = [0] * len(tail)
    longest: tuple[int, int] = (0, 0)
    k = 0
    for i in range(1, len(tail)):
        while k and tail[i] != tail[k]:
            k = border[k - 1]
        k += tail[i] == tail[k]
        border[i] = k
        length, period = i + 1, i + 1 - k
        times = length // period
        wanted = SHORT_TIMES if period <= SHORT_UNIT_CHARS else LONG_TIMES
        if length >= LOOP_CHARS and times >= wanted:
            longest = (length, period)
    length, period = longest
    if not period:
        return None
    unit = tail[:period][::-1]
    if len({c for c in unit if c.isalpha()}) < 2:
        return None
    return Loop(unit, length // period)


def passage_sent_twice(pieces: Sequence[str]) -> str | None:
    """A long passage that stands twice in a row, in the same pieces, or None.

    ``pieces`` holds the output of each chunk. A passage that is itself made of repetitions does not count, since a run
    of equal lines is common.
    """
    seen: dict[str, list[int]] = {}
    matching: dict[int, int] = {}
    for i, piece in enumerate(pieces):
        before = seen.setdefault(piece, [])
        periods = {i - at for at in before if i - at <= PERIOD_LIMIT_PIECES}
        matching = {period: matching.get(period, 0) + 1 for period in periods | matching.keys()
                    if period <= i and pieces[i - period] == piece}  # fmt: skip
        for period, count in matching.items():
            if count == period and (passage := "".join(pieces[i - period + 1 : i + 1])) and _telling(passage):
                return passage
        before.append(i)
        del before[:-LOOKED_BACK]
    return None


def _telling(passage: str) -> bool:
    if len(passage) < PASSAGE_CHARS or len(set(passage.split())) < PASSAGE_WORDS:
        return False
    return (passage + passage).find(passage, 1) == len(passage)
