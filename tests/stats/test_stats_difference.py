"""Promises about the difference of two failure rates: it is held as often as is said, and agrees with the test."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.difference import PairedCounts, paired_difference, unpaired_difference, watched_difference
from kmon.stats.statistics import Interval, fisher_exact, mcnemar_exact

COUNTS = st.builds(PairedCounts, *[st.integers(0, 25)] * 4).filter(lambda counts: counts.rounds > 0)
RATES = (0.001, 0.02, 0.1, 0.3, 0.5, 0.8, 0.98)


def swapped(counts: PairedCounts) -> PairedCounts:
    return PairedCounts(counts.both, counts.only_second, counts.only_first, counts.neither)


def differ(counts: PairedCounts) -> bool:
    return mcnemar_exact(int(counts.only_first), int(counts.only_second)) <= 0.05


def tables(n: int) -> list[PairedCounts]:
    return [
        PairedCounts(both, b, c, n - both - b - c)
        for both in range(n + 1)
        for b in range(n + 1 - both)
        for c in range(n + 1 - both - b)
    ]


def truths() -> list[tuple[float, float, float, float]]:
    """Probabilities of the four cells: rates of the two arms, independent, mostly together and mostly apart."""
    found = []
    for first in RATES:
        for second in (rate for rate in RATES if rate <= first):
            alone = first * second
            for both in (alone, alone + 0.9 * (second - alone), alone - 0.5 * (alone - max(0.0, first + second - 1))):
                found.append((both, first - both, second - both, 1 - first - second + both))
    return found


def likelihood(counts: PairedCounts, cells: tuple[float, ...]) -> float:
    ln_orders = math.lgamma(counts.rounds + 1) - sum(math.lgamma(count + 1) for count in counts)
    return math.exp(ln_orders + sum(n * math.log(max(p, 1e-15)) for n, p in zip(counts, cells, strict=True)))


@pytest.mark.parametrize("rounds", [5, 10, pytest.param(20, marks=pytest.mark.slow)])
def test_the_paired_interval_holds_the_difference_in_95_percent_of_all_samples(rounds: int) -> None:
    found = [(counts, paired_difference(counts, differ=differ(counts))) for counts in tables(rounds)]
    for cells in truths():
        true = cells[1] - cells[2]
        held = math.fsum(
            likelihood(counts, cells) for counts, interval in found if interval.low <= true <= interval.high
        )
        assert held >= 0.95, cells


@given(COUNTS)
def test_the_paired_interval_leaves_out_0_exactly_when_the_test_tells_the_arms_apart(counts: PairedCounts) -> None:
    """Without being cut at 0: where the exact test proves a difference, the interval already lies beside 0."""
    if differ(counts):
        uncut = paired_difference(counts, differ=False)
        assert 0 in (uncut.low, uncut.high)
        interval = paired_difference(counts, differ=True)
        assert interval.low > 0 or interval.high < 0
    else:
        interval = paired_difference(counts, differ=False)
        assert interval.low <= 0 <= interval.high


@given(COUNTS, st.booleans())
def test_an_interval_of_a_difference_holds_the_difference_seen(counts: PairedCounts, watched: bool) -> None:
    interval = (watched_difference if watched else paired_difference)(counts, differ=False)
    assert -1 <= interval.low <= counts.difference + 1e-12
    assert counts.difference - 1e-12 <= interval.high <= 1


@given(COUNTS, st.booleans(), st.booleans())
def test_the_other_arm_sees_the_difference_mirrored(counts: PairedCounts, watched: bool, apart: bool) -> None:
    of = watched_difference if watched else paired_difference
    ours, theirs = of(counts, differ=apart), of(swapped(counts), differ=apart)
    if counts.difference != 0:
        assert (ours.low, ours.high) == pytest.approx((-theirs.high, -theirs.low), abs=1e-9)


def test_the_seeds_four_of_ten_against_none() -> None:
    interval = paired_difference(PairedCounts(0, 4, 0, 6), differ=False)
    assert (round(interval.low, 3), round(interval.high, 3)) == (-0.016, 0.738)
    assert unpaired_difference((4, 10), (0, 10), differ=False) == interval


def test_arms_that_fail_together_are_known_better_than_arms_that_do_not() -> None:
    together = paired_difference(PairedCounts(12, 6, 0, 12), differ=True)
    apart = unpaired_difference((18, 30), (12, 30), differ=False)
    assert together.high - together.low < apart.high - apart.low


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(1, 40))
def test_the_unpaired_interval_beside_0_is_left_to_fishers_test(first: tuple[int, int], n: int) -> None:
    proven = fisher_exact(first[0], first[1] - first[0], 0, n) <= 0.05
    interval = unpaired_difference(first, (0, n), differ=proven)
    assert (interval.low <= 0 <= interval.high) or proven


@pytest.mark.slow
@pytest.mark.parametrize(("worse", "better"), [(0.4, 0.0), (0.3, 0.1), (0.5, 0.5)])
def test_all_intervals_of_a_watched_test_together_hold_the_difference(worse: float, better: float) -> None:
    """40 tests of 30 rounds, looked at after each: at most 5 % may ever lose it (and some luck)."""
    draw = random.Random(20261128)
    lost = 0
    for _ in range(40):
        cells = [0, 0, 0, 0]
        for _ in range(30):
            first, second = draw.random() < worse, draw.random() < better
            cells[0 if first and second else 1 if first else 2 if second else 3] += 1
            interval = watched_difference(PairedCounts(*cells), differ=False)
            if not interval.low - 1e-9 <= worse - better <= interval.high + 1e-9:
                lost += 1
                break
    assert lost <= 6


def test_a_watched_interval_is_wider_and_narrows() -> None:
    fixed = paired_difference(PairedCounts(0, 12, 0, 18), differ=True)
    watched = watched_difference(PairedCounts(0, 12, 0, 18), differ=True)
    assert watched.low < fixed.low < fixed.high < watched.high
    longer = watched_difference(PairedCounts(0, 120, 0, 180), differ=True)
    assert longer.high - longer.low < 0.5 * (watched.high - watched.low)


def test_an_arm_that_always_fails_alone_is_told_apart() -> None:
    for of in (paired_difference, watched_difference):
        worse = of(PairedCounts(0, 20, 0, 0), differ=True)
        assert worse.high == 1 and worse.low > 0.3
        better = of(PairedCounts(0, 0, 20, 0), differ=True)
        assert better.low == -1 and better.high == pytest.approx(-worse.low, abs=1e-9)


def test_nothing_seen_leaves_room_on_both_sides() -> None:
    interval = paired_difference(PairedCounts(0, 0, 0, 10), differ=False)
    assert interval == Interval(pytest.approx(-0.3085, abs=1e-4), pytest.approx(0.3085, abs=1e-4))
