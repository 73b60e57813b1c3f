"""``kmon`` without a command: a race on the screen, or as lines if there is no screen."""

from __future__ import annotations

import argparse
from dataclasses import replace

from kmon.commands.flags import Parser, add_race, add_screen, without_screen

HELP = "Watch many LLM streams at once and see which one is silent right now."


def arguments(parser: Parser) -> None:
    add_race(parser)
    add_screen(parser)


def run(options: argparse.Namespace) -> int:
    """Race. A race of real requests starts after the plan is confirmed or with ``--yes``; a simulated one at once."""
    if without_screen(options):
        from kmon.commands.run import race

        return race(options, as_json=False)
    from kmon.commands import stuck_demo
    from kmon.commands.build_plan import prepared
    from kmon.commands.screen import screen_of, show
    from kmon.engine.selection import RACE_DEMO

    if stuck_demo.is_wanted(options):
        with stuck_demo.prepared(options) as (ready, hosted):
            return show(replace(screen_of(ready, hosted), origin="simulated", hint=stuck_demo.HINT))
    with prepared(options, RACE_DEMO, fall_back_to_demo=True) as ready:
        return show(replace(screen_of(ready), start_now=ready.plan.simulated or options.yes))
