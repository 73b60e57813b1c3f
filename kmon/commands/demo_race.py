"""What a race on the simulator shows: its targets, scenarios and profile, by the flags or by the demonstration.

Without a target that is the whole demonstration of the command, all of it in one dialect with ``--dialect``, or one
target that shows the fault of ``--fault``. The case of that fault in the self-test gives the dialect and the question.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from kmon.address import over_websocket
from kmon.catalog.load import Catalog
from kmon.catalog.resolve import resolve_scenarios, resolve_target
from kmon.dialects.registry import dialect
from kmon.engine.selection import TEST_DEMO, Demo, in_dialect
from kmon.errors import UsageError
from kmon.model import DEFAULT_DIALECT, Scenario, Target

DEFAULT_SCENARIO = "code"
FIELD_REPORT_PROFILE = "seed-000"
"""Profile of the simulator if targets or scenarios are named: stalls with tools, as reported of Together."""
FAULT_SCENARIOS = {
    "words": DEFAULT_SCENARIO,
    "tool": "tool-call",
    "words-with-tools": "code-tools",
    "called-once": "tool-chain:3",
    "called-twice": "tool-chain:3",
}
"""Scenario by the kind of question (``Ask``) of a self-test case."""
FAULT_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class DemoRace:
    """A race on the simulator. ``timeout_s`` limits an attempt that hangs; None leaves it to the settings."""

    targets: Sequence[Target]
    scenarios: Sequence[Scenario]
    profile: str
    speed: float
    timeout_s: float | None


@dataclass(frozen=True)
class FaultDemo:
    """The target and scenario that show a fault. ``timeout_s`` limits an attempt that hangs, in simulated seconds."""

    target: Target
    scenario: str
    timeout_s: float


def demo_race(options: argparse.Namespace, catalog: Catalog, demo: Demo, named: Sequence[Target]) -> DemoRace:
    """The race that the flags describe: of the ``named`` targets, of a fault, or the whole ``demo``.

    Raises :class:`UsageError` for a dialect that the simulator does not have, and for a fault that the dialect of a
    target cannot have.
    """
    shown = _fault_demo(options.fault, options.dialect, catalog) if options.fault else None
    whole = not (named or options.profile is not None or options.scenario or shown)
    if shown is not None:
        usual, profile, timeout_s = shown.scenario, "smooth", shown.timeout_s
    elif whole or demo is TEST_DEMO:
        usual, profile, timeout_s = demo.scenario, demo.profile, demo.timeout_s
    else:
        usual, profile, timeout_s = DEFAULT_SCENARIO, FIELD_REPORT_PROFILE, demo.timeout_s
    targets = named or ([shown.target] if shown is not None else _demo_targets(demo, options.dialect, catalog))
    if options.fault:
        _check_fault(options.fault, targets)
    scenarios: Sequence[Scenario] = resolve_scenarios(catalog, options.scenario or [usual])
    if options.dialect is not None and shown is None and not (named or options.scenario):
        scenarios = _carried(scenarios, targets[0], catalog)
    speed = options.speed or (demo.speed if whole else 1.0)
    limited = options.timeout_s is None and (whole or shown is not None)
    return DemoRace(
        targets,
        scenarios,
        profile if options.profile is None else options.profile,
        speed,
        (timeout_s if shown is None else timeout_s / speed) if limited else None,
    )


def _demo_targets(demo: Demo, spoken: str | None, catalog: Catalog) -> list[Target]:
    targets = [resolve_target(catalog, name) for name in demo.targets]
    if spoken is None:
        return targets
    _check_simulated(spoken)
    return [in_dialect(target, spoken) for target in targets]


def _carried(scenarios: Sequence[Scenario], target: Target, catalog: Catalog) -> Sequence[Scenario]:
    """The scenarios of a demonstration, or a simpler one with a note if the dialect does not support them."""
    if not any(dialect(target.dialect).unsupported(target, scenario) for scenario in scenarios):
        return scenarios
    usual = ", ".join(scenario.name for scenario in scenarios)
    note = f"the {target.dialect} dialect does not support the scenario {usual}; asking {DEFAULT_SCENARIO} instead"
    print(f"kmon: {note}", file=sys.stderr)
    return resolve_scenarios(catalog, [DEFAULT_SCENARIO])


def _fault_demo(fault: str, wanted: str | None, catalog: Catalog) -> FaultDemo:
    """The demonstration of ``NAME`` or ``NAME:key=value``, in the ``wanted`` dialect if there is one.

    It is that of the first case of that fault in the self-test, if possible of a case in the same dialect.
    """
    from kmon.output.selftest_cases import cases  # imports all faults of the simulator, which few commands need

    name = fault.strip().partition(":")[0]
    found = [case for case in cases() if case.fault.partition(":")[0].strip("()") == name]
    case = next((case for case in found if case.dialect == wanted), found[0] if found else None)
    target = _target_of(wanted or (case.dialect if case else DEFAULT_DIALECT), catalog)
    if case is None:
        return FaultDemo(target, DEFAULT_SCENARIO, FAULT_TIMEOUT_S)
    if case.socket and target.dialect == case.dialect:
        target = replace(target, base_url=over_websocket(target.base_url))
    return FaultDemo(target, FAULT_SCENARIOS[case.ask], case.timeout_s)


def _target_of(spoken: str, catalog: Catalog) -> Target:
    """The first target of a dialect; the first of all, in that dialect, if the catalog has none."""
    _check_simulated(spoken)
    targets = catalog.targets.values()
    return next((target for target in targets if target.dialect == spoken), None) or in_dialect(
        next(iter(targets)), spoken
    )


def _check_simulated(spoken: str) -> None:
    """Raise :class:`UsageError` for a dialect that the simulator does not have."""
    from kmon.simulator.dialects.registry import server_dialect, server_dialects

    if server_dialect(spoken) is None:
        known = ", ".join(entry.name for entry in server_dialects())
        raise UsageError(f"--dialect {spoken}: the simulator has no such dialect; use one of {known}")


def _check_fault(fault: str, targets: Sequence[Target]) -> None:
    """Raise :class:`UsageError` for a fault that does not exist, or that the dialect of a target cannot have."""
    from kmon.simulator.dialects.registry import server_dialect
    from kmon.simulator.profile import fault_or_place

    named = fault_or_place(fault)
    for target in targets:
        simulated = server_dialect(target.dialect)
        if simulated is not None and dialect(target.dialect).transport_to(target.base_url) == "turns":
            simulated = simulated.on_socket
        if named is not None and simulated is not None and (refused := named.refusal(simulated)):
            raise UsageError(f"--fault {fault}, target {target.name}: {refused}; use a target with such a dialect")
