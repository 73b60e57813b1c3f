"""Promises about power: it is that of the test that kmon makes, and the rounds it suggests have it."""

import math
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmon.stats.power import (
    FailureRates,
    episodes_needed,
    least_rounds,
    mcnemar_proves,
    power,
    rounds_for,
)
from kmon.stats.statistics import mcnemar_exact

FROM_FOUR_OF_TEN = FailureRates(0.4, 0.0)
RATES = st.builds(FailureRates, st.floats(0, 1), st.floats(0, 1))


@pytest.mark.references
@settings(deadline=None)
@given(RATES, st.integers(1, 25), st.integers(1, 6))
def test_where_each_round_counts_it_is_the_power_of_mcnemars_test(
    rates: FailureRates, rounds: int, claims: int
) -> None:
    from scipy import stats

    only_worse, only_better = rates.worse * (1 - rates.better), rates.better * (1 - rates.worse)
    other = max(0.0, 1 - only_worse - only_better)
    theirs = sum(
        float(stats.multinomial.pmf((b, c, rounds - b - c), rounds, (only_worse, only_better, other)))
        for b in range(rounds + 1)
        for c in range(min(b, rounds - b + 1))
        if b > c and stats.binomtest(b, b + c).pvalue <= 0.05 / claims
    )
    assert power(rates, rounds, mcnemar_proves(claims), every_round=True) == pytest.approx(theirs, abs=1e-9)


def by_hand(rounds: tuple[tuple[bool, bool], ...]) -> tuple[int, int]:
    """Episodes in which the first arm, and the second, was the first to fail alone."""
    counts, clean, counted = [0, 0], True, False
    for first, second in rounds:
        if clean:
            counted = False
        clean = not (first or second)
        if first != second and not counted:
            counts[0 if first else 1] += 1
            counted = True
    return counts[0], counts[1]


@settings(deadline=None, max_examples=20)
@given(RATES, st.integers(1, 6), st.booleans())
def test_it_is_the_sum_over_all_orders_of_all_results(rates: FailureRates, rounds: int, watched: bool) -> None:
    def proves(worse: int, better: int) -> bool:
        return worse >= 2 and better == 0  # a rule that few rounds can satisfy

    expected = 0.0
    for results in product(product((True, False), repeat=2), repeat=rounds):
        chance = math.prod(
            (rates.worse if first else 1 - rates.worse) * (rates.better if second else 1 - rates.better)
            for first, second in results
        )
        looks = range(1, rounds + 1) if watched else [rounds]
        expected += chance * any(proves(*by_hand(results[:look])) for look in looks)
    assert power(rates, rounds, proves, watched=watched) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("claims", "episodes"), [(1, 6), (3, 7), (6, 8), (28, 11)])
def test_so_many_episodes_prove_it_and_one_less_does_not(claims: int, episodes: int) -> None:
    assert episodes_needed(claims) == episodes
    assert mcnemar_exact(episodes, 0) <= 0.05 / claims < mcnemar_exact(episodes - 1, 0)
    least = least_rounds(episodes)
    always = FailureRates(0.5, 0.0)
    assert power(always, least - 1, mcnemar_proves(claims)) == 0 < power(always, least, mcnemar_proves(claims))


def test_the_field_reports_ten_rounds_had_hardly_any() -> None:
    assert power(FROM_FOUR_OF_TEN, 10, mcnemar_proves(6), every_round=True) == pytest.approx(0.0123, abs=1e-4)
    assert power(FROM_FOUR_OF_TEN, 10, mcnemar_proves(6)) == 0


@pytest.mark.parametrize(("claims", "each_round", "by_episodes"), [(1, 19, 28), (3, 22, 32), (6, 24, 37)])
def test_the_rounds_for_sixty_against_a_hundred_percent(claims: int, each_round: int, by_episodes: int) -> None:
    proves = mcnemar_proves(claims)
    assert rounds_for(FROM_FOUR_OF_TEN, proves, every_round=True) == each_round
    assert rounds_for(FROM_FOUR_OF_TEN, proves) == by_episodes
    assert power(FROM_FOUR_OF_TEN, by_episodes - 1, proves) < 0.8 <= power(FROM_FOUR_OF_TEN, by_episodes, proves)


def test_equal_targets_are_proven_different_in_at_most_five_percent() -> None:
    for rate in (0.05, 0.3, 0.6):
        assert 2 * power(FailureRates(rate, rate), 40, mcnemar_proves(1)) <= 0.05


def test_a_difference_that_is_not_there_has_no_number_of_rounds() -> None:
    assert rounds_for(FailureRates(0.0, 0.0), mcnemar_proves(1)) is None


def test_simulated_tests_find_as_many() -> None:
    draw, found = random.Random(3), 0
    for _ in range(1_000):
        results = tuple((draw.random() < 0.4, draw.random() < 0.05) for _ in range(35))
        found += mcnemar_proves(3)(*by_hand(results))
    assert found / 1_000 == pytest.approx(power(FailureRates(0.4, 0.05), 35, mcnemar_proves(3)), abs=0.06)
