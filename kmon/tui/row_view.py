"""A scrolling list of rows that follows its end until the user scrolls away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kmon.tui.keymap import bindings
from kmon.tui.line_widget import Styles, ascii_scroll_bar
from kmon.tui.spans import Spans


class RowSource(Protocol):
    """Rows by index, made only when they are looked at."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> Spans: ...


@dataclass(frozen=True, slots=True)
class FixedRows:
    """Finished rows."""

    rows: tuple[Spans, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> Spans:
        return self.rows[index]


class RowView(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows with a scroll bar. ``follow`` is True while the view sticks to the end."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("view")

    def __init__(self, styles: Styles, *, id: str, follow: bool) -> None:
        super().__init__(id=id)
        self.line_styles = styles
        self.follow = follow
        self._rows: RowSource | None = None
        self._settling = False

    def on_mount(self) -> None:
        if self.line_styles.ascii:
            ascii_scroll_bar(self)

    @property
    def room(self) -> int:
        """Cells beside the scroll bar; 0 before the first layout."""
        return self.scrollable_content_region.width

    def show(self, rows: RowSource) -> None:
        """Show ``rows`` from now on; they may have grown or changed in place."""
        self._rows = rows
        size = Size(max(1, self.room), len(rows))
        if size != self.virtual_size:
            self._settling = True
            self.virtual_size = size
            self._settling = False
        if self.follow:
            self._to_end()
        self.refresh()

    def set_follow(self, follow: bool) -> None:
        self.follow = follow
        if follow:
            self._to_end()

    def action_scroll_up(self) -> None:
        self.scroll_up(animate=False)

    def action_scroll_down(self) -> None:
        self.scroll_down(animate=False)

    def action_page_up(self) -> None:
        self.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        self.scroll_page_down(animate=False)

    def action_scroll_home(self) -> None:
        self.scroll_home(animate=False)

    def action_scroll_end(self) -> None:
        self.set_follow(True)

    def _to_end(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        # Growing content moves nothing; only the user (or following) changes the position.
        if not self._settling and old_value != new_value:
            self.follow = round(new_value) >= self.max_scroll_y

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        rows = self._rows
        row: Spans = rows.row(index) if rows is not None and index < len(rows) else ()
        return self.line_styles.strip(row, self.size.width)
