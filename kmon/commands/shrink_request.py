"""``kmon isolate --shrink``: reduces a failing request to the smallest that still fails."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kmon.commands.flags import Parser, without_screen
from kmon.errors import UsageError

if TYPE_CHECKING:
    from kmon.commands.build_shrinking import ReadyToShrink

_OF_FACTORS = (
    ("--factors", "factors"),
    ("--without", "without"),
    ("--elsewhere", "elsewhere"),
    ("--other-model", "other_model"),
    ("--keep-check", "keep_check"),
)
"""Flags that say which factors are varied and how: a reduction varies none."""


def add_shrink(parser: Parser) -> None:
    """The flags of a reduction."""
    group = parser.add_argument_group("reducing the request instead")
    group.add_argument(
        "--shrink",
        action="store_true",
        help="find the smallest request that still fails: which messages, tools, properties and options it needs",
    )
    group.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help="what counts as failing: this share of the runs, 0 to 1; a quarter of it does not (default 0.15)",
    )
    group.add_argument("--output", metavar="FILE", help="write what is left as a scenario for a kmon.toml")


def check_shrink(options: argparse.Namespace) -> None:
    """Raise :class:`UsageError` for flags that contradict each other or would have no effect."""
    if not options.shrink:
        for flag, value in (("--rate", options.rate), ("--output", options.output)):
            if value is not None:
                raise UsageError(f"{flag} belongs to a reduction; add --shrink, or leave it out")
        return
    for flag, name in _OF_FACTORS:
        if getattr(options, name):
            raise UsageError(f"{flag} says how factors are varied, and --shrink varies none; leave one of them out")
    if options.output is not None and not options.list:
        from kmon.output.shrink import check_output

        check_output(Path(options.output))


def run_shrink(options: argparse.Namespace) -> int:
    """Reduce on a board in a terminal, else as lines or JSON. Returns the exit code."""
    from kmon.commands.build_shrinking import parts_of, shrinking
    from kmon.output.shrink import main, part_lines, write_reduced

    if options.list:
        request = parts_of(options)
        print(f"{request.reported.target.name}, {request.reported.scenario.name}")
        print("\n".join(part_lines(request.parts)))
        return 0
    with shrinking(options) as ready:
        plan = ready.prepared.plan
        if without_screen(options):
            if not plan.simulated:
                print(f"kmon: {ready.cost}", file=sys.stderr)
            code = main(plan, ready.prepared.keys, ready.shrinking, as_json=options.json)
        else:
            code = _show(ready, start_now=plan.simulated or options.yes)
        if options.output is not None and ready.shrinking.rounds:
            print(f"kmon: {write_reduced(ready.shrinking, Path(options.output))}", file=sys.stderr)
        return code


def _show(ready: ReadyToShrink, *, start_now: bool) -> int:
    from kmon.commands.screen import exit_code_of, screen_of
    from kmon.engine.api import EventSource
    from kmon.isolate.fed_source import FedSource
    from kmon.isolate.shrink_answer import shrink_answer, shrink_answered
    from kmon.output.fed_lines import exit_code
    from kmon.output.shrink import shrink_notes
    from kmon.tui.isolation_screen import IsolationScreen
    from kmon.tui.launch import run_app

    reduction, screen = ready.shrinking, screen_of(ready.prepared)

    async def source() -> EventSource:
        reduction.begin()
        return FedSource(await screen.open_source(), reduction)

    options = replace(screen, open_source=source, start_now=start_now, board=True, plan_notes=shrink_notes(reduction))
    outcome = run_app(options, lambda shown: IsolationScreen(shown, reduction))
    if reduction.rounds:
        print(shrink_answer(reduction))
    return exit_code_of(outcome, lambda view: exit_code(shrink_answered(reduction), view))
