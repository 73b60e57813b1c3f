"""Thresholds for CI: each is met, missed or undecided, with a sentence that says why and what would decide it.

A pass rate is decided by the exact one-sided bounds of Clopper and Pearson, each at 95 %: met if the rate is at least
the threshold even at its lower bound, missed if it is below even at its upper bound. In a watched test, which may be
continued because of what it showed, such bounds do not hold; an e-value of 20 against the other side decides instead
(``sequential_test.py``). Runs that were cut short count as failures before "met" is said, and as passes before "missed"
is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log
from typing import Literal, NamedTuple

from msgspec import Struct

from kmon.format import percent, plural
from kmon.stats.e_values import ln_e_rate_above
from kmon.stats.statistics import MORE_ROUNDS_LIMIT, exact_bounds
from kmon.stats.summary import ArmFigures
from kmon.stats.trial import Arm, Trial

CONFIDENCE = 0.95
Decision = Literal["met", "missed", "undecided"]
ThresholdName = Literal["fail-under", "max-stall", "max-ttft"]


class Thresholds(Struct, frozen=True, kw_only=True):
    """Thresholds for CI, per target. ``fail_under`` is a pass rate, the others are seconds; None sets no limit."""

    fail_under: float | None = None
    max_stall_s: float | None = None
    max_ttft_s: float | None = None

    @property
    def any(self) -> bool:
        """Whether at least one is set; the exit code then depends on the thresholds alone."""
        return any(value is not None for value in (self.fail_under, self.max_stall_s, self.max_ttft_s))


class ThresholdResult(Struct, frozen=True, omit_defaults=True):
    """One threshold held against one arm."""

    name: str
    """Of the arm, as it is shown."""
    target: str
    scenario: str
    threshold: ThresholdName
    decision: Decision
    sentence: str
    more_runs: int | None = None
    """Further runs at the observed rate that would decide it; None if that is decided, or too many are needed."""


def decide(
    thresholds: Thresholds, arms: Sequence[ArmFigures], trials: Sequence[Trial], *, watched: bool = False
) -> tuple[ThresholdResult, ...]:
    """The result of every threshold at every arm. ``trials`` are those that stand, one per arm and round."""
    found: list[ThresholdResult] = []
    for arm in arms:
        runs = [trial for trial in trials if trial.arm == Arm(arm.target, arm.scenario) and trial.stands]
        if thresholds.fail_under is not None:
            found.append(_of(arm, "fail-under", _rate(arm, thresholds.fail_under, watched=watched)))
        if thresholds.max_stall_s is not None:
            found.append(_of(arm, "max-stall", _stall(arm, runs, thresholds.max_stall_s)))
        if thresholds.max_ttft_s is not None:
            found.append(_of(arm, "max-ttft", _first_token(arm, runs, thresholds.max_ttft_s)))
    return tuple(found)


def worst(results: Sequence[ThresholdResult]) -> Decision:
    """The decision of all together: missed if one is missed, else undecided if one is."""
    decisions = {result.decision for result in results}
    return "missed" if "missed" in decisions else "undecided" if "undecided" in decisions else "met"


def runs_to_meet(rate: float) -> int | None:
    """The least number of runs, all passed, that can show a pass rate of ``rate``; None if no number can."""
    if rate <= 0:
        return 0
    return None if rate >= 1 else ceil(log(1 - CONFIDENCE) / log(rate) - 1e-9)


def budget_problem(thresholds: Thresholds, runs: int) -> str:
    """A sentence if ``runs`` per target can never meet ``fail_under``, else empty."""
    rate = thresholds.fail_under
    needed = 0 if rate is None else runs_to_meet(rate)
    if rate is None or (needed is not None and runs >= needed):
        return ""
    least = "no number of runs does" if needed is None else f"that takes {needed} or more, all passed"
    return f"{plural(runs, 'run')} per target may miss --fail-under {rate:g}, but can never meet it: {least}"


class _Answer(NamedTuple):
    decision: Decision
    sentence: str
    more_runs: int | None = None


def _of(arm: ArmFigures, threshold: ThresholdName, answer: _Answer) -> ThresholdResult:
    """The result of one threshold. What was hardly measured may miss it, but cannot meet it."""
    sent = arm.n + arm.cut_short + arm.rate_limited
    if answer.decision == "met" and arm.mostly_limited:
        few = f"{arm.rate_limited} of {sent} runs were rate-limited, and the rest says too little"
        answer = _Answer("undecided", f"{arm.name}: {few}; ask more slowly (--spacing or --over), or later")
    elif answer.decision == "met" and not arm.n:
        answer = _Answer("undecided", f"{arm.name}: no run counts")
    decision, sentence, more_runs = answer
    return ThresholdResult(arm.name, arm.target, arm.scenario, threshold, decision, sentence, more_runs)


def _rate(arm: ArmFigures, rate: float, *, watched: bool) -> _Answer:
    n, passes, cut, limit = arm.n, arm.passes, arm.cut_short, f"{percent(rate)} %"
    if rate <= 0 or not n + cut:
        return _Answer("met", f"{arm.name} passes at least {limit} of its runs")
    decision = _decided(passes, n, cut, rate, watched=watched)
    beside = f", {cut} more cut short by you" if cut else ""
    figures = f"({passes} of {n} passed{beside}; {_how(passes, n, cut, watched=watched)})"
    if decision == "met":
        return _Answer("met", f"{arm.name} passes at least {limit} of its runs {figures}")
    if decision == "missed":
        return _Answer("missed", f"{arm.name} passes less than {limit} of its runs {figures}")
    if arm.mostly_limited or not n:  # the sentence about what is missing follows from the figures
        return _Answer("met", "")
    more = _more_runs(passes, n, rate, watched=watched)
    needed = "the observed rate is too near to it for any number of runs"
    if more is not None:
        needed = f"about {plural(more, 'more run')} at this rate would decide it"
    elif rate >= 1:
        needed = "no number of runs proves that all pass; ask for less, such as 0.99"
    return _Answer("undecided", f"{arm.name}: it is open whether {limit} of its runs pass {figures}; {needed}", more)


def _decided(passes: int, n: int, cut: int, rate: float, *, watched: bool) -> Decision:
    """By the worst case before "met" is said, and by the best case before "missed" is said."""
    if watched:
        ln_needed = -log(1 - CONFIDENCE)
        met = rate < 1 and ln_e_rate_above(passes, n + cut, rate) >= ln_needed
        missed = passes + cut < n + cut if rate >= 1 else ln_e_rate_above(n - passes, n + cut, 1 - rate) >= ln_needed
    else:
        met = exact_bounds(passes, n + cut, CONFIDENCE).low >= rate
        missed = exact_bounds(passes + cut, n + cut, CONFIDENCE).high < rate
    return "met" if met else "missed" if missed else "undecided"


def _how(passes: int, n: int, cut: int, *, watched: bool) -> str:
    if watched:
        return "by an e-value, because the test was watched or continued"
    low, high = exact_bounds(passes, n + cut, CONFIDENCE).low, exact_bounds(passes + cut, n + cut, CONFIDENCE).high
    return f"at least {percent(low)} %, at most {percent(high)} %, each at 95 % confidence"


def _more_runs(passes: int, n: int, rate: float, *, watched: bool) -> int | None:
    """Further runs at the observed rate until the threshold is decided, found by doubling and bisection."""

    def enough(total: int) -> bool:
        return _decided(round(total * passes / n), total, 0, rate, watched=watched) != "undecided"

    low, high = n, 2 * n
    while not enough(high):
        low, high = high, 2 * high
        if low > n + MORE_ROUNDS_LIMIT:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high - n if high - n <= MORE_ROUNDS_LIMIT else None


def _stall(arm: ArmFigures, runs: Sequence[Trial], limit_s: float) -> _Answer:
    longest_s = max((trial.max_gap_s for trial in runs if trial.max_gap_s is not None), default=0.0)
    if longest_s > limit_s:
        return _Answer("missed", f"{arm.name} was silent for {longest_s:.1f} s, over {limit_s:g} s")
    return _Answer("met", f"{arm.name} was silent for {longest_s:.1f} s at most")


def _first_token(arm: ArmFigures, runs: Sequence[Trial], limit_s: float) -> _Answer:
    longest_s = max((wait.seconds for trial in runs if (wait := trial.first_token()) is not None), default=0.0)
    mute = sum(trial.ttft_s is None for trial in runs if trial.counted)
    problems = []
    if longest_s > limit_s:
        problems.append(f"{arm.name} took {longest_s:.1f} s to its first token, over {limit_s:g} s")
    if mute:
        problems.append(f"{arm.name} gave no first token in {mute} of {arm.n} runs")
    if problems:
        return _Answer("missed", "; ".join(problems))
    return _Answer("met", f"{arm.name} took {longest_s:.1f} s to its first token at most")
