"""``kmon isolate``: changes one thing after the other in a failing request, at random, and says which of them it is."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from kmon.commands.flags import DEFAULT_SEED, Parser, add_screen, add_settings, without_screen
from kmon.commands.pass_limits import add_pass_limits, given_limits
from kmon.commands.shrink_request import add_shrink, check_shrink, run_shrink
from kmon.errors import UsageError

if TYPE_CHECKING:
    from kmon.commands.build_isolation import Isolating

HELP = (
    "Find the factor by which a request fails: tools, a tool result, streaming, the dialect, the provider, ... "
    "Exit code 0: answered, 4: not."
)
PER_TARGET = 4
HOUR_S = 3_600


def arguments(parser: Parser) -> None:
    aim = parser.add_argument_group("the request that fails")
    aim.add_argument("targets", nargs="*", metavar="TARGET", help="a name of 'kmon targets', or provider/model")
    aim.add_argument("--scenario", metavar="NAME", help="what is asked (see 'kmon scenarios')")
    aim.add_argument("--base-url", metavar="URL", help="any endpoint, with --model")
    aim.add_argument("--model", metavar="ID", help="the model to ask for at --base-url")
    aim.add_argument("--dialect", metavar="NAME", help="dialect of --base-url")
    aim.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds the key for --base-url")
    vary = parser.add_argument_group("what is varied")
    vary.add_argument("--list", action="store_true", help="say what can be varied, and why not the rest; send nothing")
    vary.add_argument("--factors", metavar="A,B", help="only these factors (default: all that can be varied)")
    vary.add_argument("--without", metavar="A,B", help="not these factors")
    vary.add_argument("--elsewhere", metavar="TARGET", help="the same model at another provider, by PROVIDER/MODEL")
    vary.add_argument("--other-model", metavar="TARGET", help="another model at the same provider")
    vary.add_argument(
        "--keep-check", action="store_true", help="a wrong answer is a failure, also where the question was changed"
    )
    add_shrink(parser)
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-requests",
        type=int,
        metavar="N",
        help="requests at most, in all stages (default 200, with --shrink 400)",
    )
    limits.add_argument("--max-tokens", type=int, metavar="N", help="refuse what could cost more output tokens in all")
    limits.add_argument(
        "--spacing", type=float, default=0.0, metavar="S", help="least time between two requests to a target"
    )
    limits.add_argument(
        "--per-target",
        type=int,
        default=PER_TARGET,
        metavar="N",
        help=f"open at once at a target (default {PER_TARGET})",
    )
    add_settings(limits, "concurrency", "stall_s", "timeout_s", "connect_timeout_s")
    limits.add_argument("--seed", type=int, metavar="N", help=f"same seed, same order (default {DEFAULT_SEED})")
    add_pass_limits(parser)
    demo = parser.add_argument_group("simulator")
    demo.add_argument("--demo", action="store_true", help="on the embedded simulator, free, with a cause to be found")
    demo.add_argument("--profile", metavar="NAME|FILE", help="--demo with this behaviour (see 'kmon sim --help')")
    demo.add_argument("--fault", default="", metavar="NAME", help="--demo with this fault for all requests")
    demo.add_argument("--speed", type=float, metavar="X", help="simulator only: compress time (default 10)")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per line")
    add_screen(parser)


def run(options: argparse.Namespace) -> int:
    """Isolate on a board in a terminal, else as lines or JSON. Returns the exit code."""
    _check(options)
    return run_shrink(options) if options.shrink else _isolate(options)


def _isolate(options: argparse.Namespace) -> int:
    from kmon.commands.build_isolation import isolating, subject_of
    from kmon.output.isolate import factor_lines, main

    if options.list:
        print("\n".join(factor_lines(subject_of(options))))
        return 0
    with isolating(options) as ready:
        if without_screen(options):
            if not ready.prepared.plan.simulated:
                print(f"kmon: {ready.cost}", file=sys.stderr)
            return main(ready.prepared.plan, ready.prepared.keys, ready.experiment, ready.subject, as_json=options.json)
        return _show(ready, start_now=ready.prepared.plan.simulated or options.yes)


def _show(ready: Isolating, *, start_now: bool) -> int:
    from kmon.commands.screen import exit_code_of, screen_of
    from kmon.engine.api import EventSource
    from kmon.isolate.answer import answered
    from kmon.isolate.fed_source import FedSource
    from kmon.output.fed_lines import exit_code
    from kmon.output.isolate import closing_lines, plan_notes
    from kmon.tui.isolation_screen import IsolationScreen
    from kmon.tui.launch import run_app

    experiment, screen = ready.experiment, screen_of(ready.prepared)

    async def source() -> EventSource:
        experiment.begin()
        return FedSource(await screen.open_source(), experiment)

    options = replace(screen, open_source=source, start_now=start_now, board=True, plan_notes=plan_notes(ready.subject))
    outcome = run_app(options, lambda shown: IsolationScreen(shown, experiment))
    if experiment.rounds:
        print("\n".join(closing_lines(experiment)))
    return exit_code_of(outcome, lambda view: exit_code(answered(experiment), view))


def _check(options: argparse.Namespace) -> None:
    check_shrink(options)
    if options.per_target < 1:
        raise UsageError(f"--per-target must be 1 or more, not {options.per_target}")
    for flag, value in (("--spacing", options.spacing), *given_limits(options)):
        if value is not None and not 0 <= value <= HOUR_S:
            raise UsageError(f"{flag} must be from 0 to {HOUR_S}, not {value:g}")
    if options.max_tokens is not None and options.max_tokens < 1:
        raise UsageError(f"--max-tokens must be 1 or more, not {options.max_tokens}")
    if options.speed is not None and not 0 < options.speed < float("inf"):
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
