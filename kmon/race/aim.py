"""From what the user typed to a plan: which targets, which scenarios, on real keys or on the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from kmon.catalog.errors import UsageError
from kmon.catalog.model import Scenario, Target
from kmon.race.plan import Keys, RacePlan, Row

DEMO_ROWS = (
    ("together", "code-tools"),
    ("fireworks", "code-tools"),
    ("groq", "code-tools"),
    ("moonshot", "code-tools"),
    ("openrouter", "code-tools"),
    ("deepinfra", "code-tools"),
    ("nvidia", "code-tools"),
    ("mistral", "code-tools"),
)
"""What ``kmon --demo`` races when nothing else is named: with the ``demo`` profile, one row per way a stream can go."""

DEMO_TIMEOUT_S = 20.0
"""Total limit of a demo attempt, so that the demo ends by itself."""


def rows(targets: Sequence[Target], scenarios: Sequence[Scenario]) -> tuple[Row, ...]:
    """Every scenario at every target, a target's scenarios side by side."""
    return tuple(Row(target, scenario) for target in targets for scenario in scenarios)


def simulated(target: Target, base_url: str) -> Target:
    """The same target, aimed at the simulator: no key, no provider-specific headers, same model and body."""
    return msgspec.structs.replace(target, base_url=base_url, key_env=(), headers={}, dialect="chat", simulated=True)


def keys_for(plan_rows: Sequence[Row], env: Mapping[str, str]) -> Keys:
    """The keys these rows need. Raises :class:`UsageError` naming the variable a target misses."""
    by_env: dict[str, str] = {}
    for target in {row.target.name: row.target for row in plan_rows}.values():
        found = next((name for name in target.key_env if env.get(name, "").strip()), None)
        if found is None and target.key_env:
            raise UsageError(
                f"{target.key_env[0]} is not set (needed by target {target.name}); put it in .env or run 'kmon --demo'"
            )
        if found is not None:
            by_env[found] = _usable(found, env[found].strip())
    return Keys(by_env)


def _usable(name: str, key: str) -> str:
    """Refuse a key that cannot travel in an HTTP header, before a library quotes it in an error."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{name} holds characters that no API key has (spaces, controls or non-ASCII); set it again")
    return key


def check_cost(plan: RacePlan, *, max_requests: int | None) -> None:
    """Refuse a plan that would send more requests than the user allowed."""
    if max_requests is not None and plan.requests > max_requests:
        raise UsageError(
            f"this race would send {plan.requests} requests, more than --max-requests {max_requests}; "
            "race fewer targets, scenarios or rounds"
        )
