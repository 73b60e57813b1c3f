"""Promises about times: scipy's curve, and no percentile that the sample cannot bear."""

from __future__ import annotations

import random
from itertools import pairwise
from math import exp
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats import survival
from kmon.stats.survival import (
    Percentile,
    SurvivalSample,
    SurvivalTime,
    kaplan_meier,
    observations_needed,
    quantile,
    quantile_interval,
    restricted_mean,
)

if TYPE_CHECKING:
    from scipy import stats

AGREES = 1e-9
TIMES = st.one_of(st.integers(0, 8).map(float), st.floats(0, 300))
SAMPLE = st.lists(st.builds(SurvivalTime, TIMES, st.booleans()), min_size=1, max_size=80)


def censored_data(sample: list[SurvivalTime]) -> stats.CensoredData:
    from scipy import stats  # here, since every process of the tests imports all of them

    return stats.CensoredData.right_censored([o.seconds for o in sample], [o.censored for o in sample])


@pytest.mark.references
@given(SAMPLE)
def test_the_curve_is_scipys_with_ties_and_censoring(sample: list[SurvivalTime]) -> None:
    from scipy import stats

    theirs = stats.ecdf(censored_data(sample)).sf
    ours = kaplan_meier(sample)
    for seconds in {o.seconds for o in sample} | {-1.0, 4.5, 301.0}:
        assert ours.at(seconds) == pytest.approx(float(theirs.evaluate(seconds)), abs=AGREES)


@given(SAMPLE)
def test_a_curve_only_falls(sample: list[SurvivalTime]) -> None:
    shares = kaplan_meier(sample).shares
    assert list(shares) == sorted(shares, reverse=True)
    assert all(0 <= share < 1 for share in shares)


@given(st.lists(TIMES, min_size=5, max_size=60))
def test_without_censoring_the_median_is_the_lower_median_of_the_sample(times: list[float]) -> None:
    median = kaplan_meier(SurvivalTime(seconds) for seconds in times).percentile(0.5)
    assert median.seconds == sorted(times)[(len(times) - 1) // 2]


@pytest.mark.parametrize(("share", "needed"), [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299)])
def test_a_percentile_is_refused_until_the_sample_can_bear_it(share: float, needed: int) -> None:
    assert observations_needed(share) == needed
    assert share**needed < 0.05 <= share ** (needed - 1)
    times = [SurvivalTime(float(i)) for i in range(needed)]
    assert kaplan_meier(times[1:]).percentile(share) == Percentile(share, "refused", None, needed - 1, needed)
    assert kaplan_meier(times).percentile(share).kind == "known"


def test_a_percentile_among_the_timeouts_is_only_known_to_be_beyond_them() -> None:
    sample = [SurvivalTime(1.0)] * 4 + [SurvivalTime(30.0, censored=True)] * 6
    assert kaplan_meier(sample).percentile(0.5) == Percentile(0.5, "above", 30.0, 10, 5)


def test_timeouts_are_waits_that_had_not_ended_not_times() -> None:
    finished = [SurvivalTime(float(i)) for i in range(1, 7)]
    curve = kaplan_meier([*finished, *[SurvivalTime(30.0, censored=True)] * 4])
    assert curve.percentile(0.5).seconds == 5.0
    assert curve.at(29.0) == curve.at(1e9) == pytest.approx(0.4)


def test_a_wait_given_up_early_leaves_the_others_their_weight() -> None:
    sample = [SurvivalTime(1.0), SurvivalTime(2.0, censored=True), *[SurvivalTime(3.0)] * 3]
    assert kaplan_meier(sample).at(1.0) == pytest.approx(0.8)
    assert kaplan_meier(sample).at(3.0) == 0


def test_no_observations_bear_no_percentile() -> None:
    assert kaplan_meier([]).percentile(0.5) == Percentile(0.5, "refused", None, 0, 5)


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=60), st.data())
def test_a_sample_that_grows_and_shrinks_has_the_percentiles_of_its_curve(
    drawn: list[tuple[int, bool]], data: st.DataObject
) -> None:
    waits, kept = SurvivalSample(), [SurvivalTime(float(seconds), censored) for seconds, censored in drawn]
    for wait in kept:
        waits.add(wait)
    for _ in range(data.draw(st.integers(0, len(kept)))):
        waits.remove(kept.pop(data.draw(st.integers(0, len(kept) - 1))))
    for share in (0.5, 0.9):
        assert waits.percentile(share) == kaplan_meier(kept).percentile(share)


