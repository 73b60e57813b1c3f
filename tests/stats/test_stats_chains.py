"""Promises of the chance of several uses in a row: what chains show, what is computed, and how often it holds."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.chains import USES, compounds
from kmon.stats.trial import Trial

STEPS = 5
CHAINS = 20


def chain(done: int, *, failed: bool = False, cut: bool = False, steps: int | None = STEPS) -> Trial:
    outcome = "cancelled" if cut else "hang-mid-stream" if failed else "pass"
    return Trial(target="t", round=1, outcome=outcome, tool_uses=done, chain_steps=steps)  # type: ignore[arg-type]


def test_chains_tell_their_own_share_and_what_is_longer_is_named_extrapolated() -> None:
    rows = compounds([chain(5), chain(5), chain(2, failed=True), chain(0, failed=True)])
    assert [row.rate for row in rows[:5]] == pytest.approx([0.75, 0.75, 0.5, 0.5, 0.5])
    assert [(row.chains_through, row.chains) for row in rows] == [(3, 4), (3, 4), (2, 4), (2, 4), (2, 4), (None, None)]
    assert [row.basis for row in rows] == ["chains"] * 5 + ["extrapolated"]
    assert rows[5].rate == pytest.approx(0.25)
    assert (rows[5].interval.low, rows[5].interval.high) == pytest.approx(
        (rows[4].interval.low ** 2, rows[4].interval.high)
    )


def test_chains_that_all_die_at_once_have_no_chance_of_more() -> None:
    rows = compounds([chain(0, failed=True)] * 6)
    assert [row.rate for row in rows] == [0.0] * len(USES)
    assert (rows[0].chains_through, rows[0].chains) == (0, 6)
    assert rows[0].interval.high == pytest.approx(1 - 0.025 ** (1 / 6), abs=1e-9)
    assert {row.interval.high for row in rows} == {rows[0].interval.high}


def test_a_chain_that_fails_after_its_last_use_failed_no_use() -> None:
    rows = compounds([chain(5, failed=True), chain(5), chain(5)])
    assert [row.rate for row in rows[:5]] == [1.0] * 5
    assert rows[4].chains_through == rows[4].chains == 3


def test_a_chain_that_the_user_cut_counts_as_far_as_it_came() -> None:
    rows = compounds([chain(5), chain(5), chain(2, cut=True), chain(2, failed=True)])
    assert rows[1].rate == 1.0
    assert rows[2].rate == pytest.approx(2 / 3)
    assert (rows[2].chains_through, rows[2].chains) == (2, 3)
    assert compounds([chain(0, cut=True)] * 3) == ()


def test_single_uses_give_powers_that_are_named_independent() -> None:
    runs = [Trial(target="t", round=n, outcome="pass" if n > 4 else "incomplete") for n in range(1, 11)]
    rows = compounds(runs)
    assert [row.rate for row in rows] == pytest.approx([0.6**uses for uses in USES])
    assert {row.basis for row in rows} == {"independent"}
    assert compounds([Trial(target="t", round=1, outcome="cancelled")]) == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["pass", "failed", "cut"])), min_size=1, max_size=40))
def test_more_uses_are_never_more_likely_and_the_interval_holds_the_rate(sample: list[tuple[int, str]]) -> None:
    rows = compounds(
        [
            chain(5) if fate == "pass" else chain(done, failed=fate == "failed", cut=fate == "cut")
            for done, fate in sample
        ]
    )
    rates = [row.rate for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert all(row.interval.low - 1e-9 <= row.rate <= row.interval.high + 1e-9 for row in rows)
    highs = [row.interval.high for row in rows]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(highs))


World = tuple[Callable[[Random], float], Callable[[int], float]]
WORLDS: dict[str, World] = {
    "independent": (lambda _: 0.9, lambda uses: 0.9**uses),
    "mixed": (
        lambda random: 0.99 if random.random() < 0.7 else 0.6,
        lambda uses: 0.7 * 0.99**uses + 0.3 * 0.6**uses,
    ),
    "all or nothing": (lambda random: float(random.random() < 0.7), lambda _: 0.7),
}


def run_chain(rate: float, random: Random, leaving: float) -> Trial:
    for use in range(STEPS):
        if random.random() < leaving:
            return chain(use, cut=True)
        if random.random() >= rate:
            return chain(use, failed=True)
    return chain(STEPS)


@pytest.mark.parametrize("leaving", [0.0, 0.05])
@pytest.mark.parametrize("name", WORLDS)
def test_the_interval_holds_the_chance_whatever_the_uses_of_a_chain_have_in_common(name: str, leaving: float) -> None:
    """Users who leave do so whatever the chain is like; they cut one chain of five."""
    draw, truth = WORLDS[name]
    random, held, tests = Random(name), dict.fromkeys(USES, 0), 500
    for _ in range(tests):
        for row in compounds([run_chain(draw(random), random, leaving) for _ in range(CHAINS)]):
            held[row.uses] += row.interval.low - 1e-9 <= truth(row.uses) <= row.interval.high + 1e-9
    assert min(held.values()) / tests >= 0.93  # 0.95 and 2 standard errors
