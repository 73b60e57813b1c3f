"""Tables of measured figures with the bar that each must keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """A measured value; ``bar`` is the most that it may be, or the least. None for a figure that is only told.

    ``slack`` is what chance explains of a value beyond the bar.
    """

    value: float
    bar: float | None = None
    least: bool = False
    slack: float = 0.0

    @property
    def missed(self) -> bool:
        if self.bar is None:
            return False
        return self.value < self.bar - self.slack if self.least else self.value > self.bar + self.slack

    @property
    def text(self) -> str:
        shown = f"{self.value:.3f}".removeprefix("0") if self.value < 1 else f"{self.value:g}"
        if self.bar is None:
            return shown
        return f"{shown} ({'>=' if self.least else '<='} {self.bar:g}){' MISSED' if self.missed else ''}"


class Table(NamedTuple):
    """Rows of figures under a heading; a row begins with the name of its case."""

    title: str
    heading: tuple[str, ...]
    rows: Sequence[tuple[str, Sequence[Figure]]]

    @property
    def missed(self) -> int:
        return sum(figure.missed for _, figures in self.rows for figure in figures)

    @property
    def text(self) -> str:
        cells = [self.heading, *((case, *(figure.text for figure in figures)) for case, figures in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        )
        return "\n".join((self.title, *lines, ""))
