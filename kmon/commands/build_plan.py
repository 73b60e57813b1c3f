"""Builds the plan of a race from flags and settings, and starts the simulator if the race uses it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from kmon.catalog.keys import keyed_targets
from kmon.catalog.load import Catalog
from kmon.catalog.resolve import custom_target, resolve_scenario, resolve_target
from kmon.commands.build_policy import alarm_plan, policy_of
from kmon.config.kinds import AUTO
from kmon.config.sources import Loaded, load
from kmon.dialects.registry import dialect
from kmon.engine.alert_hooks import NO_HOOKS, AlertHooks
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.selection import TEST_DEMO, Demo, check_cost, keys_for, one_call_at_a_time, rows, simulated
from kmon.errors import UsageError
from kmon.model import DEFAULT_DIALECT, Scenario, Target
from kmon.openclaw.device_key import device_note
from kmon.simulator.embedded import Embedded
from kmon.stats.alerts import AlertThresholds
from kmon.transport.proxy import proxy_for
from kmon.transport.tls import check_authorities

DEFAULT_SCENARIO = "code"
LONGEST_NUDGE_S = 86_400
TEST_TIMEOUT_S = 60.0
"""Total limit of an attempt of ``kmon test`` if none is set; the limit of a race (300 s) is too long for many hangs."""
FIELD_REPORT_PROFILE = "seed-000"
"""Profile of the simulator if targets or scenarios are named: stalls with tools, as reported of Together."""
DEMO_SCENARIOS = {
    "words": DEFAULT_SCENARIO,
    "tool": "tool-call",
    "words-with-tools": "code-tools",
    "called-once": "tool-chain:3",
    "called-twice": "tool-chain:3",
}
"""Scenario by the kind of question (``Ask``) of a self-test case."""


@dataclass(frozen=True)
class FaultDemo:
    """The target and scenario that show a fault. ``timeout_s`` limits an attempt that hangs, in simulated seconds."""

    target: str
    scenario: str
    timeout_s: float


@dataclass(frozen=True)
class Prepared:
    """A race that is ready to start: its plan, keys, settings and alert hooks."""

    plan: RacePlan
    keys: Keys
    loaded: Loaded
    alarm: AlertHooks = NO_HOOKS


def check_race(options: argparse.Namespace) -> None:
    """Raise :class:`UsageError` for flags that are invalid or contradict each other. ``load`` checks the settings."""
    unnamed = options.base_url and not options.model and dialect(options.dialect).unnamed_model
    if bool(options.base_url) != bool(options.model) and not unnamed:
        raise UsageError("--base-url and --model belong together; give both, or name a target")
    if options.speed is not None and not 0 < options.speed < float("inf"):
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    after_s = options.nudge_after
    if after_s is not None and not 0 < after_s <= LONGEST_NUDGE_S:
        wanted = f"a number of seconds above 0 and at most {LONGEST_NUDGE_S}"
        raise UsageError(f"--nudge-after must be {wanted}, not {after_s:g}")
    for flag, value in (("--max-requests", options.max_requests), ("--max-tokens", options.max_tokens)):
        if value is not None and value < 1:
            raise UsageError(f"{flag} must be 1 or more, not {value}")


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
    on_simulator = options.demo or options.profile is not None or bool(options.fault)
    named = _named_targets(options, loaded)
    keyed = () if on_simulator or named else keyed_targets(loaded.catalog.targets.values(), loaded.env)
    if not (on_simulator or named or keyed or fall_back_to_demo):
        raise UsageError("no target was named and no key is set; name one, put a key in .env or use --demo")
    once = demo is TEST_DEMO
    if once and (loaded.settings.retries or loaded.settings.fallback):
        print("kmon: a test tries nothing again and falls back to nobody: every request counts", file=sys.stderr)
    given = loaded.provenance["timeout_s"] != "default"
    timeout_s = TEST_TIMEOUT_S if once and not given else None
    if on_simulator or not (named or keyed):
        with _on_simulator(options, loaded, demo, named, timeout_s) as plan:
            yield ready_to_start(plan, Keys({}), loaded)
        return
    scenarios = _scenarios(options.scenario or [demo.scenario if once else DEFAULT_SCENARIO], loaded)
    plan = _flagged(plan_of(rows(named or keyed, scenarios), loaded, timeout_s=timeout_s, once=once), options)
    yield ready_to_start(plan, keys_for(plan, loaded.env, loaded.trust), loaded)


@contextlib.contextmanager
def _on_simulator(
    options: argparse.Namespace, loaded: Loaded, demo: Demo, named: Sequence[Target], timeout_s: float | None
) -> Iterator[RacePlan]:
    """The plan of a race on the simulator: of the ``named`` targets, of a fault, or the whole demonstration."""
    shown = None
    if options.fault:
        shown = _fault_demo(options.fault, loaded.catalog)
    whole = not (named or options.profile is not None or options.scenario or shown)
    once = demo is TEST_DEMO
    names = demo.targets if shown is None else (shown.target,)
    targets = named or [resolve_target(loaded.catalog, name) for name in names]
    usual = demo.scenario if whole or once else DEFAULT_SCENARIO
    scenarios = _scenarios(options.scenario or [usual if shown is None else shown.scenario], loaded)
    profile = options.profile
    if profile is None:
        profile = "smooth" if shown is not None else demo.profile if whole or once else FIELD_REPORT_PROFILE
    speed = options.speed or (demo.speed if whole else 1.0)
    if options.timeout_s is None and (whole or shown is not None):
        timeout_s = demo.timeout_s if shown is None else shown.timeout_s / speed
    with Embedded(profile=profile, speed=speed, seed=options.seed, fault=options.fault).running() as simulator:
        aimed = [simulated(target, simulator.origin_for(target.provider)) for target in targets]
        simulation = Simulation(simulator.origin, options.seed)
        plan = plan_of(rows(aimed, scenarios), loaded, timeout_s=timeout_s, once=once, simulation=simulation)
        yield _flagged(plan, options)


def ready_to_start(plan: RacePlan, keys: Keys, loaded: Loaded) -> Prepared:
    """The plan with its keys, settings and alert hooks. Raises :class:`UsageError` for hooks that cannot be used."""
    return Prepared(plan, keys, loaded, alarm_plan(loaded.settings))


def _scenarios(given: Sequence[str], loaded: Loaded) -> list[Scenario]:
    names = [name.strip() for names in given for name in names.split(",")]
    return [resolve_scenario(loaded.catalog, name) for name in dict.fromkeys(names)]


def _named_targets(options: argparse.Namespace, loaded: Loaded) -> list[Target]:
    named = [resolve_target(loaded.catalog, name) for name in options.targets]
    if options.base_url:
        named.append(custom_target(options.base_url, options.model, options.dialect, options.api_key_env))
    return named


def _flagged(plan: RacePlan, options: argparse.Namespace) -> RacePlan:
    """The plan with the values of flags that are no settings. Raises :class:`UsageError` above the cost limits."""
    check_cost(plan, max_requests=options.max_requests, max_tokens=options.max_tokens)
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


def _fault_demo(fault: str, catalog: Catalog) -> FaultDemo:
    """The demonstration of ``NAME`` or ``NAME:key=value``, from the first case of that fault in the self-test."""
    from kmon.output.selftest_cases import cases  # imports all faults of the simulator, which few commands need

    name = fault.strip().partition(":")[0]
    for case in cases():
        if case.fault.partition(":")[0].strip("()") == name:
            return FaultDemo(_target_of(case.dialect, catalog), DEMO_SCENARIOS[case.ask], case.timeout_s)
    return FaultDemo(_target_of(DEFAULT_DIALECT, catalog), DEFAULT_SCENARIO, 90.0)


def _target_of(dialect: str, catalog: Catalog) -> str:
    """The name of the first target of a dialect."""
    return next(name for name, target in catalog.targets.items() if target.dialect == dialect)
