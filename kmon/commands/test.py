"""``kmon test``: repeats identical requests, counts passes, and prints what the counts prove statistically."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from kmon.commands.flags import Parser, add_race, add_screen, duration_s, without_screen
from kmon.commands.pass_limits import add_pass_limits

if TYPE_CHECKING:
    from kmon.commands.build_plan import Prepared
    from kmon.commands.test_options import PreparedTest

HELP = "Repeat identical requests, count what passes, and say what that proves."


def arguments(parser: Parser) -> None:
    from kmon.stats.budget import USUAL_ROUNDS

    add_race(parser, rounds=USUAL_ROUNDS)
    parser.set_defaults(rounds=None)  # --until-proven without --count gets as many as it needs
    design = parser.add_argument_group("experiment")
    design.add_argument("--no-nonce", action="store_true", help="let prompt caches answer: send the very same request")
    pace = design.add_mutually_exclusive_group()
    pace.add_argument("--spacing", type=float, default=0.0, metavar="S", help="least time between rounds (default 0)")
    pace.add_argument(
        "--over", type=duration_s, metavar="TIME", help="spread the rounds evenly over 6h, 90m or 45s, with jitter"
    )
    design.add_argument("--per-target", type=int, default=1, metavar="N", help="open at once per target (default 1)")
    design.add_argument(
        "--suspect", metavar="TARGET", help="what the test is about: compare it with its controls first"
    )
    design.add_argument(
        "--control",
        action="append",
        metavar="TARGET[,TARGET]",
        help="with --suspect: its controls (default: all others)",
    )
    design.add_argument("--until-proven", action="store_true", help="stop as soon as a difference is proven")
    design.add_argument("--pass-rate", type=float, metavar="R", help="with --until-proven: also prove R kept or missed")
    add_pass_limits(parser)
    thresholds = parser.add_argument_group(
        "thresholds that decide the exit code", "0 all met, 1 one missed, 4 undecided: too few runs to tell."
    )
    thresholds.add_argument("--fail-under", type=float, metavar="R", help="least pass rate per target, such as 0.95")
    thresholds.add_argument("--max-stall", type=float, metavar="S", help="longest silence of any run")
    thresholds.add_argument("--max-ttft", type=float, metavar="S", help="longest wait of any run for the first token")
    results = parser.add_argument_group("results for other programs, and for later")
    results.add_argument("--json", action="store_true", help="no screen: one JSON object per line")
    results.add_argument("--junit", metavar="FILE", help="write JUnit XML when the test has ended")
    results.add_argument("--github", action="store_true", help="in GitHub Actions: step summary and annotations")
    kept = results.add_mutually_exclusive_group()
    kept.add_argument("--save", metavar="FILE", help="save the plan, and every run as it ends, to a new file")
    kept.add_argument("--resume", metavar="FILE", help="go on with the test of such a file, for --count more rounds")
    add_screen(parser)


def run(options: argparse.Namespace) -> int:
    """Run the experiment on a board in a terminal, else as lines or JSON. Returns the exit code."""
    from kmon.commands.build_plan import prepared
    from kmon.commands.test_options import check_test, name_raced, prepared_test
    from kmon.engine.selection import TEST_DEMO, cost
    from kmon.output.experiment import main as headless

    check_test(options)
    name_raced(options)
    with prepared(options, TEST_DEMO, fall_back_to_demo=False) as ready:
        test = prepared_test(ready.plan, options)
        plan = test.plan
        try:
            if without_screen(options):
                for note in [*([] if plan.simulated else [cost(plan)]), *test.notes]:
                    print(f"kmon: {note}", file=sys.stderr)
                code = headless(plan, ready.keys, test.experiment, ready.alarm, as_json=options.json)
            else:
                code = _show(replace(ready, plan=plan), test, start_now=plan.simulated or options.yes)
        finally:
            if test.file is not None:
                test.file.close()
        return _deliver(test) or code


def _show(ready: Prepared, test: PreparedTest, *, start_now: bool) -> int:
    from kmon.commands.screen import exit_code_of, print_table, screen_of
    from kmon.engine.api import EventSource
    from kmon.tui.launch import run_app

    experiment = test.experiment
    screen = screen_of(ready)

    async def source() -> EventSource:
        experiment.begin()
        return await screen.open_source()

    board = replace(
        screen,
        open_source=source,
        start_now=start_now,
        board=True,
        judge=experiment.judge,
        conclude=lambda _: experiment.conclusion_lines(),
        plan_notes=test.notes,
        earlier=experiment.earlier,
    )
    outcome = run_app(board)
    if experiment.trials:
        print(experiment.conclusion())
    else:
        print_table(outcome.race, board)
    return exit_code_of(outcome, experiment.exit_code)


def _deliver(test: PreparedTest) -> int:
    """Write the reports that were asked for. Returns 3 if one cannot be written, else 0."""
    from kmon.output.github import append_summary, workflow_commands
    from kmon.output.junit import junit, write_whole

    experiment = test.experiment
    if not experiment.trials or (test.junit is None and test.summary is None):
        return 0
    verdict = experiment.verdict()
    try:
        if test.junit is not None:
            write_whole(test.junit, junit(verdict, experiment.trials))
        if test.summary is not None:
            append_summary(test.summary, verdict)
    except OSError as error:
        print(f"kmon: cannot write the results: {error}", file=sys.stderr)
        return 3
    if test.summary is not None:
        print("\n".join(workflow_commands(verdict)))
    return 0
