"""Where the panes go: as few and as wide columns as keep every pane tall enough to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

from kmon.tui.pane import Pane
from kmon.tui.scroll_bar import ascii_scroll_bar

MIN_WIDTH = 38
MIN_HEIGHT = 5
GOOD_WIDTH = 56
GOOD_HEIGHT = 8


class Cell(NamedTuple):
    """A pane's place, in cells."""

    x: int
    y: int
    width: int
    height: int


def columns_for(count: int, width: int, height: int) -> int:
    """How many columns ``count`` panes get in ``width`` x ``height`` cells.

    Wide panes are for reading, so columns are added only until the panes are tall enough; then the last row is
    filled as evenly as possible.
    """
    widest = max(1, min(count, width // MIN_WIDTH))
    columns = max(1, min(count, width // GOOD_WIDTH))
    while columns < widest and height // -(-count // columns) < GOOD_HEIGHT:
        columns += 1
    rows = -(-count // columns)
    return -(-count // rows)


def cells(count: int, width: int, height: int) -> list[Cell]:
    """The places of ``count`` panes, row by row. They may reach below ``height``: then the grid scrolls."""
    if count == 0:
        return []
    columns = columns_for(count, width, height)
    rows = -(-count // columns)
    tall = _shares(height, rows) if height // rows >= MIN_HEIGHT else [MIN_HEIGHT] * rows
    places: list[Cell] = []
    y = 0
    for row in range(rows):
        in_row = min(columns, count - row * columns)
        x = 0
        for share in _shares(width, in_row):
            places.append(Cell(x, y, share, tall[row]))
            x += share
        y += tall[row]
    return places


def _shares(total: int, parts: int) -> list[int]:
    """``total`` in ``parts`` whole shares that differ by at most one, the larger first."""
    share, left = divmod(total, parts)
    return [share + (i < left) for i in range(parts)]


class _PaneLayout(Layout):
    name = "panes"

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:
        assert isinstance(parent, PaneGrid)
        shown = [pane for pane in parent.order if pane in set(children)]
        return [
            WidgetPlacement(Region(*cell), NULL_OFFSET, Spacing(), pane)
            for pane, cell in zip(shown, cells(len(shown), size.width, size.height), strict=True)
        ]


class PaneGrid(Widget):
    """The panes. ``order`` decides which are shown and where, whatever order they were mounted in."""

    def __init__(self, *, ascii: bool) -> None:
        super().__init__(id="panes")
        self.order: Sequence[Pane] = ()
        self._ascii = ascii
        self._pane_layout = _PaneLayout()

    def on_mount(self) -> None:
        if self._ascii:
            ascii_scroll_bar(self)

    @property
    def layout(self) -> Layout:
        return self._pane_layout

    def render(self) -> str:
        """Nothing of its own, not even before the first pane is there."""
        return ""

    def show(self, panes: Sequence[Pane]) -> None:
        """Show exactly these panes in this order."""
        if list(panes) == list(self.order):
            return
        self.order = list(panes)
        wanted = set(panes)
        for child in self.query_children(Pane):
            child.display = child in wanted
        if panes:
            # The request of a child makes the grid arrange its children anew; its own would keep their places.
            panes[0].refresh(layout=True)

    def neighbour(self, pane: Pane, dx: int, dy: int) -> Pane | None:
        """The pane next to ``pane`` in a direction, or None at the edge."""
        places = cells(len(self.order), self.size.width, self.size.height)
        at = list(self.order).index(pane) if pane in self.order else -1
        if at < 0:
            return None
        here = places[at]
        if dx:
            row = [i for i, place in enumerate(places) if place.y == here.y]
            to = at + dx
            return self.order[to] if to in row else None
        rows = sorted({place.y for place in places})
        row_at = rows.index(here.y) + dy
        if not 0 <= row_at < len(rows):
            return None
        middle = here.x + here.width // 2
        candidates = [i for i, place in enumerate(places) if place.y == rows[row_at]]
        best = min(candidates, key=lambda i: abs(places[i].x + places[i].width // 2 - middle))
        return self.order[best]
