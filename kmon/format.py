"""Formats numbers, lists and tables as text for people. Units are always written; a column has one unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Generic, NamedTuple, TypeVar

NS_PER_S = 1_000_000_000
Item = TypeVar("Item")
Shown = TypeVar("Shown", contravariant=True)


def seconds(ns: int, decimals: int = 1) -> str:
    """``17.2 s``; whole seconds from 100 s up."""
    value_s = ns / NS_PER_S
    return f"{value_s:.0f} s" if value_s >= 100 else f"{value_s:.{decimals}f} s"


def threshold(ns: int) -> str:
    """``5``, ``1.84``: seconds without the unit, at most two decimals."""
    return f"{round(ns / NS_PER_S, 2):g}"


def clock(ns: int) -> str:
    """``00:42``, ``1:00:42``."""
    total_s = max(0, ns) // NS_PER_S
    hours, rest = divmod(total_s, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60:02}:{rest % 60:02}"


def duration_words(duration_s: float) -> str:
    """``12 s``, ``14 minutes``, ``6.5 hours``, ``3 days``: for a span of which the seconds do not matter."""
    if duration_s < 90:
        return f"{duration_s:.0f} s"
    if duration_s < 5_400:
        return f"{duration_s / 60:.0f} minutes"
    if duration_s < 172_800:
        return f"{round(duration_s / 3_600, 1):g} hours"
    return f"{round(duration_s / 86_400, 1):g} days"


def count(number: int) -> str:
    """``128``, ``5.1 k``, ``2.3 M``."""
    if number < 1000:
        return str(number)
    return f"{number / 1000:.1f} k" if number < 999_950 else f"{number / 1_000_000:.1f} M"


def plural(number: int, word: str) -> str:
    """``1 stall``, ``2 stalls``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def rate(per_s: float) -> str:
    """``61/s``, ``0.3/s``; empty for zero."""
    if per_s <= 0:
        return ""
    return f"{per_s:.0f}/s" if per_s >= 1 else f"{per_s:.1f}/s"


def percent(share: float, *, up: bool = False) -> str:
    """``share`` in percent without the sign; ``up`` rounds upwards. Only 0 and 1 are shown as 0 and 100."""
    text = ""
    for decimals in range(4):
        scaled = share * 100
        if up:
            scaled = ceil(scaled * 10**decimals - 1e-9) / 10**decimals
        text = f"{scaled:.{decimals}f}"
        if share in (0.0, 1.0) or 0 < float(text) < 100:
            break
    return text


def percentage(share: float) -> str:
    """``94.7 %``, ``95 %``: at most one decimal; never ``100 %`` for less than all."""
    return f"{round(min(share, 0.999) * 100 if share < 1 else 100.0, 1):g} %"


def p_value(p: float) -> str:
    """``0.125``, ``< 0.0001``."""
    return f"{p:.3g}" if p >= 0.0001 else "< 0.0001"


def p_equals(p: float) -> str:
    """``p = 0.125``, ``p < 0.0001``."""
    return f"p = {p_value(p)}" if p >= 0.0001 else f"p {p_value(p)}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


class TextLine(NamedTuple):
    """A line of a report. A line of a ``table`` is cropped to the width, never wrapped."""

    text: str
    table: bool = False


@dataclass(frozen=True)
class Column(Generic[Shown]):
    """A column of a table.

    ``cell`` makes the text of one row. A ``number`` is aligned to the right. ``width`` is in terminal cells; 0 means as
    wide as the widest cell. ``help`` says in a few words what the column shows.
    """

    title: str
    cell: Callable[[Shown], str]
    number: bool = False
    width: int = 0
    help: str = ""


def table(columns: Sequence[Column[Item]], items: Iterable[Item]) -> list[str]:
    """The heading and a line per item, with two blanks between columns. All lines have the same length."""
    rows = [[column.title for column in columns], *([column.cell(item) for column in columns] for item in items)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column.number else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        )
        for row in rows
    ]
