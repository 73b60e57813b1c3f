"""What a test says of its plan before the first request: what passes, how long it takes, what it cannot decide."""

from __future__ import annotations

from collections.abc import Mapping

from kmon.engine.plan import RacePlan
from kmon.format import duration_words, listed, plural
from kmon.model import PassLimits
from kmon.output.saved_test import TestPlan
from kmon.stats.budget import budget_words
from kmon.stats.thresholds import Thresholds, budget_problem

SHOWN_HEX = 12
"""Digits of the fingerprint for people; the JSON and the saved file have all."""


def plan_notes(plan: RacePlan, thresholds: Thresholds, line: TestPlan, *, earlier_rounds: int = 0) -> list[str]:
    """One sentence each. ``earlier_rounds`` are those of a test that is continued."""
    notes = _limits({row.scenario.name: row.scenario.limits for row in plan.rows})
    if line.question is not None:
        notes.append(f"the question: does {line.question.suspect} fail as often as {listed(line.question.controls)}?")
    if line.budget is not None and (can := budget_words(line.budget)):
        notes.append(can)
    if plan.over_s is not None:
        each = duration_words(plan.over_s / plan.rounds)
        notes.append(f"{plural(plan.rounds, 'round')} over {duration_words(plan.over_s)}, one about every {each}")
    if earlier_rounds:
        rule = "evidence is told as an e-value, which allows for that; p-values do not"
        notes.append(f"goes on after {plural(earlier_rounds, 'round')} of an earlier test; {rule}")
    if problem := budget_problem(thresholds, earlier_rounds + plan.rounds):
        notes.append(problem)
    return [*notes, f"plan {line.fingerprint[:SHOWN_HEX]} (its SHA-256)"]


def _limits(limits: Mapping[str, PassLimits]) -> list[str]:
    """What a run has to keep to pass, besides a right answer; one sentence for all scenarios that ask the same."""
    by_words: dict[str, list[str]] = {}
    for scenario, of in limits.items():
        by_words.setdefault(pass_words(of), []).append(scenario)
    if len(by_words) == 1:
        return [f"a run passes: {words}" for words in by_words]
    return [f"a run of {listed(names)} passes: {words}" for words, names in by_words.items()]


def pass_words(limits: PassLimits, answer: str = "right answer") -> str:
    """What a run needs to pass: the ``answer``, and the limits it has to keep."""
    parts = [
        f"{what} {limit:g} s"
        for what, limit in (
            ("first token within", limits.ttft_s),
            ("no later silence over", limits.max_gap_s),
            ("end within", limits.duration_s),
        )
        if limit
    ]
    return ", ".join([answer, *(parts or ["however long it takes"])])
