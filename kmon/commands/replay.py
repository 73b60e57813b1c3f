"""``kmon replay``: plays recorded streams through the HTTP stack, on the screen or as lines or JSON."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from kmon.commands.flags import Parser, add_alerts, add_screen, add_settings, without_screen
from kmon.errors import UsageError

HELP = "Play recorded streams through the real HTTP stack into the race screen."


def arguments(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="compress recorded time (default 1)")
    parser.add_argument("--as-recorded", action="store_true", help="keep the recorded duration whatever --speed says")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per event")
    add_settings(parser, "stall_s", "timeout_s")
    add_alerts(parser)
    add_screen(parser)


def run(options: argparse.Namespace) -> int:
    from kmon.commands.build_plan import plan_of, ready_to_start
    from kmon.config.sources import load
    from kmon.engine.plan import Keys, Row
    from kmon.recording import load as load_cassette
    from kmon.simulator.embedded import Embedded
    from kmon.simulator.replay import replay_targets

    if not options.speed > 0:
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    loaded = load(vars(options))
    recordings = {file: load_cassette(Path(file)) for file in options.files}
    with Embedded(replay=options.files, speed=options.speed, as_recorded=options.as_recorded).running() as simulator:
        replayed = [Row(target, scenario) for target, scenario in replay_targets(recordings, simulator.origin)]
        ready = ready_to_start(plan_of(replayed, loaded, once=True), Keys({}), loaded)
        if without_screen(options):
            from kmon.output.headless import main as headless

            return headless(ready.plan, ready.keys, ready.alarm, as_json=options.json)
        from kmon.commands.screen import screen_of, show

        return show(replace(screen_of(ready), origin="replayed"))
