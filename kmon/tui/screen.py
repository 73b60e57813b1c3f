"""A screen that believes only the terminal's present size."""

from __future__ import annotations

from typing import TypeVar

from textual import events
from textual.screen import Screen

Result = TypeVar("Result")


class BaseScreen(Screen[Result]):
    """Drops a resize that is already out of date.

    Textual's screen answers a resize by posting itself one of the new size; two different sizes under way at once
    (a window placed while the program starts, rich's guess of 80x25 for TERM=dumb) would chase each other for ever.
    """

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Resize) and event.size != self.app.size:
            return
        await super().on_event(event)
