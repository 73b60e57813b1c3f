"""The main screen: all panes, the header above them, the status bar and the key hints below."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widgets import Input

from kmon.probe.state import derive
from kmon.probe.view import RunView
from kmon.tui import bars, words
from kmon.tui.grid import PaneGrid
from kmon.tui.ordering import SORTS, Seen, live, matches, ordered
from kmon.tui.painted import Painted
from kmon.tui.pane import Pane
from kmon.tui.pane_drawing import Look
from kmon.tui.rows import BLANK, Row, Span, wrap
from kmon.tui.steady import SteadyScreen

if TYPE_CHECKING:
    from kmon.tui.app import KmonApp

SMALLEST = (24, 6)
"""Columns and lines below which there is nothing useful to draw."""
RESORT_NS = 1_000_000_000


class FilterInput(Input):
    """The one line in which a filter is typed; Esc clears it, Enter keeps it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.clear_filter", "Show all", id="filter.clear", show=False)
    ]


class RaceScreen(SteadyScreen[None]):
    """One pane per run, drawn when the app's frame timer calls :meth:`draw`."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,z", "zoom", "Zoom", id="race.zoom"),
        Binding("b", "app.toggle_board", "Board", id="race.board"),
        Binding("slash", "filter", "Filter", id="race.filter"),
        Binding("s", "sort", "Sort", id="race.sort"),
        Binding("escape", "clear_filter", "Show all", id="race.clear-filter", show=False),
        Binding("up", "move(0, -1)", "Up", id="race.up", show=False),
        Binding("down", "move(0, 1)", "Down", id="race.down", show=False),
        Binding("left", "move(-1, 0)", "Left", id="race.left", show=False),
        Binding("right", "move(1, 0)", "Right", id="race.right", show=False),
        Binding("tab", "step(1)", "Next", id="race.next", show=False),
        Binding("shift+tab", "step(-1)", "Previous", id="race.previous", show=False),
        Binding("pageup", "page(-1)", "Page up", id="race.page-up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="race.page-down", show=False),
        *(Binding(str(n), f"choose({n})", f"Pane {n}", id=f"race.pane-{n}", show=False) for n in range(1, 10)),
    ]
    app: KmonApp

    def __init__(self, kmon: KmonApp) -> None:
        super().__init__(id="race")
        ink = kmon.ink
        self.header_line = Painted(ink, id="header", classes="line")
        self.grid = PaneGrid(ascii=ink.ascii)
        self.message = Painted(ink, id="message")
        self.status_line = Painted(ink, id="status", classes="line")
        self.hint_line = Painted(ink, id="hints", classes="line")
        self.filter_input = FilterInput(
            id="filter", placeholder="state, target or scenario; Enter keeps it, Esc shows all", compact=True
        )
        self.filter_input.cursor_blink = False
        self.panes: dict[str, Pane] = {}
        self.query_text = ""
        self.sort = kmon.options.sort
        self._order: list[str] = []
        self._sorted_ns: int | None = None
        self._moved = False
        self._round = 1
        self._wanted: RunView | None = None

    def compose(self) -> ComposeResult:
        yield self.header_line
        yield self.grid
        yield self.message
        yield self.status_line
        yield self.filter_input
        yield self.hint_line

    # -- drawing ---------------------------------------------------------------------------------------------------

    @property
    def current(self) -> RunView | None:
        """The run that keys act on."""
        focused = self.focused
        if isinstance(focused, Pane):
            return focused.run
        return self.grid.order[0].run if self.grid.order else None

    def draw(self, now_ns: int) -> None:
        """Draw one frame as of ``now_ns``."""
        width, height = self.size
        race = self.app.feed.race
        runs = [Seen(run, derive(run, now_ns)) for run in race.runs.values()]
        paned = runs
        if self.app.options.board:
            paned = live(runs, self._wanted.round if self._wanted is not None else 0)
        self._mount_missing(paned)
        shown = [seen for seen in self._arranged(paned, now_ns) if matches(seen, self.query_text)]
        self.grid.show([self.panes[seen.run.run] for seen in shown])
        self._keep_focus()
        self._say_if_empty(bool(runs), bool(shown), width, height)
        look = self._look(paned)
        window = self.grid.window_region
        for seen in shown:
            pane = self.panes[seen.run.run]
            if window.overlaps(pane.virtual_region):
                expected = "" if look.lost else words.expectation(race, seen.run, now_ns)
                trouble = self.app.feed.broken.get(seen.run.run, "")
                pane.draw(seen.run, seen.observation, now_ns, look, trouble, expected)
        self._draw_bars(runs, now_ns, width)

    def _draw_bars(self, runs: list[Seen], now_ns: int, width: int) -> None:
        app, ascii = self.app, self.app.options.ascii
        sort = "" if self.sort == app.options.sort else self.sort
        states = [seen.observation.state for seen in runs]
        head = app.header_values(states, now_ns, sort=sort, query=self.query_text)
        self.header_line.paint([bars.header(head, width)])
        current = self.current
        seen = next((s for s in runs if current is not None and s.run.run == current.run), None)
        lost = app.feed.engine_error is not None
        sentence = "no run yet"
        if seen:
            expected = words.expectation(app.feed.race, seen.run, now_ns)
            sentence = words.status_sentence(*seen, now_ns, lost=lost, expected=expected)
        alarm = bool(seen and seen.observation.contradiction and not lost)
        if app.options.hint and not alarm and not any(run.run.nudge or run.run.ended for run in runs):
            sentence = app.options.hint
        if app.announcement:
            sentence = f"enough: {app.announcement}"
        feed = app.feed
        self.status_line.paint([bars.status(sentence, alarm, feed.race, feed.engine_error, width, ascii=ascii)])
        hints = bars.PANES_HINTS if app.options.board else bars.RACE_HINTS
        self.hint_line.paint([bars.hints(app.possible(hints), width, ascii=ascii)])

    def _mount_missing(self, runs: list[Seen]) -> None:
        known = {seen.run.run for seen in runs}
        for gone in [run for run in self.panes if run not in known]:
            self.panes.pop(gone).remove()
        fresh = [Pane(seen.run, self.app.ink, self._look(runs)) for seen in runs if seen.run.run not in self.panes]
        for pane in fresh:
            self.panes[pane.run.run] = pane
        if fresh:
            self.grid.mount_all(fresh)
            self._sorted_ns = None

    def _arranged(self, runs: list[Seen], now_ns: int) -> list[Seen]:
        """Sorted, but at most once a second: panes that jump about cannot be read."""
        if self._sorted_ns is None or now_ns - self._sorted_ns >= RESORT_NS or len(self._order) != len(runs):
            self._sorted_ns = now_ns
            self._order = [seen.run.run for seen in ordered(runs, self.sort, now_ns)]
        place = {run: at for at, run in enumerate(self._order)}
        return sorted(runs, key=lambda seen: place[seen.run.run])

    def _look(self, runs: list[Seen]) -> Look:
        return Look(
            ascii=self.app.options.ascii,
            scenario=len({seen.run.scenario for seen in runs}) > 1,
            round=len({seen.run.round for seen in runs}) > 1,
            round_word=self.app.options.round_word,
            lost=self.app.feed.engine_error is not None,
        )

    def _keep_focus(self) -> None:
        """There is always a pane in focus; a new round moves it there unless the user has chosen one."""
        order = self.grid.order
        if not order or self.app.focused is self.filter_input:
            return
        if self._wanted is not None and not self._moved:
            pane = self.panes.get(self._wanted.run)
            if pane in order:
                self._moved = True
                self.set_focus(pane)
        newest = max((pane.run.round for pane in order if pane.run.attempts), default=1)
        if newest > self._round and not self._moved:
            self._round = newest
            self.set_focus(next(pane for pane in order if pane.run.round == newest))
        elif self.focused not in order:
            self.set_focus(order[0])

    def _say_if_empty(self, any_run: bool, any_shown: bool, width: int, height: int) -> None:
        small = width < SMALLEST[0] or height < SMALLEST[1]
        text = ""
        if small:
            text = f"{width}x{height} is too small: kmon needs {SMALLEST[0]}x{SMALLEST[1]}"
        elif self.app.feed.engine_error and not any_run:
            text = self.app.feed.engine_error
        elif not any_run:
            text = self.app.options.nothing_yet
        elif not any_shown:
            text = f'no run matches "{self.query_text}": Esc shows all'
        self.set_class(bool(text), "-message")
        self.set_class(height < 10, "-short")
        if text:
            rows: list[Row] = [BLANK] * max(0, self.message.size.height // 2 - 1)
            lines = wrap(text, max(1, width), max(1, height))
            self.message.paint([*rows, *((Span(line.center(width), "muted"),) for line in lines)])

    def on_resize(self, _event: Resize) -> None:
        self.call_after_refresh(self.app.redraw)

    # -- what the keys do ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """A new race begins: let go of the panes of the old one."""
        for pane in self.panes.values():
            pane.remove()
        self.panes.clear()
        self.grid.show([])
        self._order, self._sorted_ns, self._moved, self._round, self._wanted = [], None, False, 1, None

    def focus_run(self, run: RunView) -> None:
        """Put the focus on a run as soon as its pane is there, and keep its round in view."""
        self._wanted, self._moved = run, False

    def focus_pane(self, pane: Pane | None) -> None:
        if pane is not None:
            self._moved = True
            self.app.announcement = ""
            self.set_focus(pane)
            self.app.redraw()

    def action_move(self, dx: int, dy: int) -> None:
        if isinstance(self.focused, Pane):
            self.focus_pane(self.grid.neighbour(self.focused, dx, dy))

    def action_step(self, by: int) -> None:
        order = list(self.grid.order)
        if self.app.options.board:
            self.app.action_toggle_board()
        elif order:
            at = order.index(self.focused) if self.focused in order else 0
            self.focus_pane(order[(at + by) % len(order)])

    def action_page(self, by: int) -> None:
        if by < 0:
            self.grid.scroll_page_up(animate=False)
        else:
            self.grid.scroll_page_down(animate=False)

    def action_choose(self, number: int) -> None:
        if number <= len(self.grid.order):
            self.focus_pane(self.grid.order[number - 1])

    def action_zoom(self) -> None:
        if self.current is not None:
            self.app.zoom(self.current.run)

    def on_pane_chosen(self, message: Pane.Chosen) -> None:
        self.app.zoom(message.run_id)

    def action_sort(self) -> None:
        first = self.app.options.sort
        sorts = SORTS if first in SORTS else (first, *SORTS)
        self.sort = sorts[(sorts.index(self.sort) + 1) % len(sorts)]
        self._sorted_ns = None
        self.app.redraw()
        self.app.say(f"sorted: {self.sort}")

    def action_filter(self) -> None:
        self.add_class("-filtering")
        self.filter_input.focus()

    def action_clear_filter(self) -> None:
        self.filter_input.value = ""
        self._leave_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_text = event.value.strip()
        self.app.redraw()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self._leave_filter()

    def _leave_filter(self) -> None:
        self.remove_class("-filtering")
        self.set_focus(None)
        self.app.redraw()
