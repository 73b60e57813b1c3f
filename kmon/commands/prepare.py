"""From flags and files to a race that is ready to start; the simulator is started here if one is wanted."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from kmon.catalog.errors import UsageError
from kmon.catalog.model import Scenario, Target
from kmon.catalog.resolve import custom_target, resolve_scenario, resolve_target
from kmon.commands.alarm import alarm_plan
from kmon.commands.policy import policy_of
from kmon.config import Loaded, keyed_targets, load
from kmon.dialects.registry import dialect
from kmon.engine.alert_hooks import NOTHING, AlarmPlan
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.selection import TEST_DEMO, Demo, check_cost, keys_for, one_call_at_a_time, rows, simulated
from kmon.openclaw.device_key import device_note
from kmon.output.faults import shown_by
from kmon.settings import AUTO, SETTINGS
from kmon.simulator.embedded import Embedded
from kmon.stats.alerts import AlertThresholds
from kmon.transport.network import check_authorities
from kmon.transport.proxy import proxy_for

DEFAULT_SCENARIO = "code"
TEST_TIMEOUT_S = 60.0
"""Total limit of an attempt of a test where none was set: a hang must not take five minutes each time."""
LONGEST_NUDGE_S = 86_400
FIELD_REPORT_PROFILE = "seed-000"
"""How the simulator behaves when targets or scenarios are named: as in the report of stalls with tools on Together."""


@dataclass(frozen=True)
class Prepared:
    """A race that is ready to start."""

    plan: RacePlan
    keys: Keys
    loaded: Loaded
    alarm: AlarmPlan = NOTHING


@contextlib.contextmanager
def prepared(options: argparse.Namespace, demo: Demo, *, fall_back_to_demo: bool) -> Iterator[Prepared]:
    """Settle what to race. The simulator, if it takes part, lives as long as the context."""
    check_flags(options)
    loaded = load(flags_of(options))
    for note in loaded.notes:
        print(f"kmon: {note}", file=sys.stderr)
    given = loaded.provenance["timeout_s"] != "default"
    timeout_s = TEST_TIMEOUT_S if demo is TEST_DEMO and not given else None
    targets = _targets(options, loaded)
    on_simulator = options.demo or options.profile is not None or bool(options.fault)
    if not on_simulator and not targets:
        targets = list(keyed_targets(loaded.catalog, loaded.env))
        on_simulator = fall_back_to_demo and not targets
    if not on_simulator and not targets:
        raise UsageError("no target was named and no key is set; name one, put a key in .env or use --demo")
    once = demo is TEST_DEMO
    if once and (loaded.settings.retries or loaded.settings.fallback):
        print("kmon: a test tries nothing again and falls back to nobody: every request counts", file=sys.stderr)
    if not on_simulator:
        asked = rows(targets, _scenarios(options, loaded, demo))
        plan = plan_of(asked, loaded, options, timeout_s=timeout_s, once=once)
        yield prepared_race(plan, keys_for(plan, loaded.env, loaded.trust), loaded)
        return
    named = bool(_targets(options, loaded))
    shown = shown_by(options.fault, loaded.catalog) if options.fault else None
    whole = not named and options.profile is None and options.scenario is None and shown is None
    demo_targets = demo.targets if shown is None else (shown.target,)
    targets = targets if named else [resolve_target(loaded.catalog, name) for name in demo_targets]
    if shown is not None and options.scenario is None:
        options.scenario = [shown.scenario]
    scenarios = [resolve_scenario(loaded.catalog, demo.scenario)] if whole else _scenarios(options, loaded, demo)
    usual = demo.profile if whole or demo is TEST_DEMO else FIELD_REPORT_PROFILE
    profile = options.profile or ("smooth" if shown is not None else usual)
    speed = options.speed or (demo.speed if whole else 1.0)
    with Embedded.running(profile=profile, speed=speed, seed=options.seed, fault=options.fault) as simulator:
        aimed = [simulated(target, simulator.origin_for(target.provider)) for target in targets]
        if options.timeout_s is None:
            timeout_s = demo.timeout_s if whole else timeout_s if shown is None else shown.timeout_s / speed
        plan = plan_of(rows(aimed, scenarios), loaded, options, timeout_s=timeout_s, origin=simulator.origin, once=once)
        yield prepared_race(plan, Keys({}), loaded)


def prepared_race(plan: RacePlan, keys: Keys, loaded: Loaded) -> Prepared:
    """A plan with what it needs beside it."""
    return Prepared(plan, keys, loaded, alarm_plan(loaded.settings))


def check_flags(options: argparse.Namespace) -> None:
    unnamed = options.base_url and not options.model and dialect(options.dialect).unnamed_model
    if bool(options.base_url) != bool(options.model) and not unnamed:
        raise UsageError("--base-url and --model belong together; give both, or name a target")
    if options.speed is not None and not 0 < options.speed < float("inf"):
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    check_nudge(getattr(options, "nudge_after", None))
    for flag in ("max_requests", "max_tokens"):
        if (value := getattr(options, flag)) is not None and value < 1:
            raise UsageError(f"--{flag.replace('_', '-')} must be 1 or more, not {value}")


def check_nudge(after_s: float | None) -> None:
    if after_s is not None and not 0 < after_s <= LONGEST_NUDGE_S:
        raise UsageError(
            f"--nudge-after must be a number of seconds above 0 and at most {LONGEST_NUDGE_S}, not {after_s:g}"
        )


def check_experiment(options: argparse.Namespace) -> None:
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


def flags_of(options: argparse.Namespace) -> dict[str, object]:
    """The flags that are settings, by the setting's name."""
    names = [name for name, rule in SETTINGS.items() if rule.flag and name != "rounds"]
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


def plan_of(
    plan_rows: Sequence[Row],
    loaded: Loaded,
    options: argparse.Namespace,
    *,
    timeout_s: float | None = None,
    origin: str | None = None,
    once: bool = False,
) -> RacePlan:
    """The plan for these rows.

    ``origin`` is the simulator's, where they are aimed at it. ``once`` leaves retries and fallbacks out.
    """
    settings = loaded.settings
    policy = policy_of(
        loaded,
        plan_rows,
        timeout_s=timeout_s,
        jitter_seed=None if origin is None else options.seed,
        aimed=lambda target: target if origin is None else simulated(target, origin),
        once=once,
    )
    plan = RacePlan(
        rows=tuple(plan_rows),
        rounds=settings.rounds,
        concurrency=settings.concurrency,
        stall_s=settings.first_stall_s,
        learn_stall=settings.stall_s == AUTO,
        policy=policy,
        session=getattr(options, "session", None) or "",
        nudge_after_s=getattr(options, "nudge_after", None),
        simulated=all(row.target.simulated for row in plan_rows),
        alerts=AlertThresholds(
            success_rate=settings.alert_success_rate,
            failures=settings.alert_failures,
            chunks=settings.alert_chunks,
        ),
    )
    if plan.policy.tools == "sequential":
        plan = msgspec.structs.replace(plan, rows=tuple(one_call_at_a_time(row) for row in plan.rows))
    for target in {target.base_url: target for target in plan.asked}.values():
        proxy_for(target.base_url)  # one that cannot be used is said before anything is sent
    check_authorities()
    if any(dialect(target.dialect).signs_with_device for target in plan.asked) and (note := device_note()):
        print(f"kmon: {note}", file=sys.stderr)
    check_cost(plan, max_requests=options.max_requests, max_tokens=options.max_tokens)
    return plan
