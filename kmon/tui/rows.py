"""Lines of the screen as plain values: spans of text, each drawn with a named pen.

Drawing functions return rows; only ``painted.py`` knows what colour a pen has. A row's width is counted in terminal
cells, the way rich counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size


class Span(NamedTuple):
    """A stretch of text drawn with one pen."""

    text: str
    pen: str = "text"


Row = tuple[Span, ...]

BLANK: Row = ()


def row_width(row: Iterable[Span]) -> int:
    """Width in cells."""
    return sum(cell_len(span.text) for span in row)


def fit(row: Row, width: int, pen: str = "text") -> Row:
    """The row cropped or padded to exactly ``width`` cells; padding is drawn with ``pen``."""
    out: list[Span] = []
    left = width
    for span in row:
        cells = cell_len(span.text)
        if cells > left:
            if left > 0:
                out.append(Span(set_cell_size(span.text, left), span.pen))
            return tuple(out)
        if span.text:
            out.append(span)
        left -= cells
    if left > 0:
        out.append(Span(" " * left, pen))
    return tuple(out)


def spread(left: Row, right: Row, width: int, fill: Span = Span(" ")) -> Row:  # noqa: B008 (a constant value)
    """``left`` and ``right`` pushed apart to exactly ``width`` cells; when tight, ``left`` is cropped first."""
    right_cells = row_width(right)
    room = width - right_cells
    if room <= 0:
        return fit(right, width)
    left_cells = row_width(left)
    if left_cells >= room:
        return (*fit(left, max(0, room - 1)), Span(fill.text, fill.pen), *right)
    return (*left, Span(fill.text * (room - left_cells), fill.pen), *right)


def shorten(text: str, width: int, ellipsis: str = "…") -> str:
    """``text`` in at most ``width`` cells, marked when something was cut off."""
    if cell_len(text) <= width:
        return text
    if width <= cell_len(ellipsis):
        return set_cell_size(text, max(0, width)).rstrip()
    return set_cell_size(text, width - cell_len(ellipsis)).rstrip() + ellipsis


def one_line(text: str) -> str:
    """``text`` with every run of white space made one blank, so that it cannot break a row."""
    return " ".join(text.split())


def cut_head(text: str, width: int) -> tuple[str, str]:
    """Split off what fits in ``width`` cells (>= 2), after a blank where one is near enough, never inside a glyph.

    Returns (head, rest); the head is never empty.
    """
    if text.isascii():
        head = text[:width]
    else:
        # A glyph is at most a handful of code points wide of its cells; more is decoration meant to flood a row.
        window = text[: width * 8]
        pieces = chop_cells(window, width)
        head = pieces[0] if pieces and pieces[0] else window
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
