"""Finds repetition in output: a loop at the end of a text, and chunks that were sent twice. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

WINDOW_CHARS = 8_192
"""Only the end of a text is searched, since a model in a loop stays in it."""
LONG_WINDOW_CHARS = 200_000
"""The end that is searched for units too long for the window."""
PROBE_CHARS = 200
TIMES_LIMIT = 50_000
RULER_CHARS = 400
"""No ruler is longer."""
SHORT_UNIT_CHARS = 40
LOOP_CHARS = 320
"""Least length of a loop, so that a ruler, a refrain or a few equal lines are no loop."""
SHORT_TIMES, LONG_TIMES = 12, 4
"""How often a short and a longer unit must be repeated."""
PASSAGE_CHARS = 160
PASSAGE_WORDS = 12
"""Least length and least different words of a passage whose repetition is no coincidence."""
PAIRED_PIECES, PAIRED_DIFFERENT = 24, 8
"""Least pieces, and least different ones, of a stream that sends each piece twice."""
GROWING_PIECES = 4
PERIOD_LIMIT_PIECES = 2_000
LOOKED_BACK = 6


class Loop(NamedTuple):
    """``unit`` stands ``times`` in a row at the end of a text."""

    unit: str
    times: int


def loop_at_end(text: str) -> Loop | None:
    """The loop at the end of ``text``, or None. A unit of fewer than two different letters is decoration, no loop."""
    text = text[-LONG_WINDOW_CHARS:].rstrip()
    unit = _short_unit(text) or _long_unit(text)
    if unit is None or len({c for c in unit if c.isalpha()}) < 2:
        return None
    return Loop(unit, _times(text, unit))


def endless_ruler(text: str) -> Loop | None:
    """The sign at the end of ``text`` that no ruler repeats so often; None if there is none.

    A model whose numbers broke says one token for ever, often ``!``. Letters and digits may be data.
    """
    text = text[-LONG_WINDOW_CHARS:].rstrip()
    unit = text[-1:]
    times = 0 if not unit or unit.isalnum() else len(text) - len(text.rstrip(unit))
    return Loop(unit, times) if times > RULER_CHARS else None


def _times(text: str, unit: str) -> int:
    end, times = len(text), 0
    while times < TIMES_LIMIT and text.endswith(unit, 0, end):
        end, times = end - len(unit), times + 1
    return times


def _long_unit(text: str) -> str | None:
    """What the text ends in ``LONG_TIMES`` times, longer than the window can show."""
    if len(text) < WINDOW_CHARS:
        return None
    before = text.rfind(text[-PROBE_CHARS:], 0, -1)
    period = len(text) - PROBE_CHARS - before
    whole = period * (LONG_TIMES - 1)
    if before < 0 or whole >= len(text):
        return None
    unit = text[-period:]
    first = unit[PROBE_CHARS:]  # the first may have no separator before it
    return unit if text.endswith(unit * (LONG_TIMES - 1)) and text[:-whole].endswith(first) else None


def _short_unit(text: str) -> str | None:
    tail = text[-WINDOW_CHARS:][::-1]
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
    return tail[: longest[1]][::-1] or None


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


def sent_again(pieces: Sequence[str]) -> str | None:
    """How a stream sends its pieces more than once, as words: each twice, all of them in each, or all at the end."""
    for start in (0, 1):
        pairs = list(zip(pieces[start::2], pieces[start + 1 :: 2], strict=False))
        paired = len(pairs) * 2 >= PAIRED_PIECES and all(one == other for one, other in pairs)
        if paired and len({one for one, _ in pairs}) >= PAIRED_DIFFERENT:
            return "each chunk came twice"
    telling = len(pieces) > 1 and len(pieces[-1]) >= PASSAGE_CHARS and _telling(pieces[-1])
    if not telling:
        return None
    if len(pieces) >= GROWING_PIECES and all(_grown(*pair) for pair in pairwise(pieces)):
        return "each chunk repeats all text before it, where a delta has only what is new"
    if pieces[-1].strip() == "".join(pieces[:-1]).strip():
        return "the last chunk repeats the whole text"
    return None


def _grown(before: str, after: str) -> bool:
    return len(after) > len(before) and after.startswith(before)
