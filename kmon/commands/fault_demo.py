"""How a fault of the simulator is best seen: who is asked, what, and for how long, taken from the self-test's cases."""

from __future__ import annotations

from msgspec import Struct

from kmon.output.selftest_cases import Ask, cases

TARGETS = {
    "chat": "together",
    "converse": "bedrock/kimi-k2.5",
    "messages": "moonshot-messages",
    "deepinfra": "deepinfra-native",
}
"""A preset by the dialect that a fault needs."""
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


def shown_by(fault: str) -> Showing:
    """For ``NAME`` or ``NAME:key=value``: as its first case in the self-test has it."""
    name = fault.strip().partition(":")[0]
    for case in cases():
        if case.fault.partition(":")[0].strip("()") == name:
            return Showing(TARGETS[case.dialect], SCENARIOS[case.ask], case.timeout_s)
    return Showing(TARGETS["chat"], SCENARIOS["words"], 90.0)
