"""The app on a scripted race, with the clock standing still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from textual.events import Key
from textual.keys import _character_to_key as character_to_key
from textual.pilot import Pilot

from kmon.tui.app import KmonApp
from kmon.tui.board_screen import BoardScreen
from kmon.tui.options import ScreenOptions
from kmon.tui.pane import Pane
from kmon.tui.screen import OverviewScreen
from kmon.tui.shown_race import ShownRace
from kmon.tui.themes import choose, load_themes
from tests.support.scripted import FrozenClock, S, Script, ScriptedSource, plan, race


@dataclass
class Stage:
    """An app over a list of scripts, as it looks ``at_s`` seconds into the race."""

    scripts: list[Script]
    at_s: float = 30.0
    options: dict[str, Any] = field(default_factory=dict)
    plain: bool = False
    crash: str = ""
    overview: Callable[[ShownRace], OverviewScreen] = BoardScreen

    def __post_init__(self) -> None:
        self.clock = FrozenClock(int(self.at_s * S))
        self.sources: list[ScriptedSource] = []
        names = [script.target for script in self.scripts]
        # FrameTimer are drawn when the test asks for one; the app's own timer need not hurry.
        values = {"plan": plan(*names), "open_source": self._open, "clock": self.clock, "fps": 2, **self.options}
        screen_options = ScreenOptions(**values)
        themes = load_themes(screen_options.user_theme_dirs)
        palette = choose(themes, screen_options.theme)
        self.app = KmonApp(screen_options, themes, palette, plain=self.plain, overview=self.overview)
        self._told: list[str] = []
        show = self.app.notify

        def notify(message: str, **how: Any) -> None:  # noqa: ANN401
            self._told.append(message)
            show(message, **how)

        self.app.notify = notify  # type: ignore[method-assign,assignment]

    @property
    def source(self) -> ScriptedSource:
        return self.sources[-1]

    async def _open(self) -> ScriptedSource:
        shown = self.app.shown.options.plan
        events = race(self.scripts, scenario=shown.scenario, rounds=shown.rounds)
        events = [event for event in events if event.t_ns <= self.clock.now_ns]
        self.sources.append(ScriptedSource(events, crash=self.crash))
        return self.source

    async def settle(self, pilot: Pilot[None]) -> None:
        """Wait until every event is folded and drawn."""
        while self.app.started and not (self.sources and self.source.idle):
            await pilot.pause(0.01)
        await self.app.shown.reader.folded()
        for _ in range(3):  # mount, lay out, draw
            await self._app_has_caught_up()
            if self.app.shown.frozen_ns is None:
                self.app.redraw()
            await pilot.pause(0)

    async def _app_has_caught_up(self) -> None:
        """Wait until the app, too, has worked through its messages; a pause waits for the screen alone."""
        if self.app.is_running:
            reached = asyncio.Event()
            self.app.call_later(reached.set)
            await reached.wait()

    async def until(self, pilot: Pilot[None], seen: Callable[[], bool], what: str) -> None:
        """Wait for something that takes a moment; fails with the screen after 20 s."""
        for _ in range(1000):
            await self.settle(pilot)
            if seen():
                return
            await pilot.pause(0.02)
        raise AssertionError(f"never saw {what}; the screen was:\n{self.text()}")

    async def press(self, pilot: Pilot[None], *keys: str) -> None:
        """Press keys one after the other. Pilot's own ``press`` sleeps after each until the CPU seems idle."""
        for key in keys:
            name, character = (character_to_key(key), key) if len(key) == 1 else (key, None)
            event = Key(name, character)
            event.set_sender(self.app)
            self.app.post_message(event)
            await self.settle(pilot)

    def panes(self) -> list[Pane]:
        """The panes in use, in order: of the runs in view, and of the one in focus."""
        return [pane for pane, _ in self.app.race_screen.grid.shown()]

    def focus(self) -> str:
        focused = self.app.race_screen.focused
        assert isinstance(focused, Pane)
        return focused.run.target

    def text(self) -> str:
        """What the terminal shows, line by line."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        lines = ["".join(segment.text for segment in strip) for strip in strips[:height]]
        assert all(len(line) <= width for line in lines)
        return "\n".join(lines)

    def toasts(self) -> list[str]:
        """Every toast so far, on one line each; those that have gone, too."""
        return [" ".join(message.split()) for message in self._told]
