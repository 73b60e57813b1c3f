"""What the racing commands do: settle the plan, hand over to a front end."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from kmon.catalog.errors import UsageError
from kmon.commands.prepare import check_experiment, flags_of, plan_of, prepared, prepared_race
from kmon.commands.screen import show
from kmon.config import load
from kmon.engine.plan import Keys, Row
from kmon.engine.selection import RACE_DEMO, TEST_DEMO, cost
from kmon.simulator.embedded import Embedded


def run(options: argparse.Namespace, *, as_json: bool) -> int:
    """Race without a screen."""
    from kmon.output.headless import main as headless

    with prepared(options, RACE_DEMO, fall_back_to_demo=False) as ready:
        return headless(ready.plan, ready.keys, ready.alarm, as_json=as_json)


def watch(options: argparse.Namespace) -> int:
    """Race on the screen. Real requests are shown as a plan first, unless ``--yes``; the simulator starts at once."""
    with prepared(options, RACE_DEMO, fall_back_to_demo=True) as ready:
        return show(options, ready, start_now=ready.plan.simulated or options.yes)


def repeat(options: argparse.Namespace) -> int:
    """Repeat identical requests and judge them: a board on a terminal, else lines or JSON."""
    from kmon.findings.tool_call import unjudgeable
    from kmon.output.experiment import Experiment
    from kmon.output.experiment import main as headless
    from kmon.stats.sequential_test import SequentialTest
    from kmon.stats.thresholds import Thresholds

    check_experiment(options)
    thresholds = Thresholds(fail_under=options.fail_under, max_stall_s=options.max_stall, max_ttft_s=options.max_ttft)
    with prepared(options, TEST_DEMO, fall_back_to_demo=False) as ready:
        plan = msgspec.structs.replace(
            ready.plan,
            order_seed=options.seed,
            nonce=not options.no_nonce,
            spacing_s=options.spacing,
            per_target=options.per_target,
        )
        for row in plan.rows:
            if problem := unjudgeable(row.scenario):
                raise UsageError(problem)
        watched = [(row.target, row.scenario) for row in plan.rows]
        experiment = Experiment(
            plan,
            thresholds,
            (lambda: SequentialTest(watched, pass_rate=options.pass_rate)) if options.until_proven else None,
        )
        if options.json or options.no_tui or not sys.stdout.isatty():
            if not plan.simulated:
                print(f"kmon: {cost(plan)}", file=sys.stderr)
            return headless(plan, ready.keys, experiment, ready.alarm, as_json=options.json)
        ready = replace(ready, plan=plan)
        return show(options, ready, start_now=plan.simulated or options.yes, experiment=experiment)


def replay(options: argparse.Namespace) -> int:
    """Play recordings, on the screen or as lines and JSON."""
    from kmon.output.headless import main as headless
    from kmon.recording import load as load_cassette
    from kmon.simulator.replay import replay_targets

    if not options.speed > 0:
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    loaded = load(flags_of(options))
    recordings = {file: load_cassette(Path(file)) for file in options.files}
    with Embedded.running(replay=options.files, speed=options.speed, as_recorded=options.as_recorded) as simulator:
        played = [Row(target, scenario) for target, scenario in replay_targets(recordings, simulator.origin)]
        plan = plan_of(played, loaded, options, once=True)
        ready = prepared_race(plan, Keys({}), loaded)
        if options.json or options.no_tui or not sys.stdout.isatty():
            return headless(plan, ready.keys, ready.alarm, as_json=options.json)
        return show(options, ready, start_now=True, origin="replayed")
