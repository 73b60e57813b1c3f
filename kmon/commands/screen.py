"""Shows a race on the screen, and prints its table after the screen is closed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from kmon.commands.build_plan import Prepared
from kmon.config.sources import user_config_dir
from kmon.engine.process import EngineProcess
from kmon.engine.selection import key_notes
from kmon.hosts import Plan
from kmon.output.headless import columns_of, exit_code
from kmon.output.summary import summary
from kmon.process.interrupts import INTERRUPTED
from kmon.stream.view import RaceView
from kmon.tui.launch import run_app
from kmon.tui.options import ScreenOptions, ScreenOutcome


def screen_of(ready: Prepared, hosted: Plan | None = None) -> ScreenOptions:
    """The options of the screen for ``ready``, by the settings.

    ``hosted`` is the engine's plan if it is not the race itself: a proxy or a gateway.
    """

    async def source() -> EngineProcess:
        return await EngineProcess.start(hosted or ready.plan, ready.keys)

    settings = ready.loaded.settings
    return ScreenOptions(
        plan=ready.plan,
        open_source=source,
        theme=settings.theme,
        user_theme_dirs=[user_config_dir() / "themes"],
        fps=None if ready.loaded.provenance["fps"] == "default" else settings.fps,
        bell=settings.bell,
        alarm=ready.alarm,
        ascii=settings.ascii,
        key_notes=key_notes(ready.plan, ready.loaded.env),
    )


def show(screen: ScreenOptions) -> int:
    """Show a race until the user quits, and print its table. Returns the exit code."""
    outcome = run_app(screen)
    print_table(outcome.race, screen)
    return exit_code_of(outcome, exit_code)


def print_table(race: RaceView, screen: ScreenOptions) -> None:
    """Print the table of a race on stdout, if it has rows."""
    if table := summary(race, ascii_only=screen.ascii, columns=columns_of(sys.stdout)):
        print(table)


def exit_code_of(outcome: ScreenOutcome, of_race: Callable[[RaceView], int]) -> int:
    """The exit code: 3 if the engine failed, 130 if interrupted, 0 if no race was started, else ``of_race``."""
    if outcome.engine_error:
        print(f"kmon: {outcome.engine_error}", file=sys.stderr)
        return 3
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if outcome.race.started is None else of_race(outcome.race)
