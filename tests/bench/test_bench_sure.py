"""Promises about the table of errors: its bars can be missed, and its worlds fail as often as they say."""

from itertools import islice
from random import Random
from statistics import fmean

import pytest

from tests.bench.sure import TABLES
from tests.bench.sure_proofs import false_proofs, fixed, power, watched, worlds_without_difference
from tests.bench.sure_table import Figure, Table
from tests.bench.sure_worlds import World, independent, trials


def test_a_bar_beyond_chance_is_missed_and_said() -> None:
    over, within, under = Figure(0.08, 0.05, slack=0.02), Figure(0.06, 0.05, slack=0.02), Figure(0.9, 0.95, least=True)
    table = Table("shares", ("case", "a", "b", "c"), [("one", (over, within, under)), ("two", (Figure(0.5),) * 3)])
    assert [figure.missed for figure in table.rows[0][1]] == [True, False, True]
    assert table.missed == 2
    assert table.text.count("MISSED") == 2


@pytest.mark.parametrize(
    ("name", "rate", "world"),
    [pytest.param(name, rate, world, id=name) for name, rate, world, _ in worlds_without_difference(2)],
)
def test_a_world_fails_as_often_as_it_says(name: str, rate: float, world: World) -> None:
    rounds = islice(world(Random(5)), 40_000)
    assert fmean(failed for round_ in rounds for failed in round_) == pytest.approx(rate, rel=0.2), name


def test_a_true_difference_is_proven_in_each_kind_of_test() -> None:
    world = independent(0.5, 0.0)
    assert watched(world, Random(1), 2)
    assert fixed(trials(world, Random(1), 60))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_equal_targets_prove_hardly_any_difference() -> None:
    assert not false_proofs(20, seed=2).missed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_true_differences_are_proven_in_few_rounds() -> None:
    assert not power(30, seed=2).missed


def test_each_table_has_a_name() -> None:
    assert {"coverage", "false-proofs", "power", "isolation"} == TABLES.keys()
