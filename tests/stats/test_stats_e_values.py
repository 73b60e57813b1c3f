"""Promises about evidence under watching: the right mixture, and few false alarms however often one looks."""

import math
import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats import statistics
from kmon.stats.beta import ln_beta
from kmon.stats.e_values import closed, ln_e_pairs_differ, ln_e_rate_above

LN_20 = math.log(20)
SHARES = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
RATES = st.floats(0.01, 0.99)


@pytest.mark.references
@given(SHARES, RATES)
def test_evidence_against_a_rate_is_the_mixture_over_all_higher_rates(share: tuple[int, int], rate: float) -> None:
    from scipy import special  # here, since every process of the tests imports all of them

    hits, n = share
    beyond = special.betaincc(hits + 1, n - hits + 1, rate)
    if beyond < 1e-250:
        return  # scipy has run out of digits
    mixture = special.betaln(hits + 1, n - hits + 1) + math.log(beyond) - math.log1p(-rate)
    theirs = mixture - hits * math.log(rate) - (n - hits) * math.log1p(-rate)
    assert ln_e_rate_above(hits, n, rate) == pytest.approx(theirs, abs=1e-9, rel=1e-9)


@pytest.mark.references
@given(st.integers(0, 500), st.integers(0, 500))
def test_evidence_of_pairs_is_the_beta_binomial_mixture(b: int, c: int) -> None:
    from scipy import special

    theirs = special.betaln(b + 0.2, c + 0.2) - special.betaln(0.2, 0.2) + (b + c) * math.log(2)
    assert ln_e_pairs_differ(b, c) == pytest.approx(theirs, abs=1e-9)
    assert ln_e_pairs_differ(b, c) == ln_e_pairs_differ(c, b)


@given(st.integers(0, 60))
def test_under_a_fair_coin_the_expected_evidence_is_one(n: int) -> None:
    expected = math.fsum(math.comb(n, b) / 2**n * math.exp(ln_e_pairs_differ(b, n - b)) for b in range(n + 1))
    assert expected == pytest.approx(1.0, abs=1e-9)


@given(st.integers(0, 60), st.floats(0.02, 0.98), st.floats(0, 1))
def test_at_or_below_the_rate_the_expected_evidence_is_at_most_one(n: int, rate: float, lower: float) -> None:
    truth = rate * lower
    expected = math.fsum(
        math.comb(n, k) * truth**k * (1 - truth) ** (n - k) * math.exp(ln_e_rate_above(k, n, rate))
        for k in range(n + 1)
    )
    assert expected <= 1 + 1e-9


def test_six_episodes_all_to_one_side_prove_a_difference_and_five_do_not() -> None:
    assert ln_e_pairs_differ(6, 0) > LN_20 > ln_e_pairs_differ(5, 0)


E_VALUES = st.lists(st.floats(-50, 50), min_size=1, max_size=6)


@given(E_VALUES)
def test_a_corrected_e_value_is_the_least_mean_over_all_families_that_hold_it(ln_e_values: list[float]) -> None:
    values = [math.exp(ln_e) for ln_e in ln_e_values]
    for at, corrected in enumerate(closed(ln_e_values)):
        others = values[:at] + values[at + 1 :]
        families = (family for size in range(len(values)) for family in combinations(others, size))
        least = min((values[at] + math.fsum(family)) / (1 + len(family)) for family in families)
        assert corrected == pytest.approx(math.log(least), rel=1e-9, abs=1e-9)
        assert corrected >= ln_e_values[at] - math.log(len(values)) - 1e-9


@given(E_VALUES, st.permutations(range(6)))
def test_the_order_of_hypotheses_does_not_matter(ln_e_values: list[float], order: list[int]) -> None:
    kept = [at for at in order if at < len(ln_e_values)]
    shuffled = closed([ln_e_values[at] for at in kept])
    assert shuffled == pytest.approx([closed(ln_e_values)[at] for at in kept])


def test_evidence_too_large_for_a_float_stays_finite() -> None:
    assert all(map(math.isfinite, closed([10_000.0, -10_000.0, 800.0])))


def test_looking_after_every_round_raises_few_false_alarms() -> None:
    """1,000 races of two equal targets, looked at after each of 300 discordant rounds: at most 5 % alarm (+ noise)."""
    draw = random.Random(20260210)
    alarms = 0
    for _ in range(1_000):
        b = c = 0
        for _ in range(300):
            first = draw.random() < 0.5
            b, c = b + first, c + (not first)
            if ln_e_pairs_differ(b, c) >= LN_20:
                alarms += 1
                break
    assert alarms <= 70


def test_watching_one_target_at_the_rate_asked_for_raises_few_false_alarms() -> None:
    draw = random.Random(20260211)
    alarms = 0
    for _ in range(300):
        hits = 0
        for n in range(1, 101):
            hits += draw.random() < 0.05
            if ln_e_rate_above(hits, n, 0.05) >= LN_20:
                alarms += 1
                break
    assert alarms <= 25


@given(st.integers(0, 100_000), st.floats(0.001, 0.999))
def test_a_hundred_thousand_runs_stay_finite(hits: int, rate: float) -> None:
    assert math.isfinite(ln_e_rate_above(hits, 100_000, rate))
    assert math.isfinite(ln_e_pairs_differ(hits, 100_000 - hits))


@pytest.mark.references
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_beta_function_is_scipys(a: int, b: int) -> None:
    from scipy import special

    assert ln_beta(a, b) == pytest.approx(float(special.betaln(a, b)), rel=1e-9, abs=1e-6)


@pytest.mark.references
@given(st.integers(8_000, 12_000), st.floats(0.9, 0.999), st.floats(-0.02, 0.02))
def test_after_ten_thousand_rounds_the_tail_is_still_the_whole_tail(n: int, rate: float, off: float) -> None:
    from scipy import stats

    hits = min(n, max(0, int(n * (rate + off))))
    theirs = float(stats.binom.logcdf(hits, n, rate))
    if theirs > -500:
        assert statistics.ln_binomial_tail(hits, n, rate) == pytest.approx(theirs, abs=1e-8, rel=1e-8)


def test_a_round_of_a_long_watch_costs_no_sum_over_all_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    terms: list[int] = []
    real = statistics.ln_choose
    monkeypatch.setattr(statistics, "ln_choose", lambda n, k: (terms.append(k), real(n, k))[1])
    ln_e_rate_above(9_500, 10_000, 0.95)
    assert len(terms) < 1_000
