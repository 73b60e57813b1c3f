"""The factors of an isolation on the screen, or the parts of a request that is reduced: how often requests fail with
and without each, and what that says."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from kmon.isolate.experiment import Experiment
from kmon.isolate.shrinking import Shrinking
from kmon.stream.state import ENDED
from kmon.stream.view import RunView
from kmon.tui.isolation_drawing import Moment, RequestRow, draw
from kmon.tui.keymap import bindings
from kmon.tui.line_widget import LineWidget
from kmon.tui.screen import OverviewScreen
from kmon.tui.shown_race import ShownRace
from kmon.tui.status_text import StatusText

LISTED = 60
"""Requests that are listed at most, those that are open first."""


class IsolationScreen(OverviewScreen):
    """One row per factor or part, then the requests, then the sentence that is the answer so far."""

    SCOPE = "isolation"
    BINDINGS: ClassVar[list[BindingType]] = bindings("isolation")

    def __init__(self, shown: ShownRace, experiment: Experiment | Shrinking) -> None:
        super().__init__(shown, id="isolation-screen")
        self._experiment = experiment
        self.body = LineWidget(shown.styles, id="isolation")
        self._listed: list[RunView] = []
        self._focus: str | None = None
        """The run in focus; None follows the newest."""

    def compose(self) -> ComposeResult:
        yield self.header_line
        yield self.body
        yield self.status_line
        yield self.hint_line

    @property
    def current(self) -> RunView | None:
        """The run that keys act on."""
        chosen = None if self._focus is None else self.shown.race.runs.get(self._focus)
        return chosen if chosen is not None else next(iter(self._listed), None)

    def draw(self, now_ns: int) -> None:
        """Draw one frame as of ``now_ns``."""
        shown = self.shown
        width, height = self.size
        self.set_class(height < 10, "-short")
        opened = list(shown.race.open.values())
        names = {run.run for run in opened}
        ended = (run for run in reversed(shown.race.runs.values()) if run.run not in names)
        self._listed = [*opened, *(run for run, _ in zip(ended, range(LISTED), strict=False))]
        run = self.current
        rows = [RequestRow(each, shown.standings.of(each), self._experiment.sent(each.run)) for each in self._listed]
        at = next((at for at, each in enumerate(self._listed) if each is run), 0)
        room = (width, max(1, height - (1 if height < 10 else 3)))
        first = max(0, at - 2)
        self.body.update(
            draw(
                self._experiment,
                rows[first:],
                None if run is None else run.run,
                room,
                Moment(now_ns, ascii=shown.options.ascii, lost=shown.lost),
            )
        )
        self.draw_header(shown.standings.states, now_ns)
        self.status_line.update([self.status_bar(self._status(run, now_ns))])
        self.draw_hints("isolation")

    def _status(self, run: RunView | None, now_ns: int) -> StatusText:
        error = self.shown.reader.engine_error
        if run is None:
            return StatusText(error or self.shown.options.nothing_yet, error is not None)
        sent = self._experiment.sent(run.run)
        if sent is not None and sent.outcome is not None and self.shown.standings.of(run).state in ENDED:
            return StatusText(f"{run.run} {sent.label}: {sent.outcome.sentence}", sent.failed is True)
        said = self.shown.status(run, now_ns)
        return said if sent is None else said._replace(text=f"{run.run} {sent.label}: {said.text}")

    # -- what the keys do ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Reset for a new race."""
        self._focus, self._listed = None, []

    def focus_run(self, run: RunView) -> None:
        """Put the focus on a run."""
        self._focus = run.run
        self.shown.redraw()

    def action_move(self, down: int) -> None:
        run = self.current
        at = next((at for at, each in enumerate(self._listed) if each is run), None)
        if at is not None:
            self.focus_run(self._listed[max(0, min(at + down, len(self._listed) - 1))])

    def action_to_newest(self) -> None:
        """Back to the newest request, and stay with it."""
        self._focus = None
        self.shown.redraw()
