"""From what the user typed to a plan: which targets, which scenarios, on real keys or on the simulator."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kmon.catalog.errors import UsageError
from kmon.catalog.model import Scenario, Target
from kmon.config import Environment, credential_variables, key_problem, key_source
from kmon.dialects import refusal
from kmon.race.plan import Keys, RacePlan, Row

DEMO_TARGETS = ("together", "fireworks", "groq", "moonshot", "openrouter", "deepinfra", "nvidia", "mistral")
"""What ``kmon --demo`` races when nothing is named: with the ``demo`` profile, one row per way a stream can go."""
DEMO_SCENARIO = "code-tools"
DEMO_TIMEOUT_S = 20.0
"""Total limit of a demo attempt, so that the demo ends by itself."""


def rows(targets: Sequence[Target], scenarios: Sequence[Scenario]) -> tuple[Row, ...]:
    """Every scenario at every target, a target's scenarios side by side.

    Raises :class:`UsageError` for a scenario that a target's dialect cannot carry.
    """
    found = tuple(Row(target, scenario) for target in targets for scenario in scenarios)
    for row in found:
        if problem := refusal(row.target, row.scenario):
            raise UsageError(problem)
    return found


def simulated(target: Target, base_url: str) -> Target:
    """The same target, aimed at the simulator: no key, no headers of its own, the same model and body."""
    return msgspec.structs.replace(target, base_url=base_url, key_env=(), headers={}, dialect="chat", simulated=True)


def keys_for(plan: RacePlan, env: Environment) -> Keys:
    """The keys the plan needs. Raises :class:`UsageError` naming the variable a target misses."""
    by_env: dict[str, str] = {}
    for row in plan.rows:
        if problem := key_problem(row.target, env):
            raise UsageError(problem)
        by_env |= credential_variables(row.target, env)
    return Keys(by_env)


def key_notes(plan: RacePlan, env: Environment) -> dict[str, str]:
    """Per target name, where its key was found, for the plan screen."""
    return {
        row.target.name: key_source(row.target, env) or ("simulated" if row.target.simulated else "no key needed")
        for row in plan.rows
    }


def check_cost(plan: RacePlan, *, max_requests: int | None) -> None:
    """Refuse a plan that would send more requests than the user allowed."""
    if max_requests is not None and plan.requests > max_requests:
        raise UsageError(
            f"this race would send {plan.requests} requests, more than --max-requests {max_requests}; "
            "race fewer targets, scenarios or rounds"
        )
