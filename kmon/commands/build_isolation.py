"""Builds an isolation from its flags: the request, the places beside it, the factors, the plan and its keys."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from msgspec.structs import replace

from kmon.catalog.credential import host_of
from kmon.catalog.resolve import custom_target, resolve_scenario, resolve_target
from kmon.commands.build_plan import TEST_TIMEOUT_S, Prepared, Simulation, plan_of, ready_to_start
from kmon.commands.check_flags import check_aim, on_simulator
from kmon.commands.flags import seed_of
from kmon.commands.pass_limits import limited
from kmon.config.sources import Loaded, load
from kmon.dialects.registry import dialect, http_dialects
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.selection import at_speed, in_dialect, keys_for, simulated
from kmon.errors import UsageError
from kmon.findings.tool_call import unjudgeable
from kmon.format import listed
from kmon.isolate.changes import unchecked
from kmon.isolate.experiment import Experiment
from kmon.isolate.factors import CONNECTION
from kmon.isolate.places import Places, check_elsewhere, check_other_model, has_own_key, places_of
from kmon.isolate.requests import chosen, obstacles
from kmon.isolate.stages import Stages, StageSettings
from kmon.isolate.subject import Subject
from kmon.model import DEFAULT_DIALECT, Target
from kmon.simulator.embedded import Embedded
from kmon.stats.alerts import AlertThresholds

DEMO_TARGET, DEMO_SCENARIO, DEMO_ELSEWHERE = "bedrock/kimi-k2.5", "tool-result", "openrouter/moonshotai/kimi-k2.5"
DEMO_PROFILE, DEMO_SPEED, DEMO_TIMEOUT_S = "isolate", 10.0, 2.0
NO_ALERTS = AlertThresholds(success_rate=0, failures=0, chunks=0)
"""An isolation is about a request that fails: that it does is no news."""
MAX_REQUESTS = 200
BLOCK = 4
"""Requests of a round: an outage hits all of them alike, so that they can be compared."""


@dataclass(frozen=True)
class Isolating:
    """An isolation that is ready to start."""

    prepared: Prepared
    experiment: Experiment
    subject: Subject
    cost: str


@contextlib.contextmanager
def isolating(options: argparse.Namespace) -> Iterator[Isolating]:
    """The isolation that the flags and the settings describe. A simulator runs as long as the context.

    Raises :class:`UsageError`, before anything is sent, for what cannot be varied or cannot be decided.
    """
    loaded, demo = loaded_for(options)
    target = failing_target(options, loaded, demo=demo)
    places = _places(options, loaded, target, demo=demo)
    if not demo:
        yield _ready(options, loaded, _subject(options, loaded, target, places))
        return
    with simulator_for(options) as simulator:

        def aim(to: Target | None) -> Target | None:
            return None if to is None else simulated(to, simulator.origin_for(to.provider))

        aimed = Places(
            elsewhere=aim(places.elsewhere),
            other_model=aim(places.other_model),
            other_dialect=aim(places.other_dialect),
            why_not_elsewhere=places.why_not_elsewhere,
        )
        here = simulated(target, simulator.origin_for(target.provider))
        subject = _subject(options, loaded, here, aimed)
        yield _ready(options, loaded, subject, Simulation(simulator.origin, seed_of(options)))


def subject_of(options: argparse.Namespace) -> Subject:
    """What would be isolated, for ``--list``. Raises :class:`UsageError`."""
    loaded, demo = loaded_for(options)
    target = failing_target(options, loaded, demo=demo)
    return _subject(options, loaded, target, _places(options, loaded, target, demo=demo))


def loaded_for(options: argparse.Namespace) -> tuple[Loaded, bool]:
    """The settings, and whether the simulator is asked."""
    check_aim(options)
    demo = on_simulator(options)
    if options.speed is not None and not demo:
        raise UsageError("--speed has no effect on real providers; add --demo, or leave it out")
    loaded = load(vars(options))
    for note in loaded.notes:
        print(f"kmon: {note}", file=sys.stderr)
    return loaded, demo


def simulator_for(options: argparse.Namespace) -> AbstractContextManager[Embedded]:
    """The simulator of the demonstration, as long as the context."""
    embedded = Embedded(
        profile=options.profile or DEMO_PROFILE,
        speed=options.speed or DEMO_SPEED,
        seed=seed_of(options),
        fault=options.fault,
    )
    return embedded.running()


def failing_target(options: argparse.Namespace, loaded: Loaded, *, demo: bool) -> Target:
    """The target whose request fails."""
    if len(options.targets) + bool(options.base_url) > 1:
        raise UsageError("one request is isolated at a time: name one target")
    if options.base_url:
        return custom_target(options.base_url, options.model, options.dialect or DEFAULT_DIALECT, options.api_key_env)
    if not options.targets and not demo:
        raise UsageError("name the target whose request fails, or use --demo")
    target = resolve_target(loaded.catalog, options.targets[0] if options.targets else DEMO_TARGET)
    return target if options.dialect is None else in_dialect(target, options.dialect)


def _places(options: argparse.Namespace, loaded: Loaded, target: Target, *, demo: bool) -> Places:
    """The places beside the target: those that flags name, else what the catalog has and keys are there for."""

    def usable(other: Target) -> bool:
        return demo or has_own_key(other, loaded.env, loaded.trust)

    found = places_of(target, loaded.catalog.targets.values(), usable)
    elsewhere = options.elsewhere
    if elsewhere is None and demo and not options.targets and not options.base_url:
        elsewhere = DEMO_ELSEWHERE
    if elsewhere is not None:
        found = replace(found, elsewhere=check_elsewhere(target, resolve_target(loaded.catalog, elsewhere)))
    if options.other_model is not None:
        named = resolve_target(loaded.catalog, options.other_model)
        found = replace(found, other_model=check_other_model(target, named))
    if demo and found.other_dialect is None:  # the simulator speaks every dialect
        spoken = next(of.name for of in http_dialects() if of.transport == "http" and of.name != target.dialect)
        found = replace(found, other_dialect=replace(in_dialect(target, spoken), name=f"{target.name}:{spoken}"))
    return found


def failing_row(options: argparse.Namespace, loaded: Loaded, target: Target) -> Row:
    """The request that fails. Raises :class:`UsageError` for one that cannot be isolated."""
    default = None if options.targets or options.base_url else DEMO_SCENARIO
    name = options.scenario or default
    if name is None:
        raise UsageError("say what is asked with --scenario NAME; 'kmon scenarios' lists what there is")
    scenario = resolve_scenario(loaded.catalog, name)
    if on_simulator(options):
        scenario = at_speed(scenario, options.speed or DEMO_SPEED)
    scenario = limited(scenario, options)
    if scenario.chain is not None:
        raise UsageError(f"scenario {name} takes several requests per run; isolate one request, such as tool-result")
    if problem := unjudgeable(scenario) or dialect(target.dialect).unsupported(target, scenario):
        raise UsageError(problem)
    return Row(target, scenario)


def _subject(options: argparse.Namespace, loaded: Loaded, target: Target, places: Places) -> Subject:
    """The request with its factors. Raises :class:`UsageError` for a request that cannot be isolated."""
    reported = failing_row(options, loaded, target)
    only, without = _names(options.factors), _names(options.without)
    factors = () if options.list else chosen(reported, places, only, without)
    checked = options.keep_check or not any(factor.asks_otherwise for factor in factors)
    if not checked:
        reported = Row(target, unchecked(reported.scenario))
    return Subject(reported, places, factors, obstacles(reported, places), checked)


def _ready(
    options: argparse.Namespace, loaded: Loaded, subject: Subject, simulation: Simulation | None = None
) -> Isolating:
    experiment = _experiment(options, subject)
    rows = [Row(to, experiment.reported.scenario) for to in experiment.targets]
    plan = fed_plan(options, loaded, rows, experiment.max_requests, simulation)
    plan = replace(plan, keep_connections=any(factor.name == CONNECTION for factor in subject.factors))
    return Isolating(prepared(plan, loaded), experiment, subject, cost_words(plan))


def prepared(plan: RacePlan, loaded: Loaded) -> Prepared:
    """The plan with its keys. Raises :class:`UsageError` for a key that is missing."""
    keys = Keys({}) if plan.simulated else keys_for(plan, loaded.env, loaded.trust)
    return ready_to_start(plan, keys, loaded)


def cost_words(plan: RacePlan) -> str:
    """What it costs at most, and every host that gets a request."""
    hosts = list(dict.fromkeys(host_of(row.target.base_url) for row in plan.rows))
    tokens = f"at most {plan.max_output_tokens} output tokens"
    return f"at most {plan.requests} requests, {tokens}, to {listed(hosts)}"


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (given or "").split(",") if name.strip())


def _experiment(options: argparse.Namespace, subject: Subject) -> Experiment:
    settings = StageSettings(seed=seed_of(options), block=BLOCK)
    most = MAX_REQUESTS if options.max_requests is None else options.max_requests

    def stages() -> Stages:
        return Stages(subject.reported, subject.places, subject.factors, settings)

    try:
        return Experiment(stages, max_requests=most)
    except ValueError as error:
        raise UsageError(f"--max-requests {most}: {error}") from None


def fed_plan(
    options: argparse.Namespace,
    loaded: Loaded,
    rows: Sequence[Row],
    max_requests: int,
    simulation: Simulation | None,
) -> RacePlan:
    """The plan of a race that is fed with rounds, of these rows at first. Raises :class:`UsageError` for its cost."""
    timeout_s: float | None = None
    if loaded.provenance["timeout_s"] == "default":
        timeout_s = TEST_TIMEOUT_S if simulation is None else DEMO_TIMEOUT_S
    plan = replace(
        plan_of(rows, loaded, timeout_s=timeout_s, once=True, simulation=simulation),
        fed=max_requests,
        nonce=True,
        spacing_s=options.spacing,
        per_target=options.per_target,
        alerts=NO_ALERTS,
    )
    if options.max_tokens is not None and plan.max_output_tokens > options.max_tokens:
        raise UsageError(
            f"this could cost {plan.max_output_tokens} output tokens, more than --max-tokens {options.max_tokens}; "
            "lower --max-requests, or ask a scenario with a smaller output cap"
        )
    return plan
