"""Where the panes go: as few and as wide columns as keep every pane tall enough to read.

Only runs in view have a pane; panes are reused when the grid scrolls, so ten thousand runs need no more widgets than
the screen has room for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.message import Message
from textual.widget import Widget

from kmon.tui.line_widget import ascii_scroll_bar
from kmon.tui.pane import Pane

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


@dataclass(frozen=True)
class Places:
    """The places of ``count`` panes, row by row. They may reach below ``height``: then the grid scrolls."""

    count: int
    width: int
    height: int

    @cached_property
    def columns(self) -> int:
        return columns_for(self.count, self.width, self.height) if self.count else 1

    @cached_property
    def rows(self) -> int:
        return -(-self.count // self.columns)

    @property
    def total_height(self) -> int:
        return self._top(self.rows) if self.count else 0

    def at(self, index: int) -> Cell:
        """The place of one pane."""
        row, column = divmod(index, self.columns)
        in_row = len(self.in_row(row))
        x, y = _before(self.width, in_row, column), self._top(row)
        return Cell(x, y, _before(self.width, in_row, column + 1) - x, self._top(row + 1) - y)

    def in_row(self, row: int) -> range:
        """The panes of a row, by index; none outside of the grid."""
        first = row * self.columns
        return range(first, min(first + self.columns, self.count)) if row >= 0 else range(0)

    def between(self, top: int, bottom: int) -> range:
        """The panes, by index, of the rows that reach into these lines."""
        rows = [row for row in self._rows_near(top, bottom) if self._top(row) < bottom and self._top(row + 1) > top]
        return range(self.in_row(rows[0]).start, self.in_row(rows[-1]).stop) if rows else range(0)

    def neighbour(self, index: int, dx: int, dy: int) -> int | None:
        """The pane next to one in a direction, or None at the edge."""
        row = index // self.columns
        if dx:
            return index + dx if index + dx in self.in_row(row) else None
        here = self.at(index)
        middle = here.x + here.width // 2
        places = {other: self.at(other) for other in self.in_row(row + dy)}
        return min(places, key=lambda i: abs(places[i].x + places[i].width // 2 - middle), default=None)

    def _top(self, row: int) -> int:
        """The line at which a row begins."""
        return _before(self.height, self.rows, row) if self.height // self.rows >= MIN_HEIGHT else row * MIN_HEIGHT

    def _rows_near(self, top: int, bottom: int) -> range:
        """Rows among which those that reach into these lines are; none is less than ``MIN_HEIGHT`` lines tall."""
        if not self.count:
            return range(0)
        tallest = max(MIN_HEIGHT, -(-self.height // self.rows))
        return range(max(0, top // tallest - 1), min(self.rows, bottom // MIN_HEIGHT + 1))


def _before(total: int, parts: int, index: int) -> int:
    """Where the share of ``index`` begins when ``total`` is cut in whole shares that differ by at most one, the larger
    first."""
    share, left = divmod(total, parts)
    return share * index + min(left, index)


class _PaneLayout(Layout):
    name = "panes"

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:
        assert isinstance(parent, PaneGrid)
        places = Places(len(parent.order), size.width, size.height)
        found = []
        for pane, index in parent.shown():
            found.append(WidgetPlacement(Region(*places.at(index)), NULL_OFFSET, Spacing(), pane))
        if places.count:  # at the end of all panes, so that the scroll bar has the right size
            corner = Region(size.width - 1, places.total_height - 1, 1, 1)
            found.append(WidgetPlacement(corner, NULL_OFFSET, Spacing(), parent.corner))
        mounted = set(children)
        return [placement for placement in found if placement.widget in mounted]


class PaneGrid(Widget):
    """The runs of ``order``, of which those in view have a pane, and the one in focus wherever it is."""

    class Scrolled(Message):
        """Other runs are in view now."""

    def __init__(self, pane: Callable[[str, Pane | None], Pane], *, ascii: bool) -> None:
        """``pane`` gives a run its pane: the one that another run no longer needs, or a new one."""
        super().__init__(id="panes")
        self.order: Sequence[str] = ()
        self.panes: dict[str, Pane] = {}
        """The panes in use, by the ids of their runs."""
        self.corner = Widget()
        self.corner.visible = False
        self._pane = pane
        self._spare: list[Pane] = []
        self._position: Callable[[str], int | None] = lambda _: None
        self._laid_out: tuple[object, ...] = ()
        self._ascii = ascii
        self._pane_layout = _PaneLayout()

    def on_mount(self) -> None:
        if self._ascii:
            ascii_scroll_bar(self)
        self.mount(self.corner)

    @property
    def layout(self) -> Layout:
        return self._pane_layout

    def render(self) -> str:
        """Nothing of its own, not even before the first pane is there."""
        return ""

    @property
    def places(self) -> Places:
        return Places(len(self.order), self.size.width, self.size.height)

    def shown(self) -> list[tuple[Pane, int]]:
        """The panes in use and where their runs stand in the order, in that order."""
        found = [(pane, self._position(name)) for name, pane in self.panes.items()]
        return sorted(((pane, at) for pane, at in found if at is not None), key=lambda shown: shown[1])

    def position(self, name: str) -> int | None:
        """Where a run stands in the order; None when it is not shown."""
        return self._position(name)

    def in_view(self) -> list[str]:
        """The runs that are, at least in part, in view, in order."""
        window = self.window_region
        return [self.order[index] for index in self.places.between(window.y, window.bottom)]

    def show(self, order: Sequence[str], position: Callable[[str], int | None], focused: str | None) -> None:
        """Show exactly these runs in this order, with panes for those in view and for the one in focus."""
        self.order, self._position = order, position
        wanted = dict.fromkeys(self.in_view())
        if focused is not None and position(focused) is not None:
            wanted[focused] = None
        for name in [name for name in self.panes if name not in wanted]:
            self._spare.append(self.panes.pop(name))
        fresh = []
        for name in wanted:
            if name not in self.panes:
                pane = self._pane(name, self._spare.pop() if self._spare else None)
                self.panes[name] = pane
                if not pane.is_attached:
                    fresh.append(pane)
                pane.display = True
        for pane in self._spare:
            pane.display = False
        if fresh:
            self.mount_all(fresh)
        laid_out = (len(order), *((pane, at) for pane, at in self.shown()))
        if laid_out != self._laid_out:
            self._laid_out = laid_out
            # The request of a child makes the grid arrange its children anew; its own would keep their places.
            self.corner.refresh(layout=True)

    def reveal(self, name: str) -> None:
        """Bring a run into view, if it is not, once the grid has been laid out."""
        at = self._position(name)
        region = None if at is None else Region(*self.places.at(at))
        if region is not None and not self.window_region.contains_region(region):
            self.scroll_to_region(region, animate=False, center=True, origin_visible=True)

    def forget(self) -> None:
        """Remove all panes."""
        for pane in (*self.panes.values(), *self._spare):
            pane.remove()
        self.panes.clear()
        self._spare.clear()
        self.show((), lambda _: None, None)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled())

    def neighbour(self, name: str, dx: int, dy: int) -> str | None:
        """The run next to one in a direction, or None at the edge."""
        at = self._position(name)
        to = None if at is None else self.places.neighbour(at, dx, dy)
        return None if to is None else self.order[to]
