"""The parts of a plan from the choices of the user: rows, keys, the simulator, the demos and the limits of cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from kmon.address import over_websocket
from kmon.catalog.environment import Environment
from kmon.catalog.keys import check_trust, credential, key_source
from kmon.catalog.trust import Trust
from kmon.dialects.dialect import HttpDialect
from kmon.dialects.registry import dialect, http_dialect
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.errors import UsageError
from kmon.model import Scenario, Target

SPED_LEAST_S = 0.5
"""The least limit that a compressed scenario has: less is the lag of a busy machine, not a hole in an answer."""


@dataclass(frozen=True)
class Demo:
    """A race on the simulator for a command without targets. ``timeout_s`` is the timeout of an attempt."""

    targets: tuple[str, ...]
    scenario: str
    profile: str
    timeout_s: float
    speed: float = 1.0
    suspect: str = ""
    """The target that the others are controls of, if the race asks about one."""


RACE_DEMO = Demo(
    ("together", "fireworks", "groq", "moonshot", "openrouter", "deepinfra", "nvidia", "mistral"),
    "code-tools",
    profile="demo",
    timeout_s=20.0,
)
"""One row per way in which a stream can go."""
TEST_DEMO = Demo(
    ("bedrock/kimi-k2.5", "bedrock/mistral-large-3", "bedrock/nova-pro", "openrouter/moonshotai/kimi-k2.5"),
    "tool-result",
    profile="seed-002",
    timeout_s=3.0,
    speed=10.0,
    suspect="bedrock/kimi-k2.5",
)
"""The report that Kimi on Bedrock hangs on four of ten tool results, with its controls, at ten times the speed."""


def rows(targets: Sequence[Target], scenarios: Sequence[Scenario]) -> tuple[Row, ...]:
    """One row for every scenario at every target, in the order of the targets.

    Raises :class:`UsageError` for a scenario that the dialect of a target does not support.
    """
    found = tuple(Row(target, scenario) for target in targets for scenario in scenarios)
    for row in found:
        if problem := dialect(row.target.dialect).unsupported(row.target, row.scenario):
            raise UsageError(problem)
    return found


def at_speed(scenario: Scenario, speed: float) -> Scenario:
    """The scenario for a simulator that compresses time: its limits shrink with everything else, to
    ``SPED_LEAST_S`` at least."""
    limits = scenario.limits
    if speed <= 1:
        return scenario
    sped = {
        name: max(SPED_LEAST_S, s / speed) if (s := getattr(limits, name)) else 0.0 for name in limits.__struct_fields__
    }
    return msgspec.structs.replace(scenario, limits=msgspec.structs.replace(limits, **sped))


def one_call_at_a_time(row: Row) -> Row:
    """The row with parallel tool calls off if its scenario is a chain; dialects without that option ignore it."""
    if row.scenario.chain is None:
        return row
    return Row(row.target, msgspec.structs.replace(row.scenario, parallel_calls=False))


def in_dialect(target: Target, name: str) -> Target:
    """The target as if its provider used the HTTP dialect ``name``, for the simulator.

    The members of the request that the target adds are left out: they are of its own dialect. Raises
    :class:`UsageError` for a dialect that does not exist or is no HTTP request.
    """
    return msgspec.structs.replace(target, dialect=name, auth=http_dialect(name).auth, body={}, headers={})


def simulated(target: Target, origin: str) -> Target:
    """The target at the simulator at ``origin``: the same dialect, carrier, model and body, without key and headers."""
    http = dialect(target.dialect)
    if not isinstance(http, HttpDialect):
        raise UsageError(f"target {target.name} cannot be raced on the simulated provider; leave it out")
    origin = over_websocket(origin) if http.transport_to(target.base_url) == "turns" else origin
    base_url = f"{origin}/{target.provider}{http.base_path}"
    return msgspec.structs.replace(target, base_url=base_url, url_variables=(), key_env=(), headers={}, simulated=True)


def keys_for(plan: RacePlan, env: Environment, trust: Trust) -> Keys:
    """The keys of a plan. Raises :class:`UsageError` that names the missing variable of a target.

    Raises :class:`UntrustedHostError` for hosts of a project file that the user has not trusted.
    """
    check_trust(plan.asked, env, trust)
    return Keys({target.name: credential(target, env, trust) for target in plan.asked})


def key_notes(plan: RacePlan, env: Environment) -> dict[str, str]:
    """By target name, the source of its key, for the plan screen."""
    return {
        target.name: key_source(target, env) or ("simulated" if target.simulated else "no key needed")
        for target in plan.asked
    }


def check_cost(plan: RacePlan, *, max_requests: int | None, max_tokens: int | None) -> None:
    """Raises :class:`UsageError` for a plan that may send more requests or get more output tokens than allowed."""
    less = "race fewer targets, scenarios or rounds"
    if max_requests is not None and plan.requests > max_requests:
        raise UsageError(f"this would send {plan.requests} requests, more than --max-requests {max_requests}; {less}")
    if max_tokens is not None and plan.max_output_tokens > max_tokens:
        raise UsageError(
            f"this could cost {plan.max_output_tokens} output tokens, more than --max-tokens {max_tokens}; {less}"
        )


def cost(plan: RacePlan) -> str:
    """The upper bounds of requests and output tokens, in words."""
    return f"{plan.requests} requests, at most {plan.max_output_tokens} output tokens"
