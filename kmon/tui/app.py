"""The Textual application: it owns the race shown, the frame timer, the theme and the keys of all screens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.driver import Driver
from textual.filter import LineFilter, NoColor
from textual.notifications import SeverityLevel
from textual.screen import Screen

from kmon.engine.api import Action, Command
from kmon.logs import log
from kmon.stream.state import ENDED, State, derive
from kmon.stream.view import RunView
from kmon.tui.board_screen import BoardScreen
from kmon.tui.event_reader import CLOSING_S
from kmon.tui.frames import FrameTimer
from kmon.tui.help_screen import HelpScreen
from kmon.tui.keymap import bindings, palette_keys
from kmon.tui.line_widget import Styles
from kmon.tui.options import ScreenOptions
from kmon.tui.palette import Palette
from kmon.tui.pane import Pane
from kmon.tui.plan_screen import PlanScreen
from kmon.tui.race_screen import RaceScreen
from kmon.tui.screen import LiveScreen, OverviewScreen
from kmon.tui.shown_race import ShownRace
from kmon.tui.terminal import LeavingApp
from kmon.tui.text_wrap import output_text
from kmon.tui.themes import Themes, shipped_dir
from kmon.tui.toasts import TOAST_S, Toasts, enumerate_names, small
from kmon.tui.zoom_screen import ZoomScreen

_log = logging.getLogger(__name__)
HINT_S = 8.0
"""Seconds for which the first hint is shown."""
TELL_EVERY_S = 1.0
"""Stalls and failures are gathered into one toast, so that eight of them do not cover the screen."""
PALETTE_GONE_S = 0.1


class KmonApp(LeavingApp):
    """The live race. ``plain`` draws without any colour (NO_COLOR, TERM=dumb)."""

    TITLE = "kmon"
    hang_up_limit_s = CLOSING_S + 8.0  # beside the race's own closing, time to kill two simulators that do not end
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = bindings("app")

    def __init__(
        self,
        options: ScreenOptions,
        themes: Themes,
        palette: Palette,
        *,
        plain: bool = False,
        driver: type[Driver] | None = None,
        overview: Callable[[ShownRace], OverviewScreen] = BoardScreen,
    ) -> None:
        super().__init__(driver_class=driver, css_path=shipped_dir() / "kmon.tcss")
        self.themes = themes
        self.frames = FrameTimer(options.fps, self._draw)
        styles = Styles(palette, ascii=options.ascii)
        self.shown = ShownRace(options, styles, self._spawn, self.frames.wake, self.redraw, self.say)
        self.started = False
        self.interrupted = False
        self.no_color = plain
        self.race_screen = RaceScreen(self.shown)
        self.board_screen = overview(self.shown)
        self._toasts = Toasts()
        for known in themes.palettes.values():
            self.register_theme(known.theme())
        self.theme = palette.name

    # -- life ------------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[Any]:
        return self.race_screen

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [NoColor()] if self.no_color else super().get_line_filters()

    def on_mount(self) -> None:
        self.set_class(self.shown.options.ascii, "-ascii")
        self.frames.begin(
            self.set_interval(self.frames.interval_s, self._frame), self.set_interval(TELL_EVERY_S, self.tell)
        )
        for failure in self.themes.failures:
            self.say(failure, "warning")
        self.install_screen(self.board_screen, "board")  # so that it outlives being left
        if self.shown.options.board:
            self.push_screen(self.board_screen)
        if self.shown.options.start_now:
            self._start()
        else:
            self.push_screen(PlanScreen(self.shown.options, again=self.started), self._decided)

    def on_terminal_regained(self) -> None:
        self.refresh(layout=True)
        self.frames.wake()

    def told_to_leave(self) -> None:
        super().told_to_leave()
        self.interrupted = self.interrupted or not self.shown.reader.over
        self.run_worker(self.action_quit(), exit_on_error=False)

    def _decided(self, go: bool | None) -> None:
        if go:
            self._start()
        elif not self.started:
            self.exit()

    def _start(self) -> None:
        self.started = True
        self.shown.reader.start()
        if self.shown.options.hint:
            self.say(self.shown.options.hint, for_s=HINT_S)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> object:
        return self.run_worker(work, name=name, group="reader", exit_on_error=False)

    async def action_quit(self) -> None:
        """Leave: close every stream first, and keep what still arrives for the summary."""
        cut_short = self.started and not self.shown.reader.over and self.shown.reader.engine_error is None
        self.interrupted = self.interrupted or cut_short
        await self.shown.reader.close()
        self.exit()

    # -- frames ----------------------------------------------------------------------------------------------------

    def _frame(self) -> None:
        race = self.shown.race
        self.frames.tick(len(race.runs), moving=self.shown.moving and bool(race.open))

    def redraw(self) -> None:
        """Draw the uppermost screen that shows the race, as of the moment that is shown."""
        self.frames.wake()
        self._draw()

    def _draw(self) -> None:
        top = self._top
        if top is not None and top.is_mounted:
            now_ns = self.shown.now_ns
            self.shown.standings.look(self.shown.race, now_ns)
            top.draw(now_ns)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent | events.Resize):
            self.frames.wake()
        await super().on_event(event)

    # -- telling ---------------------------------------------------------------------------------------------------

    def say(self, message: str, severity: SeverityLevel = "information", *, for_s: float = TOAST_S) -> None:
        """Show a toast in place of the last one. Never parsed as markup: it may quote foreign text."""
        self.clear_notifications()
        self.notify(small(message), severity=severity, timeout=for_s, markup=False)
        self._toasts.shown(ceil(for_s / TELL_EVERY_S))

    def tell(self) -> None:
        """Once a second: one toast for what happened since, and not before the last is gone."""
        reader = self.shown.reader
        clock_goes_on = self.shown.moving and reader.race.started is not None and not reader.over
        if self.frames.resting and clock_goes_on:
            self._draw()
        if reader.alerts or (reader.stalls and self.shown.options.bell):
            self.bell()
        if reader.enough and not self._toasts.told_enough:
            self.shown.announcement = reader.enough
        if (told := self._toasts.due(reader, runs_are_told=isinstance(self._top, OverviewScreen))) is not None:
            self.say(*told)
        if not clock_goes_on and self._toasts.nothing_left:
            self.frames.sleep()

    # -- what the keys do ------------------------------------------------------------------------------------------

    @property
    def current(self) -> RunView | None:
        """The run in focus, on whatever screen."""
        top = self._top
        return top.current if top is not None else None

    @property
    def _top(self) -> LiveScreen | None:
        """The uppermost screen that shows the race; help or the command palette may lie over it."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, LiveScreen)), None)

    async def action_command(self, action: Action) -> None:
        run = self.current
        if run is None:
            return
        if why := self.shown.options.impossible.get(action):
            self.say(why)
            return
        state = derive(run, self.shown.options.clock()).state
        if action in ("nudge", "cancel") and (state in ENDED or (action == "nudge" and state == "queued")):
            verb = "nudge" if action == "nudge" else "cancel"
            self.say(f"{run.target} is {state}: nothing to {verb}")
            return
        if action == "nudge" and run.nudge is not None and run.nudge.ending is None:
            self.say(f"{run.target}: the last nudge is still open")
            return
        await self._send(action, [run])

    async def action_cancel_all(self) -> None:
        await self._send_all("cancel", lambda state: state not in ENDED, "no run is open")

    async def action_retry_all(self) -> None:
        await self._send_all(
            "retry", lambda state: state in ENDED and state != "done", "no run failed: nothing to retry"
        )

    async def _send_all(self, action: Action, wanted: Callable[[State], bool], nothing: str) -> None:
        """Send a command to every run in a wanted state, unless it cannot be obeyed here."""
        if why := self.shown.options.impossible.get(action):
            self.say(why)
            return
        race = self.shown.race
        self.shown.standings.look(race, self.shown.options.clock())
        await self._send(
            action, [run for run in race.runs.values() if wanted(self.shown.standings.of(run).state)], nothing
        )

    async def _send(self, action: Action, runs: Sequence[RunView], nothing: str = "") -> None:
        if not runs:
            self.say(nothing)
            return
        try:
            for n, run in enumerate(runs):
                if n % 100 == 99:
                    await asyncio.sleep(0)  # ten thousand commands must not keep the keys waiting
                if not await self.shown.reader.command(Command(action, run.run)):
                    self.say(f"no engine: cannot {action}", "error")
                    return
        except Exception as error:
            _log.exception("a command could not be sent")
            self.say(log.failed(f"cannot {action}", error), "error")
            return
        done = {"nudge": "nudging", "cancel": "cancelling", "retry": "retrying"}[action]
        self.say(f"{done} {enumerate_names([run.target for run in runs])}")

    def action_freeze(self) -> None:
        shown = self.shown
        shown.frozen_ns = shown.options.clock() if shown.frozen_ns is None else None
        self.redraw()

    def action_copy(self) -> None:
        run = self.current
        text = output_text(run) if run is not None else ""
        if run is None or not text:
            self.say("nothing to copy yet")
            return
        self.copy_to_clipboard(text)
        self.say(f"copied {len(text)} characters of {run.target}")

    def action_next_theme(self) -> None:
        names = list(self.themes.palettes)
        self.use_theme(names[(names.index(self.shown.styles.palette.name) + 1) % len(names)])
        self.say(f"theme {self.shown.styles.palette.name}")

    def use_theme(self, name: str) -> None:
        self.shown.styles.use(self.themes.palettes[name])
        self.theme = name

    def action_screenshot(self) -> None:  # type: ignore[override]
        try:
            path = Path(self.save_screenshot(path=".")).resolve()
        except OSError as error:
            self.say(f"no screenshot: {error}", "error")
        else:
            self.say(f"screenshot in {path}")

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.shown.options.ascii))

    def action_start_anew(self) -> None:
        if not self.shown.options.plan.rows:
            self.say("there is nothing to start anew: this is a watch, not a race")
        elif not isinstance(self.screen, PlanScreen):
            self.push_screen(PlanScreen(self.shown.options, again=self.started), self._decided_anew)

    async def _decided_anew(self, go: bool | None) -> None:
        if not go:
            return
        await self.shown.reader.close()
        self.workers.cancel_group(self, "reader")
        self.shown.begin_anew()
        self._toasts.begin_anew()
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        self.race_screen.forget()
        self.board_screen.forget()
        if self.shown.options.board:
            await self.push_screen(self.board_screen)
        self._start()

    def action_zoom(self) -> None:
        if (run := self.current) is not None:
            self._zoom(run.run)

    def on_pane_chosen(self, message: Pane.Chosen) -> None:
        self._zoom(message.run_id)

    def _zoom(self, run_id: str) -> None:
        self.push_screen(ZoomScreen(self.shown, run_id, self.race_screen.grid.order))

    def action_toggle_board(self) -> None:
        """From the panes to the board and back, with the focus on the same run."""
        top, run = self._top, self.current
        if not self.shown.options.plan.rows:
            self.say("there is no board here: it compares the runs of a race")
        elif isinstance(top, OverviewScreen):
            self.pop_screen()
            if run is not None:
                self.race_screen.focus_run(run)
        elif isinstance(top, RaceScreen):
            self.push_screen(self.board_screen)
            if run is not None:
                self.board_screen.focus_run(run)

    # -- the command palette ---------------------------------------------------------------------------------------

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What keys do on this screen, by name, and every theme."""
        scopes = {"app", screen.SCOPE} if isinstance(screen, LiveScreen) else {"app"}
        for key in palette_keys(scopes):
            yield SystemCommand(
                key.label, key.palette, partial(self._run_later, key.action, self if key.scope == "app" else screen)
            )
        for name in self.themes.palettes:
            yield SystemCommand(f"Theme {name}", "Change the colours", partial(self.use_theme, name))

    def _run_later(self, action: str, owner: App[None] | Screen[Any]) -> None:
        """Run an action when the palette has gone, so that it is not in a picture of the screen."""
        self.set_timer(PALETTE_GONE_S, partial(self.run_action, action, owner))
