"""Runs the screen: options in, outcome out."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from kmon.logs import log
from kmon.process.interrupts import handle_interrupts
from kmon.tui.app import KmonApp
from kmon.tui.board_screen import BoardScreen
from kmon.tui.options import ScreenOptions, ScreenOutcome
from kmon.tui.screen import OverviewScreen
from kmon.tui.shown_race import ShownRace
from kmon.tui.terminal import driver_for, foreground
from kmon.tui.themes import choose, load_themes

__all__ = ["ScreenOptions", "ScreenOutcome", "run_app"]


def wants_no_colour() -> bool:
    """NO_COLOR (https://no-color.org: set and not empty) or TERM=dumb."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def run_app(options: ScreenOptions, overview: Callable[[ShownRace], OverviewScreen] = BoardScreen) -> ScreenOutcome:
    """Show the race until the user leaves; ``overview`` makes the screen beside the panes.

    Raises ``UsageError`` for an unknown theme, before anything is drawn.
    """
    themes = load_themes(options.user_theme_dirs)
    palette = choose(themes, options.theme)
    for failure in themes.failures:
        print(f"kmon: {failure}", file=sys.stderr)
    driver = driver_for(sys.stdout.isatty(), sys.stderr.isatty())
    log.leave_stderr()
    app = KmonApp(options, themes, palette, plain=wants_no_colour(), driver=driver, overview=overview)
    asyncio.run(_shown(app))
    return ScreenOutcome(app.shown.reader.race, app.interrupted, app.shown.reader.engine_error or app.failure or None)


async def _shown(app: KmonApp) -> None:
    with handle_interrupts(app.on_signal):
        if await foreground(sys.__stdin__.fileno() if sys.__stdin__ else 0, lambda: app.leaving):
            await app.run_async()
