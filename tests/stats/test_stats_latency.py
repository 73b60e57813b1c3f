"""Promises about differences in time: what is proven, what is only seen, and what a run that was cut off can say."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import exp, inf, sqrt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import Usage
from kmon.stats.compare import Verdict, compare
from kmon.stats.latency import Latency, weighted_holm
from kmon.stats.latency_pairs import LatencyComparison, MetricName, bounds, paired_p
from kmon.stats.question import Question
from kmon.stats.statistics import holm
from kmon.stats.survival import SurvivalTime
from kmon.stats.trial import Trial, trial_of
from tests.support.ended import SCENARIOS, ended, scenario
from tests.support.latency import GAPS_OF_THE_REPORT, SMOOTH, latency_of, timed
from tests.support.seed import target

TOGETHER, FIREWORKS = target("together", "kimi-k2"), target("fireworks", "kimi-k2")


def pair(found: Latency, metric: MetricName = "worst-gap") -> LatencyComparison:
    return next(one for one in found.comparisons if one.metric == metric)


def report(rounds: int = 5, *, speed: float = 1.0) -> list[Trial]:
    """The field report: Together stalls with tools, and neither does without them nor Fireworks at all."""
    slow = [(GAPS_OF_THE_REPORT * 9)[at] / speed for at in range(rounds)]
    smooth = (SMOOTH * 9)[:rounds]
    return [
        *timed("together", smooth),
        *timed("together", slow, scenario="code-tools"),
        *timed("fireworks", smooth[::-1]),
        *timed("fireworks", smooth, scenario="code-tools"),
    ]


def test_the_field_report_ends_in_a_sentence_that_says_so() -> None:
    conclusion = compare(report(), [TOGETHER, FIREWORKS], [scenario("code"), scenario("code-tools")]).conclusion
    assert conclusion.startswith(
        "together (code-tools) stood still for 22 s (longest gap of the median run), the other 3 at most 0.1 s: the "
        "longest of 4 in 5 of 5 rounds, by 15 to 33 s, 220 times as long (p = 0.0225, corrected for all comparisons). "
        "Chance alone hardly explains that; a test at another hour tells whether it lasts. "
    )
    assert "so the tools are a cause" in conclusion and "No run failed" in conclusion


def test_without_the_stalls_the_same_test_says_nothing_of_time() -> None:
    smooth = [msgspec.structs.replace(trial, max_gap_s=0.1, duration_s=10.0, tokens_per_s=50.0) for trial in report()]
    assert compare(smooth, [TOGETHER, FIREWORKS]).conclusion.startswith("no run failed")


def test_two_targets_and_five_rounds_are_enough_for_the_field_report() -> None:
    found = pair(latency_of(timed("together", GAPS_OF_THE_REPORT), timed("fireworks", SMOOTH)))
    assert (found.slower, found.faster, found.slower_in, found.rounds) == ("together", "fireworks", 5, 5)
    assert (found.slower_median, found.faster_median) == (22.44, 0.1)
    assert found.separated and found.test == "rank-sum" and found.p == pytest.approx(2 / 252)
    assert found.proven and found.felt
    assert (found.low, found.high, found.confidence) == (pytest.approx(14.88), pytest.approx(33.48), 0.9375)


def test_three_rounds_are_seen_and_the_rounds_that_would_prove_it_are_told() -> None:
    few = pair(latency_of(timed("together", GAPS_OF_THE_REPORT[:3]), timed("fireworks", SMOOTH[:3])))
    assert not few.proven and few.more_rounds == 2
    trials = [*timed("together", GAPS_OF_THE_REPORT[:3]), *timed("fireworks", SMOOTH[:3])]
    sentence = compare(trials, [TOGETHER, FIREWORKS]).conclusion
    assert "longer in 3 of 3 rounds, by 15 to 33 s" in sentence
    assert "This is not proven at 5 %; 2 more rounds like these would prove it" in sentence


def test_times_that_overlap_need_the_rounds_that_the_test_within_rounds_needs() -> None:
    hours = [5.0, 0.5, 2.0, 9.0, 1.0]
    found = pair(latency_of(timed("a", [hour + 1 for hour in hours]), timed("b", hours)))
    assert not found.separated and found.slower_in == 5 and not found.proven
    assert found.more_rounds == 2  # seven of seven: p = 0.0156, times 2.5
    seven = [*hours, 3.0, 7.0]
    later = pair(latency_of(timed("a", [hour + 1 for hour in seven]), timed("b", seven)))
    assert later.test == "signed-rank" and later.p_adjusted <= 0.05


def test_a_slow_spell_of_a_few_rounds_is_told_but_not_as_proven() -> None:
    spell = [20.0 + at % 3 if 4 <= at < 13 else 0.1 + at % 3 / 10 for at in range(17)]
    verdict = compare(
        [*timed("together", spell), *timed("fireworks", [0.02 + at % 2 / 100 for at in range(17)])],
        [TOGETHER, FIREWORKS],
    )
    assert pair(verdict.latency).p_adjusted <= 0.05 and not pair(verdict.latency).proven
    assert "Chance alone hardly explains that, but a slow spell of a few rounds may: spread the" in verdict.conclusion


def test_hours_that_are_slow_for_both_cancel_out() -> None:
    draw = random.Random(1)
    hours = [draw.lognormvariate(0, 1) for _ in range(30)]
    slower = [2 * hour * draw.lognormvariate(0, 0.1) for hour in hours]
    assert pair(latency_of(timed("a", slower), timed("b", hours))).proven
    assert not pair(latency_of(timed("a", slower), timed("b", draw.sample(hours, 30)))).proven


def test_a_difference_that_nobody_feels_is_found_and_not_told() -> None:
    draw = random.Random(2)
    base = [0.30 + draw.uniform(-0.02, 0.02) for _ in range(200)]
    slower, quicker = [wait + 0.02 for wait in base], [draw.uniform(0.05, 0.06) for _ in base]
    trials = [*timed("together", quicker, ttft_s=slower), *timed("fireworks", quicker, ttft_s=base)]
    verdict = compare(trials, [TOGETHER, FIREWORKS])
    ttft = pair(verdict.latency, "ttft")
    assert ttft.proven and not ttft.felt and ttft.difference == pytest.approx(0.02)
    assert "first token" not in verdict.conclusion


def test_a_slow_first_token_is_told_as_such() -> None:
    draw = random.Random(2)
    ttft = [[low + draw.random() / 5 for _ in range(12)] for low in (2.0, 0.4)]
    gaps = [0.1] * 12
    trials = [*timed("together", gaps, ttft_s=ttft[0]), *timed("fireworks", gaps, ttft_s=ttft[1])]
    sentence = compare(trials, [TOGETHER, FIREWORKS]).conclusion
    assert sentence.startswith("together gave its first token after 2.")
    assert "(median), fireworks 0.4" in sentence and "later in 12 of 12 rounds, by 1.6 s (95 %: 1." in sentence


def test_tokens_per_second_are_slower_when_fewer() -> None:
    found = pair(latency_of(timed("a", [9.0] * 8), timed("b", [0.1] * 8)), "tokens-per-s")
    assert found.slower == "a" and found.slower_median < found.faster_median and found.difference is not None
    assert found.difference > 0 and found.slower_in == 8


# -- runs that were cut off --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "other", "least_and_most"),
    [
        (SurvivalTime(5.0), SurvivalTime(2.0), (3.0, 3.0)),
        (SurvivalTime(60.0, True), SurvivalTime(2.0), (58.0, inf)),
        (SurvivalTime(1.0, True), SurvivalTime(2.0), (-1.0, inf)),
        (SurvivalTime(5.0), SurvivalTime(2.0, True), (-inf, 3.0)),
        (SurvivalTime(60.0, True), SurvivalTime(59.0, True), (0.0, 0.0)),
    ],
)
def test_a_time_that_was_cut_off_is_at_least_so_long(
    own: SurvivalTime, other: SurvivalTime, least_and_most: tuple[float, float]
) -> None:
    assert bounds(own, other) == least_and_most


def test_an_arm_that_hangs_in_every_round_waits_at_least_so_long() -> None:
    hangs = timed("a", [60.0] * 5, outcome="hang-mid-stream")
    found = pair(latency_of(hangs, timed("b", SMOOTH)))
    assert found.proven and found.slower == "a" and found.slower_median_cut and found.high is None
    assert found.low == pytest.approx(59.88)


def test_an_arm_that_is_always_cut_off_early_is_not_called_slower_nor_quicker() -> None:
    draw = random.Random(4)
    proven = 0
    for _ in range(60):
        whole = [draw.lognormvariate(0, 0.5) for _ in range(30)]
        begun = [min(draw.lognormvariate(0, 0.5), draw.lognormvariate(0, 0.5)) for _ in range(30)]
        found = latency_of(timed("a", begun, outcome="dropped"), timed("b", whole))
        proven += pair(found).proven
    assert proven <= 1


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans(), st.floats(0, 60), st.booleans()), max_size=12))
def test_it_does_not_matter_which_arm_comes_first(times: list[tuple[float, bool, float, bool]]) -> None:
    own = {at: SurvivalTime(seconds, cut) for at, (seconds, cut, _, _) in enumerate(times)}
    other = {at: SurvivalTime(seconds, cut) for at, (_, _, seconds, cut) in enumerate(times)}
    assert paired_p(own, own) == 1.0
    assert paired_p(own, other) == pytest.approx(paired_p(other, own))


# -- one arm against all others ----------------------------------------------------------------------------------------


def test_an_arm_that_stands_out_of_four_is_proven_after_five_rounds() -> None:
    found = latency_of(timed("a", GAPS_OF_THE_REPORT), *(timed(name, SMOOTH) for name in "bcd"))
    (alone,) = (one for one in found.stand_outs if one.proven)
    assert (alone.arm, alone.metric, alone.slowest_in, alone.p) == ("a", "worst-gap", 5, pytest.approx(4**-5))
    assert (alone.least, alone.most) == (pytest.approx(14.88), pytest.approx(33.48))
    assert not any(one.proven for one in found.comparisons)


def test_two_slow_arms_of_four_do_not_stand_out_but_their_pairs_are_proven() -> None:
    draw = random.Random(6)
    arms = [
        timed(name, [base + draw.random() for _ in range(12)]) for name, base in zip("abcd", (9, 9, 0, 0), strict=True)
    ]
    found = latency_of(*arms)
    told = {(one.slower, one.faster) for one in found.comparisons if one.proven and one.metric == "worst-gap"}
    assert told == {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}


def test_a_declared_question_has_fewer_claims() -> None:
    question = Question("together", ("fireworks",))
    four = compare(report(), [TOGETHER, FIREWORKS]).latency
    asked = compare(report(), [TOGETHER, FIREWORKS], question=question).latency
    assert len(four.comparisons) == 24 and four.stand_outs
    assert len(asked.comparisons) == 8 and not asked.stand_outs


# -- correction --------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), max_size=12))
def test_with_equal_weights_the_correction_is_holms(p_values: list[float]) -> None:
    assert weighted_holm(p_values, [1.0] * len(p_values), len(p_values)) == pytest.approx(list(holm(p_values)))


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.25, 1.0])), min_size=1, max_size=12))
def test_the_correction_only_raises_p_and_keeps_the_order(claims: list[tuple[float, float]]) -> None:
    p_values, weights = [p for p, _ in claims], [weight for _, weight in claims]
    adjusted = weighted_holm(p_values, weights, sum(weights))
    assert all(p <= found + 1e-12 and found <= 1 for p, found in zip(p_values, adjusted, strict=True))
    ranked = sorted(range(len(claims)), key=lambda at: p_values[at] / weights[at])
    assert [adjusted[at] for at in ranked] == sorted(adjusted)


# -- how often it is wrong ---------------------------------------------------------------------------------------------


def noise(draw: random.Random, rounds: int, correlation: float) -> list[float]:
    value, series = draw.gauss(0, 1), []
    for _ in range(rounds):
        value = correlation * value + sqrt(1 - correlation**2) * draw.gauss(0, 1)
        series.append(value)
    return series


def spells(draw: random.Random, rounds: int, length: int) -> list[float]:
    """Slow spells of about ``length`` rounds in a tenth of the time, 400 times as slow."""
    slow, series = draw.random() < 0.1, []
    for _ in range(rounds):
        series.append(draw.gauss(0, 0.4) + (6 if slow else 0))
        slow = draw.random() >= 1 / length if slow else draw.random() < 1 / 9 / length
    return series


def shared(draw: random.Random, rounds: int) -> Callable[[], Sequence[float]]:
    hours = noise(draw, rounds, 0.5)
    return lambda: [0.9 * hour + 0.4 * draw.gauss(0, 1) for hour in hours]


@pytest.mark.parametrize("arms", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["independent", "shared hours", "correlated 0.5", "spells of 3", "spells of 10"])
def test_equal_arms_are_hardly_ever_proven_to_differ(arms: int, kind: str) -> None:
    draw, rounds, wrong, worlds = random.Random(11), 30, 0, 40
    for _ in range(worlds):
        hours = shared(draw, rounds)
        series: dict[str, Callable[[], Sequence[float]]] = {
            "independent": lambda: noise(draw, rounds, 0),
            "shared hours": hours,
            "correlated 0.5": lambda: noise(draw, rounds, 0.5),
            "spells of 3": lambda: spells(draw, rounds, 3),
            "spells of 10": lambda: spells(draw, rounds, 10),
        }
        trials = [timed(name, [0.1 * exp(value) for value in series[kind]()]) for name in "abcd"[:arms]]
        found = latency_of(*trials)
        wrong += any(one.proven for one in [*found.comparisons, *found.stand_outs])
    assert wrong <= 4  # of 40; measured over 150 worlds each: 4 % at most


# -- as JSON -----------------------------------------------------------------------------------------------------------


def test_what_is_not_known_is_null_and_comes_back() -> None:
    trials = [*timed("together", [60.0] * 5, outcome="hang-mid-stream"), *timed("fireworks", SMOOTH)]
    verdict = compare(trials, [TOGETHER, FIREWORKS], tuple(SCENARIOS.values()))
    line = msgspec.json.encode(verdict)
    assert msgspec.json.decode(line, type=Verdict) == verdict
    told = msgspec.json.decode(line)["latency"]
    gap = told["comparisons"][0]
    assert (gap["metric"], gap["slower"], gap["high"]) == ("worst-gap", "together", None)
    assert {row["arm"] for row in told["arms"]} == {"together", "fireworks"}


def test_an_arm_without_a_time_is_left_out() -> None:
    refused = timed("a", [0.1] * 5, outcome="http-error")
    refused = [msgspec.structs.replace(trial, ttft_s=None) for trial in refused]
    found = latency_of(refused, timed("b", SMOOTH), timed("c", SMOOTH))
    assert {one.slower for one in found.comparisons} | {one.faster for one in found.comparisons} <= {"b", "c"}
    assert latency_of(timed("a", [0.1])).comparisons == ()


def test_tokens_per_second_are_those_the_provider_counts_for_one_whole_request() -> None:
    usage = Usage(prompt_tokens=9, completion_tokens=50, total_tokens=59)
    assert trial_of(ended(usage=usage, duration_ms=2000.0), scenario("code")).tokens_per_s == 25.0
    assert trial_of(ended(usage=usage, turns=2), scenario("code")).tokens_per_s is None
    assert trial_of(ended(usage=None), scenario("code")).tokens_per_s is None
