"""What the racing commands do: settle the plan, start the simulator if one is wanted, hand over to a front end."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kmon.catalog.errors import UsageError
from kmon.catalog.model import Scenario, Target
from kmon.catalog.resolve import custom_target, resolve_scenario, resolve_target
from kmon.config import Loaded, keyed_targets, load, user_config_dir
from kmon.race.aim import RACE_DEMO, TEST_DEMO, Demo, check_cost, cost, key_notes, keys_for, rows, simulated
from kmon.race.plan import Keys, RacePlan, Row
from kmon.simulator.embedded import Embedded
from kmon.transport.proxy import proxy_for

if TYPE_CHECKING:
    from kmon.report.experiment import Experiment

DEFAULT_SCENARIO = "code"
TEST_TIMEOUT_S = 60.0
"""Total limit of an attempt of a test where none was set: a hang must not take five minutes each time."""
FIELD_REPORT_PROFILE = "seed-000"
"""How the simulator behaves when targets or scenarios are named: as in the report of stalls with tools on Together."""


@dataclass(frozen=True)
class Prepared:
    """A race that is ready to start."""

    plan: RacePlan
    keys: Keys
    loaded: Loaded


def run(options: argparse.Namespace, *, as_json: bool) -> int:
    """Race without a screen."""
    from kmon.report.headless import main as headless

    with _prepared(options, RACE_DEMO, fall_back_to_demo=False) as ready:
        return headless(ready.plan, ready.keys, as_json=as_json)


def watch(options: argparse.Namespace) -> int:
    """Race on the screen. Real requests are shown as a plan first, unless ``--yes``; the simulator starts at once."""
    with _prepared(options, RACE_DEMO, fall_back_to_demo=True) as ready:
        return _screen(options, ready, start_now=ready.plan.simulated or options.yes)


def repeat(options: argparse.Namespace) -> int:
    """Repeat identical requests and judge them: a board on a terminal, else lines or JSON."""
    from kmon.report.experiment import Experiment
    from kmon.report.experiment import main as headless
    from kmon.verdict.thresholds import Thresholds
    from kmon.verdict.tool_call import unjudgeable
    from kmon.verdict.watch import Watch

    thresholds = Thresholds(fail_under=options.fail_under, max_stall_s=options.max_stall, max_ttft_s=options.max_ttft)
    with _prepared(options, TEST_DEMO, fall_back_to_demo=False) as ready:
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
        proof = Watch(watched, pass_rate=options.pass_rate) if options.until_proven else None
        experiment = Experiment(plan, thresholds, proof)
        if options.json or options.no_tui or not sys.stdout.isatty():
            if not plan.simulated:
                print(f"kmon: {cost(plan)}", file=sys.stderr)
            return headless(plan, ready.keys, experiment, as_json=options.json)
        ready = Prepared(plan, ready.keys, ready.loaded)
        return _screen(options, ready, start_now=plan.simulated or options.yes, experiment=experiment)


def replay(options: argparse.Namespace) -> int:
    """Play recordings, on the screen or as lines and JSON."""
    from kmon.recording import load as load_cassette
    from kmon.report.headless import main as headless
    from kmon.simulator.replay import replay_targets

    if not options.speed > 0:
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    loaded = load(_flags(options))
    recordings = {file: load_cassette(Path(file)) for file in options.files}
    with Embedded.running(replay=options.files, speed=options.speed, as_recorded=options.as_recorded) as simulator:
        played = [Row(target, scenario) for target, scenario in replay_targets(recordings, simulator.origin)]
        plan = _plan(played, loaded, options)
        ready = Prepared(plan, Keys({}), loaded)
        if options.json or options.no_tui or not sys.stdout.isatty():
            return headless(plan, ready.keys, as_json=options.json)
        return _screen(options, ready, start_now=True, origin="replayed")


# -- the plan ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _prepared(options: argparse.Namespace, demo: Demo, *, fall_back_to_demo: bool) -> Iterator[Prepared]:
    """Settle what to race. The simulator, if it takes part, lives as long as the context."""
    _check(options)
    loaded = load(_flags(options))
    for note in loaded.notes:
        print(f"kmon: {note}", file=sys.stderr)
    given = loaded.provenance["timeout_s"] != "default"
    timeout_s = TEST_TIMEOUT_S if demo is TEST_DEMO and not given else None
    targets = _targets(options, loaded)
    on_simulator = options.demo or options.profile is not None
    if not on_simulator and not targets:
        targets = list(keyed_targets(loaded.catalog, loaded.env))
        on_simulator = fall_back_to_demo and not targets
    if not on_simulator and not targets:
        raise UsageError("no target was named and no key is set; name one, put a key in .env or use --demo")
    if not on_simulator:
        plan = _plan(rows(targets, _scenarios(options, loaded, demo)), loaded, options, timeout_s=timeout_s)
        yield Prepared(plan, keys_for(plan, loaded.env), loaded)
        return
    named = bool(_targets(options, loaded))
    whole = not named and options.profile is None and options.scenario is None
    targets = targets if named else [resolve_target(loaded.catalog, name) for name in demo.targets]
    scenarios = [resolve_scenario(loaded.catalog, demo.scenario)] if whole else _scenarios(options, loaded, demo)
    profile = options.profile or (demo.profile if whole or demo is TEST_DEMO else FIELD_REPORT_PROFILE)
    speed = options.speed or (demo.speed if whole else 1.0)
    with Embedded.running(profile=profile, speed=speed, seed=options.seed) as simulator:
        aimed = [simulated(target, simulator.origin) for target in targets]
        timeout_s = demo.timeout_s if whole and options.timeout_s is None else timeout_s
        yield Prepared(_plan(rows(aimed, scenarios), loaded, options, timeout_s=timeout_s), Keys({}), loaded)


def _check(options: argparse.Namespace) -> None:
    if bool(options.base_url) != bool(options.model):
        raise UsageError("--base-url and --model belong together; give both, or name a target")
    if options.speed is not None and not 0 < options.speed < float("inf"):
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    for flag in ("max_requests", "max_tokens"):
        if (value := getattr(options, flag)) is not None and value < 1:
            raise UsageError(f"--{flag.replace('_', '-')} must be 1 or more, not {value}")


def _check_experiment(options: argparse.Namespace) -> None:
    for flag, low, high in (
        ("fail_under", 0, 1),
        ("max_stall", 0, 86_400),
        ("max_ttft", 0, 86_400),
        ("spacing", 0, 3_600),
    ):
        value = getattr(options, flag)
        if value is not None and not low <= value <= high:
            raise UsageError(f"--{flag.replace('_', '-')} must be from {low} to {high}, not {value:g}")
    if options.per_target < 1:
        raise UsageError(f"--per-target must be 1 or more, not {options.per_target}")
    if options.pass_rate is not None and not options.until_proven:
        raise UsageError("--pass-rate needs --until-proven; to fail under a rate use --fail-under")


def _flags(options: argparse.Namespace) -> dict[str, object]:
    """The flags that are settings, by the setting's name."""
    names = ("stall_s", "timeout_s", "connect_timeout_s", "concurrency", "theme", "fps", "bell", "ascii")
    return {"rounds": getattr(options, "count", None)} | {name: getattr(options, name, None) for name in names}


