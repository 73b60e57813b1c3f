"""What makes two tests the same test: targets, scenarios with their limits, and what else changes a request or its end.

The number, order and pace of the rounds do not: a test may be continued with other ones. Nothing here holds a key, and
a base URL enters as a part of a hash only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from kmon.engine.plan import RacePlan
from kmon.format import listed
from kmon.model import Target
from kmon.stats.question import Question

ALGORITHM = "sha256:"
HEX = 16
"""Digits of a digest of one part."""


def parts_of(plan: RacePlan, question: Question | None = None) -> dict[str, str]:
    """What defines the test, by name: a value in words, or a digest of something long.

    A ``question`` that was declared is part of it: choosing one after a look at the results would prove too much.
    """
    parts = {f"target {row.target.name}": _digest(_defining(row.target)) for row in plan.rows}
    parts |= {f"scenario {row.scenario.name}": _digest(row.scenario) for row in plan.rows}
    pairs = sorted({f"{row.target.name} with {row.scenario.name}" for row in plan.rows})
    policy = plan.policy
    if question is not None:
        parts["question"] = f"{question.suspect} against {listed(question.controls)}"
    return parts | {
        "rows": _digest(pairs),
        "time limit": f"{policy.timeout_s:g} s",
        "connect limit": f"{policy.connect_timeout_s:g} s",
        "limits": _digest(policy.non_default()),
        "prompts": "each unique" if plan.nonce else "the same",
        "provider": "simulated" if plan.simulated else "real",
    }


def fingerprint(parts: Mapping[str, str]) -> str:
    """SHA-256 over the parts, in hex."""
    return hashlib.sha256(msgspec.json.encode(sorted(parts.items()))).hexdigest()


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """How two plans differ, in words; empty if they are the same."""
    said = [f"{name} is missing" for name in before if name not in now and name != "rows"]
    said += [f"{name} is new" for name in now if name not in before and name != "rows"]
    for name in before.keys() & now.keys():
        if before[name] == now[name] or (name == "rows" and said):
            continue
        digest = before[name].startswith(ALGORITHM)
        said.append(f"{name} changed" if digest else f"{name} was {before[name]} and is {now[name]}")
    return listed(sorted(said))


def _defining(target: Target) -> Target:
    """The target without what may differ between two equal tests: the port of the simulator, where its file is."""
    return replace(target, base_url="" if target.simulated else target.base_url, named_in=None, quirks=())


def _digest(value: object) -> str:
    return ALGORITHM + hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:HEX]
