"""Cuts a long text in a few pieces, at the ends of sentences where there are any. Pure."""

from __future__ import annotations

import re

WHOLE_CHARS = 400
"""A text up to this length is one piece."""
PIECE_CHARS = 200
"""The least that pieces are meant to have."""
MOST_PIECES = 8

_BOUNDARIES = (re.compile(r"(?<=[.!?])\s+|\n+"), re.compile(r"\s+"))
"""After a sentence or a line; else after a word."""


def pieces(text: str) -> tuple[str, ...]:
    """The text in one piece, or in about equal ones that are the text again when they are joined."""
    if len(text) <= WHOLE_CHARS:
        return (text,)
    count = min(MOST_PIECES, len(text) // PIECE_CHARS)
    ends = [found.end() for found in _BOUNDARIES[0].finditer(text)] or [m.end() for m in _BOUNDARIES[1].finditer(text)]
    cuts = [0]
    for number in range(1, count):
        meant = number * len(text) // count
        able = [end for end in ends if cuts[-1] < end < len(text)]
        cut = min(able, key=lambda end: abs(end - meant)) if able else meant if not ends else cuts[-1]
        if cut > cuts[-1]:
            cuts.append(cut)
    return tuple(text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True))
