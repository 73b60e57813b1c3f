"""What the racing commands do: settle the plan, start the simulator if one is wanted, hand over to a front end."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmon.catalog.errors import UsageError
from kmon.catalog.model import Scenario, Target
from kmon.catalog.resolve import custom_target, resolve_scenario, resolve_target
from kmon.config import Loaded, keyed_targets, load, user_config_dir
from kmon.race.aim import (
    DEMO_SCENARIO,
    DEMO_TARGETS,
    DEMO_TIMEOUT_S,
    check_cost,
    key_notes,
    keys_for,
    rows,
    simulated,
)
from kmon.race.plan import Keys, RacePlan, Row
from kmon.simulator.embedded import Embedded

DEFAULT_SCENARIO = "code"


@dataclass(frozen=True)
class Prepared:
    """A race that is ready to start."""

    plan: RacePlan
    keys: Keys
    loaded: Loaded


def run(options: argparse.Namespace, *, as_json: bool) -> int:
    """Race without a screen."""
    from kmon.report.headless import main as headless

    with _prepared(options, fall_back_to_demo=False) as ready:
        return headless(ready.plan, ready.keys, as_json=as_json)


def watch(options: argparse.Namespace) -> int:
    """Race on the screen. Real requests are shown as a plan first, unless ``--yes``; the simulator starts at once."""
    with _prepared(options, fall_back_to_demo=True) as ready:
        return _screen(options, ready, start_now=ready.plan.simulated or options.yes)


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
        plan = _plan(played, loaded, timeout_s=loaded.settings.timeout_s)
        ready = Prepared(plan, Keys({}), loaded)
        if options.json or options.no_tui or not sys.stdout.isatty():
            return headless(plan, ready.keys, as_json=options.json)
        return _screen(options, ready, start_now=True)


# -- the plan ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _prepared(options: argparse.Namespace, *, fall_back_to_demo: bool) -> Iterator[Prepared]:
    """Settle what to race. The simulator, if it takes part, lives as long as the context."""
    _check(options)
    loaded = load(_flags(options))
    for note in loaded.notes:
        print(f"kmon: {note}", file=sys.stderr)
    scenarios = _scenarios(options, loaded)
    demo = options.demo or options.profile is not None
    if not demo and not options.targets and not options.base_url:
        demo = fall_back_to_demo and not keyed_targets(loaded.catalog, loaded.env)
    if not demo:
        targets = _targets(options, loaded) or keyed_targets(loaded.catalog, loaded.env)
        if not targets:
            raise UsageError("no target was named and no key is set; name one, put a key in .env or use --demo")
        plan = _plan(rows(targets, scenarios), loaded, timeout_s=loaded.settings.timeout_s)
        check_cost(plan, max_requests=options.max_requests)
        yield Prepared(plan, keys_for(plan, loaded.env), loaded)
        return
    targets = _targets(options, loaded)
    whole_demo = not targets and options.profile is None and not options.scenario
    profile = options.profile or ("seed-000" if targets or options.scenario else "demo")
    if not targets:
        targets = [resolve_target(loaded.catalog, name) for name in DEMO_TARGETS]
    if whole_demo:
        scenarios = [resolve_scenario(loaded.catalog, DEMO_SCENARIO)]
    timeout_s = DEMO_TIMEOUT_S if whole_demo and options.timeout_s is None else loaded.settings.timeout_s
    with Embedded.running(profile=profile, speed=options.speed, seed=options.seed) as simulator:
        aimed = [simulated(target, simulator.base_url(target.provider)) for target in targets]
        plan = _plan(rows(aimed, scenarios), loaded, timeout_s=timeout_s)
        check_cost(plan, max_requests=options.max_requests)
        yield Prepared(plan, Keys({}), loaded)


def _check(options: argparse.Namespace) -> None:
    if bool(options.base_url) != bool(options.model):
        raise UsageError("--base-url and --model belong together; give both, or name a target")
    if not 0 < options.speed < float("inf"):
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    if options.max_requests is not None and options.max_requests < 1:
        raise UsageError(f"--max-requests must be 1 or more, not {options.max_requests}")


def _flags(options: argparse.Namespace) -> dict[str, object]:
    """The flags that are settings, by the setting's name."""
    names = ("stall_s", "timeout_s", "connect_timeout_s", "concurrency", "theme", "fps", "bell", "ascii")
    return {"rounds": getattr(options, "count", None)} | {name: getattr(options, name, None) for name in names}


def _scenarios(options: argparse.Namespace, loaded: Loaded) -> list[Scenario]:
    names = [name.strip() for given in options.scenario or [DEFAULT_SCENARIO] for name in given.split(",")]
    return [resolve_scenario(loaded.catalog, name) for name in dict.fromkeys(names)]


def _targets(options: argparse.Namespace, loaded: Loaded) -> list[Target]:
    named = [resolve_target(loaded.catalog, name) for name in options.targets]
    if options.base_url:
        named.append(custom_target(options.base_url, options.model, options.dialect, options.api_key_env))
    return named


def _plan(plan_rows: Sequence[Row], loaded: Loaded, *, timeout_s: float) -> RacePlan:
    settings = loaded.settings
    return RacePlan(
        rows=tuple(plan_rows),
        rounds=settings.rounds,
        concurrency=settings.concurrency,
        stall_s=settings.stall_s,
        timeout_s=timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
        simulated=all(row.target.simulated for row in plan_rows),
    )


# -- the screen --------------------------------------------------------------------------------------------------------


def _screen(options: argparse.Namespace, ready: Prepared, *, start_now: bool) -> int:
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
        )
    )
    if said := summary(outcome.race, ascii_only=settings.ascii, columns=columns_of(sys.stdout)):
        print(said)
    if outcome.engine_error:
        print(f"kmon: {outcome.engine_error}", file=sys.stderr)
        return 3
    return exit_code(outcome.race)
