"""The main screen: all panes, the header above them, the status bar and the key hints below."""

from __future__ import annotations

from itertools import takewhile
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from kmon.stream.view import RaceView, RunView
from kmon.tui import status_text
from kmon.tui.grid import PaneGrid
from kmon.tui.keymap import bindings
from kmon.tui.line_widget import LineWidget
from kmon.tui.ordering import SORTS, Arrangement, Order, Seen
from kmon.tui.pane import Pane
from kmon.tui.pane_drawing import Look, Notes
from kmon.tui.screen import LiveScreen
from kmon.tui.shown_race import ShownRace
from kmon.tui.spans import BLANK, Span, Spans, wrap
from kmon.tui.standings import Follower
from kmon.tui.status_text import StatusText

SMALLEST = (24, 6)
"""Columns and lines below which there is nothing useful to draw."""


class FilterInput(Input):
    """The one line in which a filter is typed; Esc clears it, Enter keeps it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("filter")


class RaceScreen(LiveScreen):
    """One pane per run in view."""

    SCOPE = "race"
    BINDINGS: ClassVar[list[BindingType]] = bindings("race")

    def __init__(self, shown: ShownRace) -> None:
        super().__init__(shown, id="race")
        styles = shown.styles
        self.grid = PaneGrid(self._pane, ascii=styles.ascii)
        self.message = LineWidget(styles, id="message")
        self.filter_input = FilterInput(
            id="filter", placeholder="state, target or scenario; Enter keeps it, Esc shows all", compact=True
        )
        self.filter_input.cursor_blink = False
        self.query_text = ""
        self.sort = shown.options.sort
        self._follower = Follower()
        self._arrangement = Arrangement(self.sort, "")
        self._look = Look(ascii=styles.ascii)
        self._moved = False
        self._round = 1
        self._wanted: RunView | None = None
        self._wanted_round: list[RunView] = []
        self._chosen = ""
        """The run that the user has just put the focus on."""
        self._revealed = ""
        """The run that had the focus in the frame before; it may have been scrolled out of view since."""

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
        return self.shown.race.runs.get(self.grid.order[0]) if self.grid.order else None

    def draw(self, now_ns: int) -> None:
        """Draw one frame as of ``now_ns``."""
        width, height = self.size
        race = self.shown.race
        order = self._arranged(race, now_ns)
        focus = self._focus(race, order)
        self.grid.show(order, self._arrangement.position, focus)
        if focus is not None and self.app.focused is not self.filter_input:
            self._keep_focus(race.runs[focus])
        self._say_if_empty(bool(race.runs), bool(order), width, height)
        for name, pane in self.grid.panes.items():
            run = race.runs[name]
            expected = "" if self._look.lost else status_text.expectation(race, run, now_ns)
            notes = Notes(self.shown.reader.broken.get(name, ""), expected)
            pane.draw(run, self.shown.standings.of(run), now_ns, self._look, notes)
        self._draw_bars(race, now_ns)

    def _arranged(self, race: RaceView, now_ns: int) -> Order:
        """The runs to show, in order: all, or in a test only those that :meth:`_live` selects."""
        moves = self._follower.look(race)
        standings = self.shown.standings
        wanted = (self.sort, self.query_text)
        if moves.anew or wanted != (self._arrangement.sort, self._arrangement.query):
            self._arrangement = Arrangement(*wanted)
            moves.settled[:] = (
                () if self.shown.options.board else (r for r in race.runs.values() if r.run not in race.open)
            )
        several_rounds = len(race.rounds) > 1
        several_scenarios = len({scenario for _, scenario in race.arms}) > 1
        if self.shown.options.board:
            shown = self._live(race)
            several_rounds = len({run.round for run in shown}) > 1
            several_scenarios = len({run.scenario for run in shown}) > 1
        else:
            shown = list(race.open.values())
            for run in moves.reopened:
                self._arrangement.reopen(run)
            for run in moves.settled:
                self._arrangement.settle(Seen(run, standings.of(run)))
        options = self.shown.options
        self._look = Look(options.ascii, several_scenarios, several_rounds, options.round_word, self.shown.lost)
        return self._arrangement.place([Seen(run, standings.of(run)) for run in shown], now_ns)

    def _live(self, race: RaceView) -> list[RunView]:
        """Of many rounds the newest, the one wanted, and the open runs of the others."""
        newest = next((run.round for run in reversed(race.runs.values())), 1)
        found = {run.run: run for run in (*race.open.values(), *self._wanted_round, *_of_round(race, newest))}
        return list(found.values())

    def _draw_bars(self, race: RaceView, now_ns: int) -> None:
        shown, options = self.shown, self.shown.options
        sort = "" if self.sort == options.sort else self.sort
        self.draw_header(shown.standings.states, now_ns, sort=sort, query=self.query_text)
        current = self.current
        run = race.runs.get(current.run) if current is not None else None
        said = shown.status(run, now_ns) if run is not None else StatusText("no run yet")
        untouched = len(race.open) == len(race.runs) and not any(r.nudge or r.ended for r in race.open.values())
        if options.hint and not said.alarm and untouched:
            said = StatusText(options.hint)
        if shown.announcement:
            said = StatusText(f"enough: {shown.announcement}", said.alarm)
        self.status_line.update([self.status_bar(said)])
        self.draw_hints("panes" if options.board else "race")

    def _pane(self, name: str, spare: Pane | None) -> Pane:
        run = self.shown.race.runs[name]
        if spare is None:
            return Pane(run, self.shown.styles, self._look)
        spare.adopt(run)
        return spare

    def _focus(self, race: RaceView, order: Order) -> str | None:
        """The run that gets the focus. A new round gets it unless the user has chosen a run."""
        if not order:
            return None
        if self._chosen and self._arrangement.position(self._chosen) is not None:
            return self._chosen
        if self._wanted is not None and not self._moved and self._arrangement.position(self._wanted.run) is not None:
            return self._wanted.run
        if race.newest_round > self._round and not self._moved:
            begun = [self._arrangement.position(run.run) for run in _of_round(race, race.newest_round)]
            if shown := [at for at in begun if at is not None]:
                return order[min(shown)]
        focused = self.focused
        if isinstance(focused, Pane) and self._arrangement.position(focused.run.run) is not None:
            return focused.run.run
        return order[0]

    def _keep_focus(self, run: RunView) -> None:
        """Move the focus to ``run`` and scroll to it once."""
        self._chosen = ""
        if self._wanted is not None and run.run == self._wanted.run:
            self._moved = True
        self._round = max(self._round, run.round)
        self.set_focus(self.grid.panes[run.run], scroll_visible=False)
        if run.run != self._revealed:
            self._revealed = run.run
            self.grid.call_after_refresh(self.grid.reveal, run.run)

    def _say_if_empty(self, any_run: bool, any_shown: bool, width: int, height: int) -> None:
        small = width < SMALLEST[0] or height < SMALLEST[1]
        text = ""
        if small:
            text = f"{width}x{height} is too small: kmon needs {SMALLEST[0]}x{SMALLEST[1]}"
        elif self.shown.lost and not any_run:
            text = self.shown.reader.engine_error or ""
        elif not any_run:
            text = self.shown.options.nothing_yet
        elif not any_shown:
            text = f'no run matches "{self.query_text}": Esc shows all'
        self.set_class(bool(text), "-message")
        self.set_class(height < 10, "-short")
        if text:
            rows: list[Spans] = [BLANK] * max(0, self.message.size.height // 2 - 1)
            lines = wrap(text, max(1, width), max(1, height))
            self.message.update([*rows, *((Span(line.center(width), "muted"),) for line in lines)])

    # -- what the keys do ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Remove the panes of the last race before a new one begins."""
        self.grid.forget()
        self._follower, self._arrangement = Follower(), Arrangement(self.sort, self.query_text)
        self._moved, self._round, self._wanted, self._wanted_round = False, 1, None, []
        self._chosen = self._revealed = ""

    def focus_run(self, run: RunView) -> None:
        """Put the focus on a run as soon as its pane is there, and keep its round in view."""
        self._wanted, self._moved = run, False
        self._wanted_round = [other for other in self.shown.race.runs.values() if other.round == run.round]

    def focus_on(self, name: str | None) -> None:
        """Put the focus on a run that is shown."""
        if name is not None:
            self._moved = True
            self.shown.announcement = ""
            self._chosen = name
            self.shown.redraw()

    def action_move(self, dx: int, dy: int) -> None:
        if isinstance(self.focused, Pane):
            self.focus_on(self.grid.neighbour(self.focused.run.run, dx, dy))

    async def action_step(self, by: int) -> None:
        order, focused = self.grid.order, self.focused
        if self.shown.options.board:
            await self.run_action("app.toggle_board")
        elif order:
            at = self.grid.position(focused.run.run) if isinstance(focused, Pane) else 0
            self.focus_on(order[((at or 0) + by) % len(order)])

    def action_page(self, by: int) -> None:
        if by < 0:
            self.grid.scroll_page_up(animate=False)
        else:
            self.grid.scroll_page_down(animate=False)

    def action_choose(self, number: int) -> None:
        if number <= len(self.grid.order):
            self.focus_on(self.grid.order[number - 1])

    def on_pane_grid_scrolled(self) -> None:
        self.shown.redraw()

    def action_sort(self) -> None:
        first = self.shown.options.sort
        sorts = list(SORTS if first in SORTS else (first, *SORTS))
        self.sort = sorts[(sorts.index(self.sort) + 1) % len(sorts)]
        self.shown.redraw()
        self.shown.say(f"sorted: {self.sort}")

    def action_filter(self) -> None:
        self.add_class("-filtering")
        self.filter_input.focus()

    def action_clear_filter(self) -> None:
        self.filter_input.value = ""
        self._leave_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_text = event.value.strip()
        self.shown.redraw()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self._leave_filter()

    def _leave_filter(self) -> None:
        self.remove_class("-filtering")
        self.set_focus(None)
        self.shown.redraw()


def _of_round(race: RaceView, number: int) -> list[RunView]:
    """The runs of one of the latest rounds. Rounds are queued one after the other."""
    recent = takewhile(lambda run: run.round >= number, reversed(race.runs.values()))
    return [run for run in recent if run.round == number]