def _scenarios(options: argparse.Namespace, loaded: Loaded, demo: Demo) -> list[Scenario]:
    default = demo.scenario if demo is TEST_DEMO else DEFAULT_SCENARIO
    names = [name.strip() for given in options.scenario or [default] for name in given.split(",")]
    return [resolve_scenario(loaded.catalog, name) for name in dict.fromkeys(names)]


def _targets(options: argparse.Namespace, loaded: Loaded) -> list[Target]:
    named = [resolve_target(loaded.catalog, name) for name in options.targets]
    if options.base_url:
        named.append(custom_target(options.base_url, options.model, options.dialect, options.api_key_env))
    return named


def _plan(
    plan_rows: Sequence[Row], loaded: Loaded, options: argparse.Namespace, *, timeout_s: float | None = None
) -> RacePlan:
    settings = loaded.settings
    plan = RacePlan(
        rows=tuple(plan_rows),
        rounds=settings.rounds,
        concurrency=settings.concurrency,
        stall_s=settings.stall_s,
        timeout_s=timeout_s or settings.timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
        simulated=all(row.target.simulated for row in plan_rows),
    )
    for target in {row.target.base_url: row.target for row in plan.rows}.values():
        proxy_for(target.base_url)  # one that cannot be used is said before anything is sent
    check_cost(plan, max_requests=options.max_requests, max_tokens=options.max_tokens)
    return plan


# -- the screen --------------------------------------------------------------------------------------------------------


def _screen(
    options: argparse.Namespace,
    ready: Prepared,
    *,
    start_now: bool,
    origin: str = "",
    experiment: Experiment | None = None,
) -> int:
    from kmon.race.child import EngineProcess
    from kmon.report.headless import columns_of, exit_code
    from kmon.report.summary import summary
    from kmon.tui.launch import ScreenOptions, run_app

    settings = ready.loaded.settings
    outcome = run_app(
        ScreenOptions(
            plan=ready.plan,
            open_source=lambda: EngineProcess.start(ready.plan, ready.keys),
            start_now=start_now,
            theme=settings.theme,
            user_theme_dirs=[user_config_dir() / "themes"],
            fps=options.fps if ready.loaded.provenance["fps"] == "default" else settings.fps,
            bell=settings.bell,
            ascii=settings.ascii,
            key_notes=key_notes(ready.plan, ready.loaded.env),
            origin=origin,
            board=experiment is not None,
            judge=experiment.add if experiment is not None else None,
            conclude=(lambda _: experiment.conclusion()) if experiment is not None else None,
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
