"""``kmon test``: repeats identical requests, counts passes, and prints what the counts prove statistically."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from kmon.commands.flags import Parser, add_race, add_screen, seed_of, without_screen
from kmon.errors import UsageError

if TYPE_CHECKING:
    from kmon.commands.build_plan import Prepared
    from kmon.output.experiment import Experiment

HELP = "Repeat identical requests, count what passes, and say what that proves."
ROUNDS = 10


def arguments(parser: Parser) -> None:
    add_race(parser, rounds=ROUNDS)
    design = parser.add_argument_group("experiment")
    design.add_argument("--no-nonce", action="store_true", help="let prompt caches answer: send the very same request")
    design.add_argument("--spacing", type=float, default=0.0, metavar="S", help="least time between rounds (default 0)")
    design.add_argument("--per-target", type=int, default=1, metavar="N", help="open at once per target (default 1)")
    design.add_argument("--until-proven", action="store_true", help="stop as soon as a difference is proven")
    design.add_argument("--pass-rate", type=float, metavar="R", help="with --until-proven: also prove R kept or missed")
    thresholds = parser.add_argument_group("thresholds that decide exit code 1")
    thresholds.add_argument("--fail-under", type=float, metavar="R", help="least pass rate per target, such as 0.95")
    thresholds.add_argument("--max-stall", type=float, metavar="S", help="longest silence")
    thresholds.add_argument("--max-ttft", type=float, metavar="S", help="longest wait for the first token")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per line")
    add_screen(parser)


def run(options: argparse.Namespace) -> int:
    """Run the experiment on a board in a terminal, else as lines or JSON. Returns the exit code."""
    import msgspec

    from kmon.commands.build_plan import prepared
    from kmon.engine.selection import TEST_DEMO, cost
    from kmon.findings.tool_call import unjudgeable
    from kmon.output.experiment import Experiment
    from kmon.output.experiment import main as headless
    from kmon.stats.compare import Thresholds
    from kmon.stats.sequential_test import SequentialTest

    _check(options)
    thresholds = Thresholds(fail_under=options.fail_under, max_stall_s=options.max_stall, max_ttft_s=options.max_ttft)
    with prepared(options, TEST_DEMO, fall_back_to_demo=False) as ready:
        plan = msgspec.structs.replace(
            ready.plan,
            order_seed=seed_of(options),
            nonce=not options.no_nonce,
            spacing_s=options.spacing,
            per_target=options.per_target,
        )
        for row in plan.rows:
            if problem := unjudgeable(row.scenario):
                raise UsageError(problem)
        cells = [(row.target, row.scenario) for row in plan.rows]
        experiment = Experiment(
            plan,
            thresholds,
            (lambda: SequentialTest(cells, pass_rate=options.pass_rate)) if options.until_proven else None,
        )
        if without_screen(options):
            if not plan.simulated:
                print(f"kmon: {cost(plan)}", file=sys.stderr)
            return headless(plan, ready.keys, experiment, ready.alarm, as_json=options.json)
        return _show(replace(ready, plan=plan), experiment, start_now=plan.simulated or options.yes)


def _show(ready: Prepared, experiment: Experiment, *, start_now: bool) -> int:
    from kmon.commands.screen import exit_code_of, print_table, screen_of
    from kmon.engine.api import EventSource
    from kmon.tui.launch import run_app

    screen = screen_of(ready)

    async def source() -> EventSource:
        experiment.begin()
        return await screen.open_source()

    board = replace(
        screen,
        open_source=source,
        start_now=start_now,
        board=True,
        judge=experiment.add,
        conclude=lambda _: experiment.conclusion_lines(),
    )
    outcome = run_app(board)
    if experiment.trials:
        print(experiment.conclusion())
    else:
        print_table(outcome.race, board)
    return exit_code_of(outcome, experiment.exit_code)


def _check(options: argparse.Namespace) -> None:
    for flag, value, high in (
        ("--fail-under", options.fail_under, 1),
        ("--max-stall", options.max_stall, 86_400),
        ("--max-ttft", options.max_ttft, 86_400),
        ("--spacing", options.spacing, 3_600),
    ):
        if value is not None and not 0 <= value <= high:
            raise UsageError(f"{flag} must be from 0 to {high}, not {value:g}")
    if options.per_target < 1:
        raise UsageError(f"--per-target must be 1 or more, not {options.per_target}")
    if options.pass_rate is not None and not options.until_proven:
        raise UsageError("--pass-rate needs --until-proven; to fail under a rate use --fail-under")
