"""Scroll bars for terminals that show only ASCII."""

from __future__ import annotations

from typing import ClassVar

from textual.scrollbar import ScrollBarRender
from textual.widget import Widget


class WholeCells(ScrollBarRender):
    """A bar that ends at whole cells, so that it needs no block characters."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8


def ascii_scroll_bar(widget: Widget) -> None:
    """Give ``widget``, once mounted, a vertical scroll bar without block characters."""
    widget.vertical_scrollbar.renderer = WholeCells  # type: ignore[misc]
