"""Promises of the product limit: Clopper and Pearson's interval where nobody leaves, and coverage where some do."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.product_limit import Step, share_surviving, survival_interval


@st.composite
def losses(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A number of members, and how many of them each step loses."""
    n = draw(st.integers(1, 300))
    lost = draw(st.lists(st.integers(1, 20), max_size=12))
    kept: list[int] = []
    for number in lost:
        if sum(kept) + number <= n:
            kept.append(number)
    return n, kept


def steps_of(n: int, lost: list[int]) -> list[Step]:
    return [Step(n - sum(lost[:at]), number) for at, number in enumerate(lost)] or [Step(n, 0)]


@pytest.mark.references
@given(losses())
def test_without_censoring_it_is_clopper_pearson_however_many_steps_there_were(sample: tuple[int, list[int]]) -> None:
    from scipy import stats  # here, since every process of the tests imports all of them

    n, lost = sample
    found = survival_interval(steps_of(n, lost))
    exact = stats.binomtest(n - sum(lost), n).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert share_surviving(steps_of(n, lost)) == pytest.approx(1 - sum(lost) / n, abs=1e-9)


@given(losses())
def test_more_confidence_and_less_follow_up_both_widen_it(sample: tuple[int, list[int]]) -> None:
    n, lost = sample
    steps = steps_of(n, lost)
    usual, sure = survival_interval(steps), survival_interval(steps, 0.99)
    assert 0 <= sure.low <= usual.low <= share_surviving(steps) + 1e-12
    assert share_surviving(steps) <= usual.high + 1e-12 and usual.high <= sure.high <= 1
    fewer = [Step(step.at_risk * 10, step.lost * 10) for step in steps]
    assert survival_interval(fewer).high - survival_interval(fewer).low <= usual.high - usual.low + 1e-9


@pytest.mark.parametrize(("n", "hazard", "leaving"), [(10, 0.1, 0.2), (30, 0.05, 0.1), (8, 0.4, 0.1), (100, 0.2, 0.3)])
def test_it_holds_the_true_share_although_members_leave(n: int, hazard: float, leaving: float) -> None:
    random, held, worlds = Random(n), 0, 1_000
    for _ in range(worlds):
        at_risk, steps = n, list[Step]()
        for _ in range(4):
            lost = sum(random.random() < hazard for _ in range(at_risk))
            steps += [Step(at_risk, lost)] if at_risk else []
            at_risk -= lost
            at_risk -= sum(random.random() < leaving for _ in range(at_risk))
        found = survival_interval(steps)
        held += found.low <= (1 - hazard) ** len(steps) <= found.high
    assert held / worlds >= 0.94
