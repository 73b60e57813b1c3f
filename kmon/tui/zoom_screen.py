"""One run over the whole screen, in three tabs: flow, gaps, raw chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click, Resize

from kmon.stream.state import ENDED, Observation
from kmon.stream.view import RunView
from kmon.tui import bars, status_text
from kmon.tui.line_widget import LineWidget
from kmon.tui.pane_drawing import Look
from kmon.tui.row_view import RowView
from kmon.tui.screen import BaseScreen
from kmon.tui.spans import Span, Spans, one_line, row_width, spread
from kmon.tui.zoom_flow import FlowRows
from kmon.tui.zoom_gaps import gap_rows
from kmon.tui.zoom_raw import RawRows

if TYPE_CHECKING:
    from kmon.tui.app import KmonApp

TABS = ("Flow", "Gaps", "Raw")
GAPS_EVERY_NS = 500_000_000


class ZoomScreen(BaseScreen[None]):
    """The zoomed run. FrameTimer come from the app, as for the race screen."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,z,enter", "app.pop_screen", "Back", id="zoom.back"),
        Binding("right,tab", "turn(1)", "Next tab", id="zoom.next-tab"),
        Binding("left,shift+tab", "turn(-1)", "Previous tab", id="zoom.previous-tab"),
        Binding("space", "follow", "Follow", id="zoom.follow"),
        *(Binding(str(n), f"choose({n})", f"Run {n}", id=f"zoom.run-{n}", show=False) for n in range(1, 10)),
    ]
    app: KmonApp

    def __init__(self, kmon: KmonApp, run_id: str) -> None:
        super().__init__(id="zoom")
        styles = kmon.line_styles
        self.run_id = run_id
        self.tab = 0
        self.look = Look(ascii=kmon.options.ascii)
        self.header_line = LineWidget(styles, id="header", classes="line")
        self.tab_line = LineWidget(styles, id="tabs", classes="line")
        self.views = (
            RowView(styles, id="flow", follow=True),
            RowView(styles, id="gaps", follow=False),
            RowView(styles, id="raw", follow=True),
        )
        self.status_line = LineWidget(styles, id="status", classes="line")
        self.hint_line = LineWidget(styles, id="hints", classes="line")
        self._flow = FlowRows(self.look)
        self._raw = RawRows()
        self._gaps_ns: int | None = None

    def compose(self) -> ComposeResult:
        yield self.header_line
        yield self.tab_line
        yield from self.views
        yield self.status_line
        yield self.hint_line

    def on_mount(self) -> None:
        self._activate(0)

    @property
    def current(self) -> RunView | None:
        """The run that keys act on."""
        return self.app.feed.race.runs.get(self.run_id)

    @property
    def view(self) -> RowView:
        return self.views[self.tab]

    def draw(self, now_ns: int) -> None:
        """Draw one frame as of ``now_ns``."""
        run = self.current
        room = self.view.room
        if run is None or room <= 0:  # gone, or not laid out yet
            return
        app = self.app
        width = self.size.width
        seen = app.standings.of(run)
        if self.tab == 0:
            self._flow.follow(run, room, now_ns)
            self.view.show(self._flow)
        elif self.tab == 1:
            if self._gaps_ns is None or abs(now_ns - self._gaps_ns) >= GAPS_EVERY_NS:
                self._gaps_ns = now_ns
                self.view.show(gap_rows(run, room, now_ns, self.look, app.feed.race.targets.get(run.asked)))
        else:
            self._raw.follow(run, room)
            self.view.show(self._raw)
        self.header_line.update([bars.header(app.header_values(app.standings.states, now_ns), width)])
        self.tab_line.update([self._tabs(run, seen, now_ns, width)])
        feed = app.feed
        lost = feed.engine_error is not None
        expected = status_text.expectation(feed.race, run, now_ns)
        sentence = status_text.status_sentence(run, seen, now_ns, lost=lost, expected=expected)
        alarm = bool(seen.contradiction) and not lost
        self.status_line.update(
            [bars.status(sentence, alarm, feed.race, feed.engine_error, width, ascii=self.look.ascii)]
        )
        self.hint_line.update([bars.hints(app.possible(bars.ZOOM_HINTS), width, ascii=self.look.ascii)])
        self.set_class(self.size.height < 10, "-short")

    def _tabs(self, run: RunView, seen: Observation, now_ns: int, width: int) -> Spans:
        row: Spans = ()
        for index, name in enumerate(TABS):
            text = f"[{name}]" if index == self.tab else f" {name} "
            row = (*row, Span(text, "tab.active" if index == self.tab else "tab"))
        following = "following" if self.view.follow else "scrolled back: space or End follows"
        if self.tab != 1:
            row = (*row, Span(f"  {following}", "muted" if self.view.follow else "frozen"))
        lost = self.app.feed.engine_error is not None
        standing = status_text.standing(run, seen, now_ns, ascii=self.look.ascii, lost=lost)
        state = Span(f" {standing} ", "muted" if lost and seen.state not in ENDED else f"state.{seen.state}")
        right: Spans = (state,)
        legend = Span("  arrival, since the last chunk, kind", "muted")
        if self.tab == 2 and row_width((*row, legend, state)) < width:
            row = (*row, legend)
        whole = run.label if run.label.startswith(run.target) else f"{run.target} {run.label}"
        for who in (run.target, whole):
            longer = (Span(f" {one_line(who)} ", "title"), state)
            if row_width(row) + row_width(longer) < width:
                right = longer
        return spread(row, right, width)

    def on_resize(self, _event: Resize) -> None:
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        self._gaps_ns = None
        self.app.redraw()

    def _activate(self, tab: int) -> None:
        self.tab = tab
        for index, view in enumerate(self.views):
            view.set_class(index == tab, "-active")
        self.set_focus(self.view)
        self.call_after_refresh(self._redraw)

    def action_turn(self, by: int) -> None:
        self._activate((self.tab + by) % len(TABS))

    def action_follow(self) -> None:
        self.view.set_follow(not self.view.follow)
        self.app.redraw()

    def action_choose(self, number: int) -> None:
        """Zoom into another run without going back."""
        order = self.app.race_screen.grid.order
        if number <= len(order):
            self.run_id = order[number - 1]
            self._flow = FlowRows(self.look)
            self._raw = RawRows()
            self._redraw()

    def on_click(self, event: Click) -> None:
        if event.widget is self.tab_line:
            edge = 0
            for index, name in enumerate(TABS):
                edge += len(name) + 2
                if event.x < edge:
                    self._activate(index)
                    return
