"""Widgets that draw rows themselves with the Line API, and the styles they draw with.

A frame replaces the rows; only lines that differ from the frame before are refreshed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.scrollbar import ScrollBarRender
from textual.strip import Strip
from textual.widget import Widget

from kmon.tui.palette import Palette
from kmon.tui.spans import Span, Spans, fit

_OUTPUT = frozenset({"text", "reasoning", "tool"})
_TO_ASCII = {ord("…"): "~", ord("·"): "-"}
"""Typographic characters of kmon's own texts; the output of a model is not changed."""


class Styles:
    """The styles of the theme in use. Shared by all widgets and refilled when the theme changes."""

    def __init__(self, palette: Palette, *, ascii: bool = False) -> None:
        self.palette = palette
        self.ascii = ascii
        self.styles: Mapping[str, Style] = palette.styles()

    def use(self, palette: Palette) -> None:
        self.palette = palette
        self.styles = palette.styles()

    def strip(self, row: Spans, width: int) -> Strip:
        """A row as a strip of exactly ``width`` cells."""
        styles = self.styles
        if self.ascii:
            row = tuple(
                span if span.style in _OUTPUT else Span(span.text.translate(_TO_ASCII), span.style) for span in row
            )
        return Strip([Segment(span.text, styles[span.style]) for span in fit(row, width)], width)


class LineWidget(Widget):
    """A widget that shows the rows it was last given."""

    def __init__(self, styles: Styles, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self.line_styles = styles
        self.rows: Sequence[Spans] = ()

    def update(self, rows: Sequence[Spans]) -> None:
        """Show ``rows`` from now on."""
        before, self.rows = self.rows, rows
        if len(before) != len(rows):
            self.refresh()
            return
        width = self.size.width
        changed = [Region(0, y, width, 1) for y, row in enumerate(rows) if row != before[y]]
        if changed:
            self.refresh(*changed)

    def decorate(self, row: Spans) -> Spans:
        """A last change before a row is drawn, for what depends on the widget and not on the run."""
        return row

    def render_line(self, y: int) -> Strip:
        row = self.decorate(self.rows[y]) if y < len(self.rows) else ()
        return self.line_styles.strip(row, self.size.width)


class WholeCells(ScrollBarRender):
    """A scroll bar that ends at whole cells, so that it needs no block characters."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8


def ascii_scroll_bar(widget: Widget) -> None:
    """Give ``widget``, once mounted, a vertical scroll bar without block characters."""
    widget.vertical_scrollbar.renderer = WholeCells  # type: ignore[misc]
