"""Promises about the words of effects and causes: the effect first, each number with its unit, no cause too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.cause import UNKNOWN, cause, factor_words
from kmon.stats.effect_words import Effect, effect_words, interval_points, points
from kmon.stats.pairs import Factor
from kmon.stats.statistics import Interval, interval_words


def effect(worse: str, better: str, failed: int = 12, low: float = 0.19) -> Effect:
    return Effect(
        worse=worse,
        better=better,
        worse_failed=failed,
        worse_n=30,
        better_failed=0,
        better_n=30,
        interval=Interval(low, 0.59),
    )


def test_the_effect_comes_first_and_equal_effects_are_told_together() -> None:
    assert effect_words([effect("a", "b"), effect("a", "c")]) == (
        "a failed 40 percentage points more often than b and c (95 %: 19 to 59 points; 12 of 30 runs against 0 of 30)"
    )


def test_different_effects_of_one_arm_are_told_one_after_the_other() -> None:
    assert effect_words([effect("a", "b"), effect("a", "c", low=0.2)], here=" here") == (
        "a failed 40 percentage points more often here than b "
        "(95 %: 19 to 59 points; 12 of 30 runs against 0 of 30) and "
        "40 percentage points more often than c (95 %: 20 to 59 points; 12 of 30 runs against 0 of 30)"
    )


def test_another_worse_arm_is_named() -> None:
    assert " and b failed 10 percentage points more often than c (" in effect_words(
        [effect("a", "c"), effect("b", "c", failed=3)]
    )


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (0.4, "40 percentage points"),
        (0.01, "1 percentage point"),
        (0.004, "0.4 percentage points"),
        (1.0, "100 percentage points"),
        (0.0, "0 percentage points"),
    ],
)
def test_points_are_told_with_their_unit(difference: float, said: str) -> None:
    assert points(difference) == said


def test_an_end_below_zero_is_told_as_that() -> None:
    assert interval_points(Interval(-0.016, 0.738)) == "95 %: -2 to 74 points"
    assert interval_points(Interval(-0.0001, 0.5)) == "95 %: 0 to 50 points"


def test_an_interval_never_ends_in_a_row_of_zeros() -> None:
    assert interval_words(Interval(1.5e-6, 0.27)) == "0-27 %"
    assert interval_words(Interval(0.4, 1 - 1e-7)) == "40-100 %"
    assert interval_words(Interval(0.0002, 0.9995)) == "0.02-99.95 %"


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_interval_of_a_rate_is_two_numbers(one: float, other: float) -> None:
    low, high = interval_words(Interval(min(one, other), max(one, other))).removesuffix(" %").split("-")
    assert 0 <= float(low) <= 100 and 0 <= float(high) <= 100


def test_a_model_is_called_the_deployment() -> None:
    assert factor_words(("provider", "model", "dialect")) == "provider, deployment and dialect"
    assert (
        cause([("b", ("model",))]) == "They differ only in the deployment, which is how this provider serves this model"
    )


def test_several_factors_are_not_told_apart() -> None:
    assert cause([("b", ("provider", "dialect"))]) == (
        "They differ in the provider and the dialect, and nothing here tells which of these is the cause"
    )


def test_what_chance_ordered_is_a_cause() -> None:
    assert cause([("b", ("tools",))]).endswith("so the tools are a cause")
    assert cause([("b", ("scenario",))]).endswith("so what is asked is a cause")


def test_another_model_here_and_this_model_elsewhere_leave_the_deployment() -> None:
    told = cause([("nova", ("model",)), ("elsewhere", ("provider",))])
    assert told.startswith("From nova it differs only in the deployment")
    assert told.endswith("explains it, but how this provider serves this model")


def test_nothing_known_is_said_as_that() -> None:
    assert cause([("b", ())]) == UNKNOWN


FACTORS: list[Factor] = ["provider", "region", "model", "dialect", "endpoint", "tools", "scenario"]


@given(st.lists(st.tuples(st.sampled_from("bcd"), st.sets(st.sampled_from(FACTORS)).map(tuple)), max_size=4))
def test_only_what_was_randomised_is_called_a_cause(differing: list[tuple[str, tuple[Factor, ...]]]) -> None:
    told = cause(differing)
    assert told and told[0].isupper()
    alone = {factors[0] for _, factors in differing if len(factors) == 1}
    assert (" a cause" in told) == bool(alone & {"tools", "scenario"})
