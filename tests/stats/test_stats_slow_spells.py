"""Promises about slow spells: what a series that swings can and cannot prove."""

from __future__ import annotations

import random
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.slow_spells import SPELL_LEVEL, slow_spells_p


@pytest.mark.parametrize(("statistic", "p"), [(28.31, 0.10), (45.40, 0.05), (99.76, 0.01)])
def test_the_critical_values_are_lobatos(statistic: float, p: float) -> None:
    """A series of three with the statistic given: mean m, swings of 1."""
    series = [1.0, -1.0, 0.0]  # partial sums 1, 0, 0: swings 1 / 9
    mean = sqrt(statistic / 27)
    assert slow_spells_p([value + mean for value in series]) == pytest.approx(p, rel=0.02)


@given(st.lists(st.floats(-1e6, 1e6), max_size=30), st.sampled_from([-3.0, 0.5, 7.0]))
def test_it_is_a_probability_and_knows_no_unit(series: list[float], factor: float) -> None:
    p = slow_spells_p(series)
    assert 0 <= p <= 1
    if p > 1e-6 and sum(map(abs, series)) > 1e-3:
        assert slow_spells_p([value * factor for value in series]) == pytest.approx(p, rel=1e-3)


def test_a_hang_in_every_round_is_beyond_any_slow_spell() -> None:
    assert slow_spells_p([5.2, 5.8, 5.0, 5.6, 5.4]) < SPELL_LEVEL / 100
    assert slow_spells_p([5.4] * 5) == pytest.approx(0, abs=1e-12)


def test_one_slow_spell_in_the_middle_of_a_test_proves_nothing() -> None:
    spell = [0.05 * (-1) ** at + (5.4 if 8 <= at < 18 else 0) for at in range(30)]
    assert slow_spells_p(spell) > 0.05


@pytest.mark.parametrize(("rounds", "correlation", "limit"), [(30, 0.0, 0.08), (30, 0.5, 0.11), (100, 0.8, 0.12)])
def test_noise_that_swings_is_rejected_about_as_often_as_it_says(rounds: int, correlation: float, limit: float) -> None:
    draw, rejected = random.Random(3), 0
    for _ in range(400):
        value, series = draw.gauss(0, 1), []
        for _ in range(rounds):
            value = correlation * value + sqrt(1 - correlation**2) * draw.gauss(0, 1)
            series.append(value)
        rejected += slow_spells_p(series) <= 0.05
    assert rejected / 400 <= limit


def test_no_rounds_prove_nothing() -> None:
    assert slow_spells_p([]) == slow_spells_p([0.0]) == slow_spells_p([1.0, -1.0]) == 1.0
