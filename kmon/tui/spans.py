"""Rows of the screen as plain values: spans of text, each with the name of a style.

Drawing functions return rows; ``line_widget.py`` knows the colours of the styles. A row's width is counted in terminal
cells, the way rich counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from rich.cells import cell_len


class Span(NamedTuple):
    """A stretch of text drawn with one style."""

    text: str
    style: str = "text"


Spans = tuple[Span, ...]

BLANK: Spans = ()
BLANK_FILL = Span(" ")
GLYPH_LIMIT = 8
"""Code points per cell; more is decoration meant to flood a row."""


def crop(text: str, width: int) -> str:
    """The longest beginning of ``text`` that fits in ``width`` cells, whole glyphs only."""
    if width <= 0:
        return ""
    if text.isascii() and text.isprintable():
        return text[:width]
    # A prefix never gets narrower by growing, so it can be searched for. Rich's own splitting disagrees with its
    # measuring on odd sequences of joiners; measuring alone keeps the borders straight.
    low, high = 0, min(len(text), width * GLYPH_LIMIT)
    while low < high:
        middle = (low + high + 1) // 2
        if cell_len(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def row_width(row: Iterable[Span]) -> int:
    """Width in cells."""
    return sum(cell_len(span.text) for span in row)


def merged(spans: Iterable[Span]) -> Spans:
    """Neighbours of one style as one span."""
    return tuple(Span("".join(s.text for s in same), style) for style, same in groupby(spans, key=lambda s: s.style))


def fit(row: Spans, width: int, style: str = "text") -> Spans:
    """The row cropped or padded to exactly ``width`` cells; padding is drawn with ``style``."""
    out: list[Span] = []
    left = width
    for span in row:
        cells = cell_len(span.text)
        if cells > left:
            if left > 0:
                shown = crop(span.text, left)
                out.append(Span(shown, span.style))
                out.append(Span(" " * (left - cell_len(shown)), span.style))
            return tuple(piece for piece in out if piece.text)
        if span.text:
            out.append(span)
        left -= cells
    if left > 0:
        out.append(Span(" " * left, style))
    return tuple(out)


def spread(left: Spans, right: Spans, width: int, fill: Span = BLANK_FILL) -> Spans:
    """``left`` and ``right`` pushed apart to exactly ``width`` cells; when tight, ``left`` is cropped first."""
    right_cells = row_width(right)
    room = width - right_cells
    if room <= 0:
        return fit(right, width)
    left_cells = row_width(left)
    if left_cells >= room:
        return (*fit(left, max(0, room - 1)), Span(fill.text, fill.style), *right)
    return (*left, Span(fill.text * (room - left_cells), fill.style), *right)


def shorten(text: str, width: int, ellipsis: str = "…") -> str:
    """``text`` in at most ``width`` cells, marked when something was cut off."""
    if cell_len(text) <= width:
        return text
    if width <= cell_len(ellipsis):
        return crop(text, width)
    return crop(text, width - cell_len(ellipsis)).rstrip() + ellipsis


def one_line(text: str) -> str:
    """``text`` with every run of white space made one blank, so that it cannot break a row."""
    return " ".join(text.split())


def cut_head(text: str, width: int) -> tuple[str, str]:
    """Split off what fits in ``width`` cells (>= 2), after a blank where one is near enough, never inside a glyph.

    Returns (head, rest); the head is never empty.
    """
    head = crop(text, width) or text[0]
    if len(head) < len(text) and text[len(head)] != " ":
        blank = head.rfind(" ")
        if blank >= width // 2:
            head = head[: blank + 1]
    rest = text[len(head) :]
    return head, rest[1:] if rest.startswith(" ") and not head.endswith(" ") else rest


def wrap(text: str, width: int, limit: int) -> list[str]:
    """One sentence wrapped to at most ``limit`` lines of ``width`` cells; the last is marked when it was cut."""
    rest = one_line(text)
    lines: list[str] = []
    while rest and len(lines) < limit:
        if len(lines) == limit - 1 or cell_len(rest) <= width:
            lines.append(shorten(rest, width))
            break
        head, rest = cut_head(rest, max(2, width))
        lines.append(head.rstrip())
        rest = rest.lstrip()
    return lines
