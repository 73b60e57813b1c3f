"""Promises about an isolation: it keeps to what is possible, ends, and tells causes from their healthy twins."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmon.stats.isolation.design import Config, Design, Level
from kmon.stats.isolation.isolation import Isolation
from kmon.stats.isolation.state import Conclusion

WITHOUT_TOOLS = ((0, False), (1, True))
"""A request without tools cannot have a tool result in its history."""


def answered(isolation: Isolation, fails: Callable[[Config], bool | None]) -> Conclusion:
    while block := isolation.next_block():
        isolation.add([(config, fails(config)) for config in block])
    conclusion = isolation.conclusion()
    assert conclusion is not None
    return conclusion


def at_rates(caused: Callable[[Config], bool], high: float, low: float, seed: int) -> Callable[[Config], bool]:
    draw = Random(seed)
    return lambda config: draw.random() < (high if caused(config) else low)


@st.composite
def designs(pick: st.DrawFn) -> Design:
    """Designs with any combinations forbidden in which every factor can be changed alone."""
    factors = pick(st.integers(1, 6))
    level = st.tuples(st.integers(0, factors - 1), st.booleans())
    linked: list[tuple[Level, ...]] = []
    for levels in pick(st.lists(st.lists(level, min_size=2, max_size=3, unique_by=lambda each: each[0]), max_size=4)):
        try:
            Design(factors, linked=(*linked, tuple(levels)))
        except ValueError:
            continue
        linked.append(tuple(levels))
    block = pick(st.integers(2, 5))
    own = pick(st.sets(st.integers(0, factors - 1), max_size=2))
    most = pick(st.integers(40, 90))
    return Design(factors, tuple(linked), most, pick(st.integers(0, 999)), block, tuple(own))


@settings(max_examples=60, deadline=None)
@given(designs(), st.randoms(use_true_random=False), st.floats(0, 1))
def test_any_outcomes_end_within_the_budget_and_only_possible_requests_are_sent(
    design: Design, draw: Random, share: float
) -> None:
    isolation = Isolation(design)
    sent = 0
    while block := isolation.next_block():
        assert all(design.allowed(config) for config in block)
        assert len(block) <= design.block
        assert isolation.next_block() == block
        isolation.add([(config, draw.choice((True, None)) if draw.random() < share else False) for config in block])
        sent += len(block)
    conclusion, state = isolation.conclusion(), isolation.state()
    assert conclusion is not None
    assert sent == conclusion.requests == state.requests <= design.max_requests
    assert sum(each.probability for each in state.explanations) <= 1 + 1e-9
    assert all(each.as_reported.runs + each.changed.runs == sent - state.silent for each in state.factors)


@settings(max_examples=20, deadline=None)
@given(designs(), st.integers(0, 99))
def test_the_same_seed_and_outcomes_send_the_same_requests(design: Design, seed: int) -> None:
    one, other = Isolation(design), Isolation(design)
    fails = at_rates(lambda config: config[0], 0.4, 0.1, seed)
    while block := one.next_block():
        assert other.next_block() == block
        results = [(config, fails(config)) for config in block]
        one.add(results)
        other.add(results)
    assert one.state() == other.state()
    assert one.conclusion() == other.conclusion()


@pytest.mark.parametrize("cause", range(8))
def test_each_single_cause_is_found_and_proven(cause: int) -> None:
    conclusion = answered(Isolation(Design(8, seed=cause)), at_rates(lambda config: config[cause], 0.9, 0.01, cause))
    assert (conclusion.kind, conclusion.factors) == ("factor", (cause,))
    assert conclusion.ln_e >= Design(8).ln_needed
    assert conclusion.with_cause.interval.low > conclusion.without.interval.high
    assert conclusion.requests <= 60


def test_two_factors_that_only_fail_together_are_told_as_a_pair() -> None:
    both = at_rates(lambda config: config[1] and config[4], 0.9, 0.01, 3)
    conclusion = answered(Isolation(Design(6, seed=3, max_requests=160)), both)
    assert (conclusion.kind, conclusion.factors) == ("pair", (1, 4))


def test_two_factors_of_which_each_is_enough_are_told_as_either() -> None:
    one_of_them = at_rates(lambda config: config[1] or config[4], 0.9, 0.01, 3)
    conclusion = answered(Isolation(Design(6, seed=3, max_requests=160)), one_of_them)
    assert (conclusion.kind, conclusion.factors) == ("either", (1, 4))


def test_a_request_that_fails_whatever_is_changed_accuses_nobody() -> None:
    conclusion = answered(Isolation(Design(8, seed=1, max_requests=160)), at_rates(all, 0.5, 0.5, 1))
    assert (conclusion.kind, conclusion.factors) == ("none-of-them", ())
    assert not conclusion.unbroken


def test_a_request_that_always_fails_accuses_nobody_and_could_be_one_outage() -> None:
    conclusion = answered(Isolation(Design(8)), lambda _: True)
    assert conclusion.kind == "none-of-them"
    assert conclusion.unbroken


def test_a_request_that_never_fails_is_told_so_after_it_was_repeated_as_reported() -> None:
    conclusion = answered(Isolation(Design(8)), lambda _: False)
    assert conclusion.kind == "does-not-fail"
    assert conclusion.with_cause.runs >= 20
    assert conclusion.with_cause.interval.high < 0.17


def test_failures_that_stop_are_not_explained() -> None:
    fails = at_rates(lambda config: config[2], 0.9, 0.0, 5)
    count = iter(range(200))
    conclusion = answered(Isolation(Design(8, seed=5)), lambda config: next(count) < 16 and fails(config))
    assert (conclusion.kind, conclusion.reason) == ("not-explained", "vanished")


def test_requests_that_say_nothing_explain_nothing() -> None:
    isolation = Isolation(Design(3, max_requests=40))
    conclusion = answered(isolation, lambda _: None)
    assert (conclusion.kind, conclusion.reason) == ("not-explained", "budget")
    state = isolation.state()
    assert state.silent == state.requests == 40
    assert [each.ln_e for each in state.factors] == pytest.approx([0.0] * 3)


def test_a_lasting_outage_accuses_no_factor_with_outages_of_its_own() -> None:
    """Every request to the host of the failing request fails, none to the other: one outage would look the same."""
    conclusion = answered(Isolation(Design(3, own_outages=(0,), max_requests=80)), lambda config: config[0])
    assert conclusion.kind == "not-explained"
    assert conclusion.factors == ()


def test_the_same_difference_in_a_factor_of_the_request_is_proven() -> None:
    conclusion = answered(Isolation(Design(3, max_requests=80)), lambda config: config[0])
    assert (conclusion.kind, conclusion.factors) == ("factor", (0,))


def test_a_host_that_fails_now_and_then_more_than_the_other_is_proven() -> None:
    fails = at_rates(lambda config: config[0], 0.4, 0.02, 1)
    conclusion = answered(Isolation(Design(3, own_outages=(0,), max_requests=200, seed=1)), fails)
    assert (conclusion.kind, conclusion.factors) == ("factor", (0,))


def test_of_factors_that_depend_on_each_other_the_right_one_is_told() -> None:
    for cause in (0, 1):
        design = Design(4, linked=(WITHOUT_TOOLS,), max_requests=160, seed=cause)
        conclusion = answered(Isolation(design), at_rates(lambda config, at=cause: config[at], 0.8, 0.01, cause))
        assert (conclusion.kind, conclusion.factors) == ("factor", (cause,))


def test_failures_in_two_long_runs_are_told_as_clustered_and_scattered_ones_are_not() -> None:
    count = iter(range(200))
    clustered = Isolation(Design(8, max_requests=60))
    answered(clustered, lambda _: next(count) % 40 < 12)
    scattered = Isolation(Design(8, max_requests=60))
    answered(scattered, at_rates(all, 0.2, 0.2, 1))
    assert clustered.state().clustered_p < 0.05 < scattered.state().clustered_p


def test_a_factor_that_cannot_matter_is_dropped_and_no_longer_changed() -> None:
    isolation = Isolation(Design(8, seed=2, max_requests=160))
    fails = at_rates(lambda config: config[3], 0.6, 0.02, 2)
    dropped: set[int] = set()
    while block := isolation.next_block():
        assert all(config[factor] for config in block for factor in dropped)
        isolation.add([(config, fails(config)) for config in block])
        dropped = {each.factor for each in isolation.state().factors if each.dropped}
        assert all(each.why for each in isolation.state().factors if each.dropped)
    assert dropped and 3 not in dropped


def test_results_in_any_order_and_missing_ones_are_taken_and_strange_ones_are_not() -> None:
    isolation = Isolation(Design(4, seed=1))
    block = isolation.next_block()
    with pytest.raises(ValueError, match="not in the block"):
        isolation.add([((False,) * 4, True)] * 5)
    isolation.add([(block[3], True), (block[0], False)])
    state = isolation.state()
    assert (state.requests, state.failures, state.silent) == (4, 1, 2)
    with pytest.raises(ValueError, match="no block"):
        isolation.add([(block[0], True)])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"factors": 0}, "can be varied"),
        ({"factors": 40}, "can be varied"),
        ({"max_requests": 6}, "6 requests cannot isolate anything"),
        ({"block": 1}, "a block has"),
        ({"rate": 1.5}, "between 0 and 1"),
        ({"linked": (((9, True), (0, True)),)}, "no factor 9"),
        ({"linked": (((0, True), (1, True)),)}, "as reported"),
        ({"linked": (((0, True), (1, False)), ((0, False), (1, True)))}, "never be changed alone"),
    ],
)
def test_an_impossible_design_is_refused_in_a_sentence(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Design(**{"factors": 4, **changes})  # type: ignore[arg-type]
