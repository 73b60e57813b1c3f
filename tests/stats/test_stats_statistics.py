"""Promises about rates and tests: every figure is scipy's, and none leaves its bounds."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kmon.stats.beta import ln_beta_tail
from kmon.stats.statistics import (
    Interval,
    clopper_pearson,
    compound,
    fisher_exact,
    holm,
    mcnemar_exact,
    need_more,
)

AGREES = 1e-9
SHARES = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
COUNT = st.integers(0, 60)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.references
@given(SHARES, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_interval_is_scipys_exact_one(share: tuple[int, int], confidence: float) -> None:
    from scipy import stats  # here, since every process of the tests imports all of them

    ours = clopper_pearson(*share, confidence)
    theirs = stats.binomtest(*share).proportion_ci(confidence, "exact")
    assert ours.low == pytest.approx(theirs.low, abs=AGREES)
    assert ours.high == pytest.approx(theirs.high, abs=AGREES)


@given(SHARES)
def test_an_interval_holds_its_rate_and_stays_within_0_and_1(share: tuple[int, int]) -> None:
    passes, n = share
    interval = clopper_pearson(passes, n)
    assert 0 <= interval.low <= passes / n <= interval.high <= 1


@given(SHARES)
def test_the_interval_of_the_failures_mirrors_that_of_the_passes(share: tuple[int, int]) -> None:
    passes, n = share
    ours, mirrored = clopper_pearson(passes, n), clopper_pearson(n - passes, n)
    assert ours.low == pytest.approx(1 - mirrored.high, abs=AGREES)


@given(st.integers(1, 50), st.integers(2, 40))
def test_more_runs_at_the_same_rate_narrow_the_interval(passes: int, times: int) -> None:
    few, many = clopper_pearson(passes, 50), clopper_pearson(passes * times, 50 * times)
    assert many.high - many.low < few.high - few.low


@pytest.mark.references
@given(st.integers(1, 100_000), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.99]))
def test_an_interval_of_many_runs_keeps_its_digits(n: int, share: float, confidence: float) -> None:
    from scipy import stats

    hits = round(n * share)
    ours = clopper_pearson(hits, n, confidence)
    theirs = stats.binomtest(hits, n).proportion_ci(confidence, "exact")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=AGREES)


@pytest.mark.references
@given(st.floats(1, 500), st.floats(0.01, 1))
def test_the_interval_of_an_effective_sample_size_is_a_quantile_of_the_beta_distribution(
    n: float, share: float
) -> None:
    from scipy import stats

    hits = n * share
    assert clopper_pearson(hits, n).low == pytest.approx(float(stats.beta.ppf(0.025, hits, n - hits + 1)), abs=AGREES)


@pytest.mark.references
@given(st.floats(0.001, 0.999), st.floats(0.5, 3_000), st.floats(0.5, 3_000))
def test_the_tail_of_the_beta_distribution_is_scipys(rate: float, a: float, b: float) -> None:
    from scipy import special

    theirs = float(special.betainc(a, b, rate))
    if 1e-250 < theirs < 1 - 1e-9:  # beyond, scipy has run out of digits
        assert ln_beta_tail(rate, a, b) == pytest.approx(math.log(theirs), abs=1e-8, rel=1e-9)


def test_an_interval_holds_the_true_rate_in_at_least_95_percent_of_all_samples() -> None:
    for n in (1, 3, 10, 50):
        intervals = [clopper_pearson(hits, n) for hits in range(n + 1)]
        for true in (step / 200 for step in range(1, 200)):
            holding = math.fsum(
                math.comb(n, hits) * true**hits * (1 - true) ** (n - hits)
                for hits, interval in enumerate(intervals)
                if interval.low <= true <= interval.high
            )
            assert holding >= 0.95 - AGREES


@pytest.mark.references
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemars_exact_test_is_scipys_binomial_test(b: int, c: int) -> None:
    from scipy import stats

    theirs = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(theirs, abs=AGREES)
    assert mcnemar_exact(c, b) == mcnemar_exact(b, c)


@pytest.mark.references
@given(COUNT, COUNT, COUNT, COUNT)
def test_fishers_exact_test_is_scipys(a: int, b: int, c: int, d: int) -> None:
    from scipy import stats

    theirs = stats.fisher_exact([[a, b], [c, d]]).pvalue
    assert fisher_exact(a, b, c, d) == pytest.approx(theirs, abs=AGREES)


@given(COUNT, COUNT, COUNT, COUNT)
def test_fishers_test_does_not_mind_which_side_is_which(a: int, b: int, c: int, d: int) -> None:
    p = fisher_exact(a, b, c, d)
    assert 0 < p <= 1
    for turned in ((c, d, a, b), (b, a, d, c), (a, c, b, d)):
        assert fisher_exact(*turned) == pytest.approx(p, abs=AGREES)


@pytest.mark.references
@pytest.mark.parametrize("p_value", [mcnemar_exact(50_200, 49_800), fisher_exact(25_000, 25_000, 24_700, 25_300)])
def test_a_hundred_thousand_runs_keep_their_digits(p_value: float) -> None:
    from scipy import stats

    theirs = {
        mcnemar_exact(50_200, 49_800): stats.binomtest(50_200, 100_000).pvalue,
        fisher_exact(25_000, 25_000, 24_700, 25_300): stats.fisher_exact([[25_000, 25_000], [24_700, 25_300]]).pvalue,
    }[p_value]
    assert p_value == pytest.approx(theirs, abs=AGREES)


def test_the_counts_of_the_field_report() -> None:
    assert mcnemar_exact(4, 0) == 0.125
    assert fisher_exact(4, 6, 0, 10) == pytest.approx(0.08668730650154799)
    interval = clopper_pearson(6, 10)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.2624, 0.8784)
    assert clopper_pearson(10, 10).low == pytest.approx(0.025**0.1)


@given(P_VALUES)
def test_holms_correction_is_that_of_its_definition(p_values: list[float]) -> None:
    """Adjusted p: the smallest level at which stepping down from the smallest p still rejects this one."""
    ordered = sorted(p_values)
    m = len(ordered)
    reference = {p: min(1.0, max((m - j) * ordered[j] for j in range(i + 1))) for i, p in enumerate(ordered)}
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert adjusted == pytest.approx(reference[p], abs=AGREES)


@given(P_VALUES)
def test_a_corrected_p_value_is_never_smaller_and_keeps_its_place(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert [after for _, after in pairs] == sorted(adjusted)


def test_nothing_to_correct_is_nothing() -> None:
    assert holm([]) == ()


@given(SHARES, st.integers(1, 20))
def test_a_chain_carries_the_interval_through(share: tuple[int, int], uses: int) -> None:
    passes, n = share
    rate, interval = compound(passes / n, clopper_pearson(passes, n), uses)
    assert interval.low <= rate <= interval.high
    assert interval == Interval(clopper_pearson(passes, n).low ** uses, clopper_pearson(passes, n).high ** uses)


def test_eighteen_of_twenty_over_ten_uses() -> None:
    rate, interval = compound(0.9, clopper_pearson(18, 20), 10)
    assert (round(rate, 3), round(interval.low, 3), round(interval.high, 3)) == (0.349, 0.022, 0.883)


def test_four_of_ten_against_none_needs_five_more_rounds() -> None:
    assert need_more(4, 0, 10) == 5
    assert need_more(4, 0, 10, alpha=0.05 / 3) == 8
    assert need_more(6, 0, 15) == 0


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 30))
def test_the_rounds_said_to_be_needed_suffice_at_the_observed_rates(b: int, c: int, both: int) -> None:
    rounds = b + c + both
    assume(rounds)
    more = need_more(b, c, rounds)
    if b == c:
        assert more is None
    elif more is not None:
        total = rounds + more
        assert mcnemar_exact(total * b // rounds, total * c // rounds) <= 0.05


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_a_share_of_nothing_is_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        clopper_pearson(hits, n)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        fisher_exact(1, -1, 2, 2)
    with pytest.raises(ValueError, match="cannot be negative"):
        mcnemar_exact(-1, 2)


def test_a_difference_that_ten_thousand_rounds_cannot_prove_is_given_up() -> None:
    assert need_more(5_001, 5_000, 20_000) is None
    assert math.isclose(mcnemar_exact(5_001, 5_000), 1.0, abs_tol=1e-6)
