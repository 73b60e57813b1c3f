"""``kmon run``: a race without a screen, as lines or JSON."""

from __future__ import annotations

import argparse

from kmon.commands.flags import Parser, add_race

HELP = "Race without a screen: lines for people, or one JSON object per event."


def arguments(parser: Parser) -> None:
    add_race(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per line, flushed as it happens")


def run(options: argparse.Namespace) -> int:
    return race(options, as_json=options.json)


def race(options: argparse.Namespace, *, as_json: bool) -> int:
    """Run the race of the options, or the stuck-tui demonstration, and print it. Returns the exit code."""
    from kmon.commands import stuck_demo
    from kmon.commands.build_plan import prepared
    from kmon.engine.selection import RACE_DEMO
    from kmon.output.headless import main as headless

    if stuck_demo.is_wanted(options):
        with stuck_demo.prepared(options) as (ready, hosted):
            return headless(hosted, ready.keys, as_json=as_json)
    with prepared(options, RACE_DEMO, fall_back_to_demo=False) as ready:
        return headless(ready.plan, ready.keys, ready.alarm, as_json=as_json)
