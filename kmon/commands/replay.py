"""``kmon replay``: plays recorded streams through the HTTP stack, on the screen or as lines or JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kmon.commands.flags import Parser, add_alerts, add_screen, add_settings, without_screen
from kmon.commands.recording_files import FILES_HELP, names_formats
from kmon.errors import UsageError

if TYPE_CHECKING:
    from kmon.config.sources import Loaded
    from kmon.recording import Interaction

HELP = "Play recorded streams through the real HTTP stack into the race screen, with their recorded times."


def arguments(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=f"a file, which is read more than once; {FILES_HELP}")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="compress recorded time (default 1)")
    parser.add_argument("--as-recorded", action="store_true", help="keep the recorded duration whatever --speed says")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per event")
    add_settings(parser, "stall_s", "timeout_s")
    add_alerts(parser)
    add_screen(parser)
    names_formats(parser)


def run(options: argparse.Namespace) -> int:
    """Play what can be played. Returns exit code 2 if one of several files could not; a single one is refused."""
    from kmon.config.sources import load

    if not options.speed > 0:
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    loaded = load(vars(options))
    recordings, problems = _readable(options.files)
    if not recordings:
        raise UsageError(problems[-1])
    code = _play(options, loaded, recordings)
    return max(code, 2) if problems else code


def _readable(files: Sequence[str]) -> tuple[dict[str, list[Interaction]], list[str]]:
    """The files that hold a stream to play, and a sentence about each other one. All but the last are printed here."""
    from kmon.dialects.text import clean
    from kmon.recording import load
    from kmon.simulator.replay import replayed

    recordings: dict[str, list[Interaction]] = {}
    problems: list[str] = []
    for file in files:
        try:
            found = load(Path(file))
            replayed({file: found})
        except UsageError as error:
            problems.append(str(error))
        else:
            recordings[file] = found
    for problem in problems if recordings else problems[:-1]:
        print(f"kmon: {clean(problem)}", file=sys.stderr)
    return recordings, problems


def _play(options: argparse.Namespace, loaded: Loaded, recordings: Mapping[str, Sequence[Interaction]]) -> int:
    from kmon.commands.build_plan import plan_of, ready_to_start
    from kmon.engine.plan import Keys, Row
    from kmon.simulator.embedded import Embedded
    from kmon.simulator.replay import replay_targets

    files = list(recordings)
    with Embedded(replay=files, speed=options.speed, as_recorded=options.as_recorded).running() as simulator:
        rows = [Row(target, scenario) for target, scenario in replay_targets(recordings, simulator.origin)]
        ready = ready_to_start(plan_of(rows, loaded, once=True), Keys({}), loaded)
        if without_screen(options):
            from kmon.output.headless import main as headless

            return headless(ready.plan, ready.keys, ready.alarm, as_json=options.json)
        from kmon.commands.screen import screen_of, show

        return show(replace(screen_of(ready), origin="replayed"))
