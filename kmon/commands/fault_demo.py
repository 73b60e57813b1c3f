"""How a fault of the simulator is best seen: who is asked, what, and for how long, taken from the self-test's cases."""

from __future__ import annotations

from msgspec import Struct

from kmon.catalog.load import Catalog
from kmon.model import DEFAULT_DIALECT
from kmon.output.selftest_cases import Ask, cases

SCENARIOS: dict[Ask, str] = {
    "words": "code",
    "tool": "tool-call",
    "words-with-tools": "code-tools",
    "called-once": "tool-chain:3",
    "called-twice": "tool-chain:3",
}


class Showing(Struct, frozen=True):
    """What makes a fault visible. ``timeout_s`` ends an attempt that would hang, in simulated seconds."""

    target: str
    scenario: str
    timeout_s: float


def shown_by(fault: str, catalog: Catalog) -> Showing:
    """For ``NAME`` or ``NAME:key=value``: as its first case in the self-test has it."""
    name = fault.strip().partition(":")[0]
    for case in cases():
        if case.fault.partition(":")[0].strip("()") == name:
            return Showing(_speaking(case.dialect, catalog), SCENARIOS[case.ask], case.timeout_s)
    return Showing(_speaking(DEFAULT_DIALECT, catalog), SCENARIOS["words"], 90.0)


def _speaking(dialect: str, catalog: Catalog) -> str:
    """The first target in the dialect that a fault needs."""
    return next(name for name, target in catalog.targets.items() if target.dialect == dialect)
