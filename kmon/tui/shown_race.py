"""What all screens read: the options, the race as it was read so far, and the moment that is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kmon.stream.state import State
from kmon.stream.view import RaceView, RunView
from kmon.tui.bars import Header
from kmon.tui.board import Tally
from kmon.tui.event_reader import EventReader, Spawn
from kmon.tui.line_widget import Styles
from kmon.tui.options import ScreenOptions
from kmon.tui.standings import Standings
from kmon.tui.status_text import StatusText, expectation, status_of


class ShownRace:
    """One race on the screen, and the next after :meth:`begin_anew`.

    ``redraw`` draws the uppermost screen at once; ``say`` shows a toast. Both are the application's.
    """

    reader: EventReader
    tally: Tally
    standings: Standings
    announcement: str
    """Why the race was stopped early, for the status bar, until the focus is moved."""
    frozen_ns: int | None
    """The moment at which the view was frozen."""

    def __init__(
        self,
        options: ScreenOptions,
        styles: Styles,
        spawn: Spawn,
        on_news: Callable[[], None],
        redraw: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.options, self.styles = options, styles
        self.redraw, self.say = redraw, say
        self._spawn, self._on_news = spawn, on_news
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the race; the next one is read as soon as the reader is started."""
        options = self.options
        self.tally, self.standings = Tally(options.plan, options.earlier), Standings()
        self.announcement, self.frozen_ns = "", None
        self.reader = EventReader(
            options.open_source, self._spawn, options.judge, options.alarm, self.tally.add, self._on_news
        )

    @property
    def race(self) -> RaceView:
        return self.reader.race

    @property
    def lost(self) -> bool:
        """Whether the engine is gone, so that nothing is measured any more."""
        return self.reader.engine_error is not None

    @property
    def moving(self) -> bool:
        """Whether time passes on the screen: not while it is frozen, and not once the engine is gone."""
        return self.frozen_ns is None and not self.lost

    @property
    def now_ns(self) -> int:
        """The moment that is shown: now, when the view was frozen, or the latest event of an engine that was lost."""
        if self.frozen_ns is not None:
            return self.frozen_ns
        if self.lost and self.reader.heard_ns is not None:
            return self.reader.heard_ns
        return self.options.clock()

    def header(self, states: Mapping[State, int], now_ns: int, *, sort: str = "", query: str = "") -> Header:
        """What the header of any screen says."""
        race, plan = self.race, self.options.plan
        begin_ns = race.started.t_ns if race.started else now_ns
        end_ns = race.ended.t_ns if race.ended is not None and self.reader.over else now_ns
        return Header(
            race,
            race.started.scenario if race.started else plan.scenario,
            plan.first_round - 1 + (race.started.count if race.started else plan.rounds),
            self.options.shown_origin,
            states,
            end_ns - begin_ns,
            frozen=self.frozen_ns is not None,
            sort=sort,
            filter=query,
            ascii=self.options.ascii,
        )

    def status(self, run: RunView, now_ns: int) -> StatusText:
        """What the status bar says of a run."""
        expected = expectation(self.race, run, now_ns)
        return status_of(run, self.standings.of(run), now_ns, lost=self.lost, expected=expected)