def test_the_median_of_a_long_race_is_found_without_its_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = SurvivalSample()
    for n in range(10_000):
        waits.add(SurvivalTime(n / 1_000, censored=n > 9_000))
    monkeypatch.setattr(survival, "kaplan_meier", None)
    assert waits.percentile(0.5).seconds == 4.999


@given(SAMPLE)
def test_the_median_of_any_sample_is_given_and_marked_where_it_was_cut_off(sample: list[SurvivalTime]) -> None:
    found = quantile(sample, 0.5)
    assert found is not None
    curve = kaplan_meier(sample)
    if found.censored:
        assert found.seconds == max(wait.seconds for wait in sample) and curve.at(found.seconds) > 0.5
    else:
        assert curve.at(found.seconds) <= 0.5 + AGREES


@pytest.mark.references
@pytest.mark.parametrize("n", [5, 6, 12, 40])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_quantile_lies_between_the_order_statistics_of_the_binomial(n: int, share: float) -> None:
    from scipy import stats

    sample = [SurvivalTime(float(at)) for at in range(1, n + 1)]
    low, high = quantile_interval(sample, share)
    below = stats.binom(n, share)
    assert below.cdf((low or 0) - 1) <= 0.025 < below.cdf(low or 0)
    assert low is not None or below.cdf(0) > 0.025
    if high is None:
        assert below.sf(n - 1) > 0.025
    else:
        assert below.sf(high - 1) <= 0.025 < below.sf(high - 2)


def test_six_runs_bear_the_interval_of_a_median_and_five_do_not() -> None:
    assert quantile_interval([SurvivalTime(float(at)) for at in range(6)], 0.5) == (0.0, 5.0)
    assert quantile_interval([SurvivalTime(float(at)) for at in range(5)], 0.5) == (None, None)
    assert quantile_interval([], 0.5) == (None, None)


def test_a_time_that_was_cut_off_opens_the_upper_end_and_lowers_no_lower_one() -> None:
    sample = [SurvivalTime(float(at), censored=at >= 8) for at in range(10)]
    assert quantile_interval(sample, 0.5) == (1.0, None)
    assert quantile_interval([SurvivalTime(60.0, censored=True)] * 6, 0.5) == (60.0, None)


@pytest.mark.parametrize("cut_s", [None, 1.0])
def test_the_interval_of_a_median_covers_it_with_and_without_cuts(cut_s: float | None) -> None:
    draw, covered = random.Random(5), 0
    for _ in range(500):
        waits = [draw.lognormvariate(0, 1) for _ in range(20)]
        low, high = quantile_interval([SurvivalTime(min(w, cut_s or w), w > (cut_s or w)) for w in waits], 0.5)
        covered += (low is None or low <= 1) and (high is None or high >= 1)
    assert covered >= 500 * 0.94


@given(st.lists(st.floats(0, 300), min_size=2, max_size=40))
def test_without_cuts_the_restricted_mean_is_the_mean(times: list[float]) -> None:
    found = restricted_mean([SurvivalTime(seconds) for seconds in times], 300.0)
    assert found is not None
    assert found.seconds == pytest.approx(fmean(times), abs=1e-9)
    assert found.low == pytest.approx(max(0.0, fmean(times) - 1.959963984540054 * stdev(times) / len(times) ** 0.5))


@given(SAMPLE, st.floats(0, 300))
def test_a_restricted_mean_is_the_area_under_the_curve(sample: list[SurvivalTime], limit_s: float) -> None:
    found = restricted_mean(sample, limit_s)
    if found is None:
        assert len(sample) < 2 or max(sample).seconds < limit_s
        return
    curve = kaplan_meier(sample)
    cuts = sorted({0.0, limit_s, *(s for s in curve.seconds if s < limit_s)})
    area = sum(curve.at(start) * (end - start) for start, end in pairwise(cuts))
    assert found.seconds == pytest.approx(area, abs=AGREES)
    assert 0 <= found.low <= found.seconds + AGREES and found.seconds - AGREES <= found.high <= limit_s


def test_the_interval_of_a_restricted_mean_covers_it_with_cuts() -> None:
    draw, covered = random.Random(5), 0
    for _ in range(400):
        waits = [draw.expovariate(1) for _ in range(40)]
        cuts = [min(2.0, draw.expovariate(0.3)) for _ in waits]
        found = restricted_mean([SurvivalTime(min(w, c), w > c) for w, c in zip(waits, cuts, strict=True)], 1.0)
        covered += found is not None and found.low <= 1 - exp(-1) <= found.high
    assert covered >= 400 * 0.92
