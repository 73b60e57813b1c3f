"""Widgets that draw rows themselves with the Line API, and the ink they draw with.

A frame replaces the rows; only lines that differ from the frame before are refreshed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from kmon.tui.palette import Palette
from kmon.tui.rows import Row, Span, fit

_OUTPUT = frozenset({"text", "reasoning", "tool"})
_TO_ASCII = {ord("…"): "~", ord("·"): "-"}
"""The ornaments of kmon's own words; what a model writes is shown as it wrote it."""


class Ink:
    """The pens of the theme in use. Shared by all widgets and refilled when the theme changes."""

    def __init__(self, palette: Palette, *, ascii: bool = False) -> None:
        self.palette = palette
        self.ascii = ascii
        self.pens: Mapping[str, Style] = palette.pens()

    def use(self, palette: Palette) -> None:
        self.palette = palette
        self.pens = palette.pens()

    def strip(self, row: Row, width: int) -> Strip:
        """A row as a strip of exactly ``width`` cells."""
        pens = self.pens
        if self.ascii:
            row = tuple(span if span.pen in _OUTPUT else Span(span.text.translate(_TO_ASCII), span.pen) for span in row)
        return Strip([Segment(span.text, pens[span.pen]) for span in fit(row, width)], width)


class Painted(Widget):
    """A widget that shows the rows it was last given."""

    def __init__(self, ink: Ink, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self.ink = ink
        self.rows: Sequence[Row] = ()

    def paint(self, rows: Sequence[Row]) -> None:
        """Show ``rows`` from now on."""
        before, self.rows = self.rows, rows
        if len(before) != len(rows):
            self.refresh()
            return
        width = self.size.width
        changed = [Region(0, y, width, 1) for y, row in enumerate(rows) if row != before[y]]
        if changed:
            self.refresh(*changed)

    def dress(self, row: Row) -> Row:
        """A last change before a row is drawn, for what depends on the widget and not on the run."""
        return row

    def render_line(self, y: int) -> Strip:
        row = self.dress(self.rows[y]) if y < len(self.rows) else ()
        return self.ink.strip(row, self.size.width)
