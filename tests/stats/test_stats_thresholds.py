"""Promises about thresholds: exact bounds, three answers, and nothing is met that was hardly measured."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.outcome import OutcomeName
from kmon.stats.statistics import exact_bounds
from kmon.stats.summary import figures
from kmon.stats.thresholds import (
    ThresholdResult,
    Thresholds,
    budget_problem,
    decide,
    runs_to_meet,
    worst,
)
from kmon.stats.trial import Trial
from tests.support.seed import KIMI, run

AT_95 = Thresholds(fail_under=0.95)


def result(
    outcomes: dict[OutcomeName, int], thresholds: Thresholds = AT_95, *, watched: bool = False
) -> ThresholdResult:
    named = [name for name, count in outcomes.items() for _ in range(count)]
    trials = [run(KIMI, number, name) for number, name in enumerate(named, 1)]
    (found,) = decide(thresholds, [figures(KIMI.name, trials)], trials, watched=watched)
    return found


def probability(passes: int, n: int, rate: float) -> float:
    return comb(n, passes) * rate**passes * (1 - rate) ** (n - passes)


@pytest.mark.references
@given(st.integers(1, 2_000), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_bounds_are_those_of_scipy(n: int, data: st.DataObject, confidence: float) -> None:
    from scipy.stats import beta

    passes = data.draw(st.integers(0, n))
    bounds = exact_bounds(passes, n, confidence)
    low = beta.ppf(1 - confidence, passes, n - passes + 1) if passes else 0.0
    high = beta.ppf(confidence, passes + 1, n - passes) if passes < n else 1.0
    assert (bounds.low, bounds.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


@given(st.integers(1, 60), st.floats(0.001, 0.999))
def test_each_bound_covers_the_true_rate_at_least_as_often_as_it_says(n: int, rate: float) -> None:
    bounds = [exact_bounds(passes, n) for passes in range(n + 1)]
    chances = [probability(passes, n, rate) for passes in range(n + 1)]
    assert sum(p for p, b in zip(chances, bounds, strict=True) if b.low <= rate) >= 0.95 - 1e-9
    assert sum(p for p, b in zip(chances, bounds, strict=True) if b.high >= rate) >= 0.95 - 1e-9


@given(st.integers(1, 300), st.data())
def test_the_bounds_mirror_each_other_and_hold_the_observed_rate(n: int, data: st.DataObject) -> None:
    passes = data.draw(st.integers(0, n))
    bounds, mirrored = exact_bounds(passes, n), exact_bounds(n - passes, n)
    assert bounds.low <= passes / n <= bounds.high
    assert (bounds.low, bounds.high) == (pytest.approx(1 - mirrored.high), pytest.approx(1 - mirrored.low))


@pytest.mark.parametrize(
    ("outcomes", "decision"),
    [
        ({"pass": 59}, "met"),
        ({"pass": 58}, "undecided"),
        ({"pass": 10}, "undecided"),
        ({"pass": 199, "http-error": 1}, "met"),
        ({"pass": 7, "hang-mid-stream": 3}, "missed"),
        ({"hang-mid-stream": 1}, "undecided"),
        ({"hang-mid-stream": 2}, "missed"),
        ({}, None),
    ],
)
def test_a_pass_rate_is_met_missed_or_undecided(outcomes: dict[OutcomeName, int], decision: str | None) -> None:
    if decision is None:
        assert decide(AT_95, [], []) == ()
    else:
        assert result(outcomes).decision == decision


@pytest.mark.parametrize(("passes", "failed"), [(10, 0), (9, 1), (19, 1), (36, 4), (97, 3)])
def test_the_runs_said_to_be_needed_decide_it(passes: int, failed: int) -> None:
    found = result({"pass": passes, "http-error": failed})
    assert found.decision == "undecided" and (found.more_runs is None or found.more_runs > 0)
    if found.more_runs is not None:
        total = passes + failed + found.more_runs
        share = round(total * passes / (passes + failed))
        assert result({"pass": share, "http-error": total - share}).decision != "undecided"
        assert f"about {found.more_runs} more run" in found.sentence


def test_a_rate_that_is_the_threshold_itself_is_never_decided_and_says_so() -> None:
    found = result({"pass": 19, "http-error": 1})
    assert (found.decision, found.more_runs) == ("undecided", None)
    assert found.sentence.endswith("the observed rate is too near to it for any number of runs")


def test_all_of_it_cannot_be_proven_but_one_failure_refutes_it() -> None:
    everything = Thresholds(fail_under=1.0)
    assert result({"pass": 500}, everything).decision == "undecided"
    assert "no number of runs proves that all pass" in result({"pass": 500}, everything).sentence
    assert result({"pass": 500, "http-error": 1}, everything).decision == "missed"
    assert result({"http-error": 5}, Thresholds(fail_under=0.0)).decision == "met"


def test_a_target_that_was_mostly_rate_limited_meets_nothing() -> None:
    for limit in (AT_95, Thresholds(max_stall_s=10), Thresholds(max_ttft_s=10), Thresholds(fail_under=0.01)):
        found = result({"pass": 100, "rate-limited": 101}, limit)
        assert found.decision == "undecided" and "101 of 201 runs were rate-limited" in found.sentence
        assert result({"pass": 101, "rate-limited": 101}, limit).decision == "met"
        assert result({"rate-limited": 3}, limit).decision == "undecided"


def test_a_target_that_was_mostly_rate_limited_may_still_miss() -> None:
    assert result({"hang-mid-stream": 9, "rate-limited": 20}).decision == "missed"


def test_runs_cut_short_count_against_the_answer() -> None:
    assert result({"pass": 100}).decision == "met"
    assert result({"pass": 100, "cut-short": 3}).decision == "undecided"
    assert result({"pass": 3, "hang-mid-stream": 3}).decision == "missed"
    assert result({"pass": 3, "hang-mid-stream": 3, "cut-short": 30}).decision == "undecided"


def test_the_silence_of_a_run_cut_short_is_held_against_the_longest_stall() -> None:
    cut = Trial(target=KIMI.name, round=1, outcome="cut-short", cut_short=True, max_gap_s=8.0, ttft_s=0.1)
    arm = figures(KIMI.name, [cut])
    (found,) = decide(Thresholds(max_stall_s=5), [arm], [cut])
    assert found.decision == "missed" and "8.0 s, over 5 s" in found.sentence


def test_a_watched_test_needs_more_than_a_fixed_one() -> None:
    assert result({"pass": 59}, watched=True).decision == "undecided"
    assert result({"pass": 200}, watched=True).decision == "met"
    assert result({"hang-mid-stream": 8, "pass": 4}, watched=True).decision == "missed"
    assert "e-value" in result({"pass": 200}, watched=True).sentence


def test_the_worst_of_all_decides() -> None:
    met, missed = result({"pass": 59}), result({"hang-mid-stream": 9})
    undecided = result({"pass": 9})
    assert worst([]) == worst([met]) == "met"
    assert worst([met, undecided]) == "undecided"
    assert worst([undecided, missed, met]) == "missed"


@pytest.mark.parametrize(("rate", "runs"), [(0.0, 0), (0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (1.0, None)])
def test_the_least_runs_that_can_meet_a_rate(rate: float, runs: int | None) -> None:
    assert runs_to_meet(rate) == runs
    if runs:
        assert exact_bounds(runs, runs).low >= rate > exact_bounds(runs - 1, runs - 1).low


def test_a_budget_that_can_never_be_met_is_told_before() -> None:
    assert budget_problem(AT_95, 59) == budget_problem(Thresholds(), 1) == ""
    assert "10 runs per target may miss --fail-under 0.95, but can never meet it" in budget_problem(AT_95, 10)
    assert "takes 59 or more" in budget_problem(AT_95, 10)
    assert "no number of runs does" in budget_problem(Thresholds(fail_under=1.0), 10_000)
