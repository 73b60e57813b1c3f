"""The base classes of the screens."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from kmon.stream.state import State
from kmon.stream.view import RunView
from kmon.tui import bars
from kmon.tui.keymap import Scope, View, hints
from kmon.tui.line_widget import LineWidget, ascii_scroll_bar
from kmon.tui.shown_race import ShownRace
from kmon.tui.spans import Spans
from kmon.tui.status_text import StatusText

Result = TypeVar("Result")


class BaseScreen(Screen[Result]):
    """Drops a resize that is already out of date.

    Textual's screen answers a resize by posting itself one of the new size; two different sizes under way at once
    (a window placed while the program starts, rich's guess of 80x25 for TERM=dumb) would cause each other without end.
    """

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Resize) and event.size != self.app.size:
            return
        await super().on_event(event)


class PageScreen(BaseScreen[Result]):
    """A page of text that can be scrolled."""

    def __init__(self, content: Content, *, id: str, page_id: str, ascii: bool) -> None:
        super().__init__(id=id)
        self._content, self._page_id, self._ascii = content, page_id, ascii

    def compose(self) -> ComposeResult:
        with VerticalScroll(id=self._page_id):
            yield Static(self._content, markup=False)

    def on_mount(self) -> None:
        if self._ascii:
            ascii_scroll_bar(self.query_one(VerticalScroll))


class LiveScreen(BaseScreen[None]):
    """A screen that shows runs of the race between a header, a status bar and a line of hints.

    The application calls :meth:`draw` once per frame for the uppermost of these screens.
    """

    AUTO_FOCUS = ""
    SCOPE: ClassVar[Scope]

    def __init__(self, shown: ShownRace, *, id: str) -> None:
        super().__init__(id=id)
        self.shown = shown
        self.header_line = LineWidget(shown.styles, id="header", classes="line")
        self.status_line = LineWidget(shown.styles, id="status", classes="line")
        self.hint_line = LineWidget(shown.styles, id="hints", classes="line")

    @property
    @abstractmethod
    def current(self) -> RunView | None:
        """The run that keys act on."""

    @abstractmethod
    def draw(self, now_ns: int) -> None:
        """Draw one frame as of ``now_ns``."""

    def draw_header(self, states: Mapping[State, int], now_ns: int, *, sort: str = "", query: str = "") -> None:
        header = self.shown.header(states, now_ns, sort=sort, query=query)
        self.header_line.update([bars.header(header, self.size.width)])

    def draw_hints(self, view: View) -> None:
        options = self.shown.options
        found = hints(view, options.impossible)
        self.hint_line.update([bars.hint_line(found, self.size.width, ascii=options.ascii)])

    def status_bar(self, said: StatusText) -> Spans:
        shown = self.shown
        error, ascii = shown.reader.engine_error, shown.options.ascii
        return bars.status(said, shown.race, error, self.size.width, ascii=ascii)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        """Draw a frame at once."""
        self.shown.redraw()


class OverviewScreen(LiveScreen):
    """All runs of a race at once, beside the panes: the board of a test, the factors of an isolation."""

    @abstractmethod
    def forget(self) -> None:
        """Reset for a new race."""

    @abstractmethod
    def focus_run(self, run: RunView) -> None:
        """Put the focus on a run, if it is shown."""
