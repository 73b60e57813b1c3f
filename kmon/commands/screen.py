"""Hands a race that is ready to the screen, and prints what is left of it when the screen is gone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kmon.commands.prepare import Prepared
from kmon.config import user_config_dir
from kmon.engine.api import Action
from kmon.engine.selection import key_notes
from kmon.hosts import Plan
from kmon.tui.options import NOTHING_YET

if TYPE_CHECKING:
    from kmon.output.experiment import Experiment


def show(
    options: argparse.Namespace,
    ready: Prepared,
    *,
    start_now: bool,
    origin: str = "",
    experiment: Experiment | None = None,
    hosted: Plan | None = None,
    nothing_yet: str = NOTHING_YET,
    hint: str = "",
    impossible: Mapping[Action, str] | None = None,
) -> int:
    """Show what ``ready`` holds; ``hosted`` is what the engine does where that is no race of kmon's own."""
    from kmon.engine.process import EngineProcess
    from kmon.output.headless import columns_of, exit_code
    from kmon.output.summary import summary
    from kmon.tui.launch import ScreenOptions, run_app

    async def source() -> EngineProcess:
        if experiment is not None:
            experiment.begin()
        return await EngineProcess.start(hosted or ready.plan, ready.keys)

    settings = ready.loaded.settings
    outcome = run_app(
        ScreenOptions(
            plan=ready.plan,
            open_source=source,
            start_now=start_now,
            theme=settings.theme,
            user_theme_dirs=[user_config_dir() / "themes"],
            fps=options.fps if ready.loaded.provenance["fps"] == "default" else settings.fps,
            bell=settings.bell,
            alarm=ready.alarm,
            ascii=settings.ascii,
            key_notes=key_notes(ready.plan, ready.loaded.env),
            origin=origin,
            nothing_yet=nothing_yet,
            hint=hint,
            impossible=impossible or {},
            board=experiment is not None,
            judge=experiment.add if experiment is not None else None,
            conclude=(lambda _: experiment.conclusion_lines()) if experiment is not None else None,
        )
    )
    if experiment is not None and experiment.trials:
        print(experiment.conclusion())
    elif said := summary(outcome.race, ascii_only=settings.ascii, columns=columns_of(sys.stdout)):
        print(said)
    if outcome.engine_error:
        print(f"kmon: {outcome.engine_error}", file=sys.stderr)
        return 3
    if outcome.interrupted:
        return 130
    if outcome.race.started is None:
        return 0  # the plan was looked at and left
    return exit_code(outcome.race) if experiment is None else experiment.exit_code(outcome.race)
