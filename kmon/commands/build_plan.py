"""Builds the plan of a race from flags and settings, and starts the simulator if the race uses it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from kmon.catalog.keys import keyed_targets
from kmon.catalog.resolve import custom_target, resolve_scenarios, resolve_target
from kmon.commands.build_policy import alarm_plan, policy_of
from kmon.commands.check_flags import check_race, on_simulator
from kmon.commands.demo_race import DEFAULT_SCENARIO, demo_race
from kmon.commands.flags import seed_of
from kmon.config.kinds import AUTO
from kmon.config.sources import Loaded, load
from kmon.dialects.registry import dialect
from kmon.engine.alert_hooks import NO_HOOKS, AlertHooks
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.selection import TEST_DEMO, Demo, at_speed, check_cost, keys_for, one_call_at_a_time, rows, simulated
from kmon.errors import UsageError
from kmon.model import DEFAULT_DIALECT, Target
from kmon.openclaw.device_key import device_note
from kmon.simulator.embedded import Embedded
from kmon.stats.alerts import AlertThresholds
from kmon.transport.authorities import check_authorities
from kmon.transport.proxy import proxy_for

TEST_TIMEOUT_S = 60.0
"""Total limit of an attempt of ``kmon test`` if none is set; the limit of a race (300 s) is too long for many hangs."""


@dataclass(frozen=True)
class Prepared:
    """A race that is ready to start: its plan, keys, settings and alert hooks."""

    plan: RacePlan
    keys: Keys
    loaded: Loaded
    alarm: AlertHooks = NO_HOOKS


@contextlib.contextmanager
def prepared(options: argparse.Namespace, demo: Demo, *, fall_back_to_demo: bool) -> Iterator[Prepared]:
    """The race that the flags of ``add_race`` and the settings describe.

    ``demo`` runs on the simulator if no target is named; with ``fall_back_to_demo`` also without ``--demo`` if no key
    is set. A simulator runs as long as the context. Raises :class:`UsageError`.
    """
    check_race(options)
    loaded = load(vars(options))
    for note in loaded.notes:
        print(f"kmon: {note}", file=sys.stderr)
    simulator_wanted = on_simulator(options)
    named = _named_targets(options, loaded)
    keyed = () if simulator_wanted or named else keyed_targets(loaded.catalog.targets.values(), loaded.env)
    if not (simulator_wanted or named or keyed or fall_back_to_demo):
        raise UsageError("no target was named and no key is set; name one, put a key in .env or use --demo")
    once = demo is TEST_DEMO
    if once and (loaded.settings.retries or loaded.settings.fallback):
        print("kmon: a test tries nothing again and falls back to nobody: every request counts", file=sys.stderr)
    given = loaded.provenance["timeout_s"] != "default"
    timeout_s = TEST_TIMEOUT_S if once and not given else None
    if simulator_wanted or not (named or keyed):
        with _on_simulator(options, loaded, demo, named, timeout_s) as plan:
            yield ready_to_start(plan, Keys({}), loaded)
        return
    if options.speed is not None:
        raise UsageError("--speed has no effect on real providers; add --demo to race the simulator, or leave it out")
    if options.seed is not None and not once:
        problem = f"--seed {options.seed} has no effect on real providers, whose answers kmon cannot repeat"
        raise UsageError(f"{problem}; add --demo to race the simulator, or leave it out")
    scenarios = resolve_scenarios(loaded.catalog, options.scenario or [demo.scenario if once else DEFAULT_SCENARIO])
    plan = _flagged(plan_of(rows(named or keyed, scenarios), loaded, timeout_s=timeout_s, once=once), options)
    yield ready_to_start(plan, keys_for(plan, loaded.env, loaded.trust), loaded)


@contextlib.contextmanager
def _on_simulator(
    options: argparse.Namespace, loaded: Loaded, demo: Demo, named: Sequence[Target], timeout_s: float | None
) -> Iterator[RacePlan]:
    """The plan of a race on the simulator: of the ``named`` targets, of a fault, or the whole demonstration."""
    shown = demo_race(options, loaded.catalog, demo, named)
    if shown.timeout_s is not None:
        timeout_s = shown.timeout_s
    once = demo is TEST_DEMO
    with Embedded(
        profile=shown.profile, speed=shown.speed, seed=seed_of(options), fault=options.fault
    ).running() as simulator:
        aimed = [simulated(target, simulator.origin_for(target.provider)) for target in shown.targets]
        simulation = Simulation(simulator.origin, seed_of(options))
        scenarios = [at_speed(scenario, shown.speed) for scenario in shown.scenarios]
        plan = plan_of(rows(aimed, scenarios), loaded, timeout_s=timeout_s, once=once, simulation=simulation)
        yield _flagged(plan, options)


def ready_to_start(plan: RacePlan, keys: Keys, loaded: Loaded) -> Prepared:
    """The plan with its keys, settings and alert hooks. Raises :class:`UsageError` for hooks that cannot be used."""
    return Prepared(plan, keys, loaded, alarm_plan(loaded.settings))


def _named_targets(options: argparse.Namespace, loaded: Loaded) -> list[Target]:
    named = [resolve_target(loaded.catalog, name) for name in options.targets]
    if options.base_url:
        named.append(
            custom_target(options.base_url, options.model, options.dialect or DEFAULT_DIALECT, options.api_key_env)
        )
    return named


def _flagged(plan: RacePlan, options: argparse.Namespace) -> RacePlan:
    """The plan with the values of flags that are no settings.

    Raises :class:`UsageError` above the cost limits, and for the session of a gateway in a race without one.
    """
    check_cost(plan, max_requests=options.max_requests, max_tokens=options.max_tokens)
    if options.session is not None and not any(dialect(target.dialect).transport == "gateway" for target in plan.asked):
        raise UsageError(f"--session {options.session} has no effect without a gateway; name one, or leave it out")
    return replace(plan, session=options.session or "", nudge_after_s=options.nudge_after)


@dataclass(frozen=True)
class Simulation:
    """The simulator of a race: the origin that fallbacks use, and the seed of the retry jitter."""

    origin: str
    seed: int


def plan_of(
    plan_rows: Sequence[Row],
    loaded: Loaded,
    *,
    timeout_s: float | None = None,
    once: bool = False,
    simulation: Simulation | None = None,
) -> RacePlan:
    """The plan for these rows by the settings.

    ``timeout_s`` replaces the total limit of an attempt; ``once`` removes retries and fallbacks. Raises
    :class:`UsageError`, before anything is sent, for settings, proxies and certificate files that cannot be used.
    """
    settings = loaded.settings
    policy = policy_of(
        loaded,
        plan_rows,
        timeout_s=timeout_s,
        jitter_seed=None if simulation is None else simulation.seed,
        aimed=lambda target: target if simulation is None else simulated(target, simulation.origin),
        once=once,
    )
    plan = RacePlan(
        rows=tuple(one_call_at_a_time(row) if policy.tools == "sequential" else row for row in plan_rows),
        rounds=settings.rounds,
        concurrency=settings.concurrency,
        stall_s=settings.first_stall_s,
        learn_stall=settings.stall_s == AUTO,
        policy=policy,
        simulated=all(row.target.simulated for row in plan_rows),
        alerts=AlertThresholds(
            success_rate=settings.alert_success_rate,
            failures=settings.alert_failures,
            chunks=settings.alert_chunks,
        ),
    )
    for target in {target.base_url: target for target in plan.asked}.values():
        proxy_for(target.base_url)  # raises for a proxy that cannot be used
    check_authorities()
    if any(dialect(target.dialect).signs_with_device for target in plan.asked) and (note := device_note()):
        print(f"kmon: {note}", file=sys.stderr)
    return plan
