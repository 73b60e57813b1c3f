"""Promises about the table of isolation: causes are found, and nobody innocent is accused beyond chance."""

import pytest

from tests.bench.sure_isolation import KINDS, found, isolation

QUICK = ("one factor, 40 / 2 %", "one factor, 100 / 0 %", "does not fail", "outages of 30 requests, 30 %")


@pytest.mark.parametrize("name", QUICK)
def test_twenty_worlds_of_a_kind_end_well(name: str) -> None:
    results = [found(KINDS[name], at, seed=3) for at in range(20)]
    assert sum(result.right for result in results) >= 17
    assert sum(result.wrong for result in results) <= 1
    assert all(result.requests <= KINDS[name].max_requests for result in results)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", KINDS)
def test_a_hundred_worlds_keep_every_bar(name: str) -> None:
    assert not isolation(100, 5, (name,)).missed
