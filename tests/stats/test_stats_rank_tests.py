"""Promises about rank tests: the share of all exchanges of labels, scipy's tests, and intervals that cover."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations, product
from math import inf
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmon.stats.rank_tests import (
    EXACT_ROUNDS,
    EXACT_RUNS,
    doubled_ranks,
    rank_sum_above,
    rank_within_rounds_above,
    shift_interval,
    signed_rank_above,
    smallest_rank_sum,
    smallest_signed_rank,
)

AGREES = 1e-9
VALUE = st.one_of(st.integers(-3, 3).map(float), st.floats(-50, 50, allow_subnormal=False))
FEW = st.lists(VALUE, max_size=8)


def share(sums: Sequence[int], seen: int) -> float:
    return sum(found >= seen for found in sums) / len(sums)


@given(FEW)
def test_signed_ranks_are_counted_over_all_signs(differences: list[float]) -> None:
    kept = [difference for difference in differences if difference]
    ranks = doubled_ranks([abs(difference) for difference in kept])
    seen = sum(rank for rank, difference in zip(ranks, kept, strict=True) if difference > 0)
    all_sums = [
        sum(rank for rank, up in zip(ranks, ups, strict=True) if up) for ups in product((0, 1), repeat=len(kept))
    ]
    assert signed_rank_above(differences) == pytest.approx(share(all_sums, seen), abs=AGREES)


@given(FEW.filter(bool), FEW.filter(bool))
def test_rank_sums_are_counted_over_all_choices_of_runs(first: list[float], second: list[float]) -> None:
    ranks = doubled_ranks([*first, *second])
    all_sums = [sum(chosen) for chosen in combinations(ranks, len(first))]
    assert rank_sum_above(first, second) == pytest.approx(share(all_sums, sum(ranks[: len(first)])), abs=AGREES)


@given(st.lists(st.tuples(VALUE, st.lists(VALUE, min_size=2, max_size=2)), max_size=6))
def test_ranks_within_rounds_are_counted_over_all_places(rounds: list[tuple[float, list[float]]]) -> None:
    blocks = [doubled_ranks([own, *others]) for own, others in rounds]
    all_sums = [sum(chosen) for chosen in product(*blocks)]
    seen = sum(block[0] for block in blocks)
    assert rank_within_rounds_above(rounds) == pytest.approx(share(all_sums, seen), abs=AGREES)


@pytest.mark.references
@given(st.lists(st.floats(-50, 50).filter(bool), min_size=1, max_size=40, unique_by=abs))
def test_without_ties_signed_ranks_are_scipys(differences: list[float]) -> None:
    from scipy import stats

    theirs = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert signed_rank_above(differences) == pytest.approx(float(theirs), abs=AGREES)


@pytest.mark.references
@settings(max_examples=25)
@given(st.lists(VALUE.filter(bool), min_size=2, max_size=9))
def test_with_ties_signed_ranks_are_scipys_permutation_test(differences: list[float]) -> None:
    import numpy as np
    from scipy import stats

    def ranked(x: np.ndarray, axis: int) -> np.ndarray:
        ranks = stats.rankdata(np.abs(x), axis=axis)
        return np.sum(ranks * (x > 0), axis=axis)

    theirs = stats.permutation_test(
        (np.array(differences),), ranked, permutation_type="samples", alternative="greater", vectorized=True
    )
    assert signed_rank_above(differences) == pytest.approx(float(theirs.pvalue), abs=AGREES)


@pytest.mark.references
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=24, unique=True), st.data())
def test_without_ties_rank_sums_are_scipys(values: list[float], data: st.DataObject) -> None:
    from scipy import stats

    cut = data.draw(st.integers(1, len(values) - 1))
    first, second = values[:cut], values[cut:]
    theirs = stats.mannwhitneyu(first, second, alternative="greater", method="exact").pvalue
    assert rank_sum_above(first, second) == pytest.approx(float(theirs), abs=AGREES)


@pytest.mark.references
def test_large_samples_are_scipys_normal_approximation() -> None:
    from scipy import stats

    draw = random.Random(1)
    differences = [draw.choice((-1.0, 1.2)) * draw.randint(1, 40) for _ in range(EXACT_ROUNDS + 1)]
    theirs = stats.wilcoxon(differences, alternative="greater", method="asymptotic", correction=True).pvalue
    assert signed_rank_above(differences) == pytest.approx(float(theirs), abs=AGREES)
    first, second = ([float(draw.randint(0, 30)) for _ in range(EXACT_RUNS)] for _ in range(2))
    theirs = stats.mannwhitneyu(first, second, alternative="greater", method="asymptotic").pvalue
    assert rank_sum_above(first, second) == pytest.approx(float(theirs), abs=AGREES)


@pytest.mark.parametrize("n", [EXACT_ROUNDS, EXACT_ROUNDS + 1])
def test_the_approximation_goes_on_where_the_exact_test_ends(n: int) -> None:
    differences = [at + 1.0 if at % 3 else -at - 1.0 for at in range(n)]
    assert signed_rank_above(differences) == pytest.approx(0.0022, rel=0.2)


@given(FEW.filter(bool))
def test_the_shift_is_the_median_of_all_means_of_two(differences: list[float]) -> None:
    means = [(a + b) / 2 for at, a in enumerate(differences) for b in differences[at:]]
    found = shift_interval(differences, differences)
    assert found.estimate == pytest.approx(median(means), abs=AGREES)
    assert found.low <= found.estimate + AGREES and found.estimate <= found.high + AGREES


@settings(max_examples=50)
@given(st.integers(6, 12), st.integers(0, 10_000))
def test_the_interval_holds_what_the_test_does_not_reject(rounds: int, seed: int) -> None:
    draw = random.Random(seed)
    differences = [draw.gauss(1, 5) for _ in range(rounds)]
    found = shift_interval(differences, differences)
    width = found.high - found.low
    for inside in (found.low + width * 1e-6, found.high - width * 1e-6):
        moved = [difference - inside for difference in differences]
        assert min(signed_rank_above(moved), signed_rank_above([-one for one in moved])) > 0.025 - AGREES
    for outside in (found.low - width * 1e-6, found.high + width * 1e-6):
        moved = [difference - outside for difference in differences]
        assert min(signed_rank_above(moved), signed_rank_above([-one for one in moved])) <= 0.025 + AGREES


def test_the_interval_says_how_sure_it_is() -> None:
    five = shift_interval([15.0, 18.5, 22.4, 26.0, 33.6], [15.0, 18.5, 22.4, 26.0, 33.6])
    assert (five.low, five.high, five.confidence) == (15.0, pytest.approx(33.6), 0.9375)
    assert shift_interval([1.0] * 6, [1.0] * 6).confidence == pytest.approx(1 - 2 / 64)


def test_an_interval_covers_as_often_as_it_says() -> None:
    draw = random.Random(7)
    covered = 0
    for _ in range(600):
        sample = [draw.gauss(0, 1) + 3 for _ in range(9)]
        found = shift_interval(sample, sample)
        covered += found.low <= 3 <= found.high
    assert covered >= 600 * 0.93


def test_a_difference_that_is_only_known_from_below_leaves_the_upper_end_open() -> None:
    low = [57.0, 58.0, 59.0, 57.5, 58.5, 1.0]
    found = shift_interval(low, [inf] * 5 + [1.0])
    assert (found.low, found.high) == (1.0, inf)
    unknown = shift_interval([-inf, 1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert unknown.low == -inf and unknown.high == pytest.approx(5.0)


@pytest.mark.parametrize(("rounds", "p"), [(5, 0.0625), (6, 0.03125)])
def test_five_pairs_prove_nothing_and_six_do(rounds: int, p: float) -> None:
    assert smallest_signed_rank(rounds) == p == 2 * signed_rank_above([1.0 + at for at in range(rounds)])


def test_five_runs_beyond_five_others_are_proof() -> None:
    assert smallest_rank_sum(5, 5) == pytest.approx(2 / 252)
    assert 2 * rank_sum_above([6.0, 7, 8, 9, 10], [1.0, 2, 3, 4, 5]) == pytest.approx(smallest_rank_sum(5, 5))


def test_nothing_proves_nothing() -> None:
    assert signed_rank_above([]) == signed_rank_above([0.0]) == rank_within_rounds_above([]) == 1.0
    assert rank_sum_above([], [1.0]) == rank_sum_above([1.0], []) == 1.0
    assert rank_sum_above([1.0] * 40, [1.0] * 40) == 1.0
