"""Promises about the evidence of an isolation: no bet can be won against a factor without effect."""

from __future__ import annotations

from copy import deepcopy
from math import exp, log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmon.stats.isolation.blocks import Block, draw, placements, subsets
from kmon.stats.isolation.causes import Cause, causes, likelihoods
from kmon.stats.isolation.design import Design
from kmon.stats.isolation.evidence import Evidence

OUTCOMES = st.sampled_from([True, False, None])


def with_column(block: Block, factor: int, column: int) -> Block:
    """The block with another column of one factor."""
    configs = tuple(
        (*config[:factor], bool(column >> at & 1), *config[factor + 1 :]) for at, config in enumerate(block.configs)
    )
    return Block(configs, block.varied)


@st.composite
def histories(
    pick: st.DrawFn, own_outages: tuple[int, ...] = ()
) -> tuple[Design, Evidence, Block, tuple[bool | None, ...]]:
    """Any past of up to six blocks with any outcomes, and a block with outcomes that is to be added."""
    size = pick(st.integers(2, 5))
    design = Design(pick(st.integers(1, 4)), block=size, max_requests=400, own_outages=own_outages)
    random, evidence = Random(pick(st.integers(0, 10_000))), Evidence(design)
    for _ in range(pick(st.integers(0, 6))):
        opened = pick(st.sets(st.integers(0, design.factors - 1)))
        evidence.add(draw(design, opened, size, random), pick(st.tuples(*[OUTCOMES] * size)))
    return design, evidence, draw(design, range(design.factors), size, random), pick(st.tuples(*[OUTCOMES] * size))


def wins(evidence: Evidence, block: Block, outcomes: tuple[bool | None, ...], factor: int) -> tuple[float, float]:
    """What adding the block multiplies both bets on a factor by."""
    after = deepcopy(evidence)
    after.add(block, outcomes)
    alone = after.ln_e_alone(factor) - evidence.ln_e_alone(factor)
    return exp(alone), exp(after.ln_e_learned(factor) - evidence.ln_e_learned(factor))


@settings(max_examples=150, deadline=None)
@given(histories(), st.data())
def test_no_outcomes_make_a_bet_on_a_factor_without_effect_pay(
    history: tuple[Design, Evidence, Block, tuple[bool | None, ...]], data: st.DataObject
) -> None:
    """Whoever chooses the outcomes knows the past, the moment and all other factors, but not the draw of this one."""
    design, evidence, block, outcomes = history
    factor = data.draw(st.integers(0, design.factors - 1))
    could = [with_column(block, factor, column) for column in placements(block, factor, own_outages=False)]
    means = [
        sum(win) / len(could) for win in zip(*(wins(evidence, each, outcomes, factor) for each in could), strict=True)
    ]
    assert means == pytest.approx([1.0, 1.0])


@settings(max_examples=100, deadline=None)
@given(histories(own_outages=(0,)))
def test_no_outages_of_two_that_serve_a_factor_make_a_bet_on_it_pay_if_they_could_change_places(
    history: tuple[Design, Evidence, Block, tuple[bool | None, ...]],
) -> None:
    _, evidence, block, outcomes = history
    other = with_column(block, 0, block.column(0) ^ (1 << len(outcomes)) - 1)
    both = zip(wins(evidence, block, outcomes, 0), wins(evidence, other, outcomes, 0), strict=True)
    assert [sum(win) / 2 for win in both] == pytest.approx([1.0, 1.0])


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 999), st.data())
def test_the_order_of_the_factors_changes_nothing(order: list[int], seed: int, data: st.DataObject) -> None:
    design, random = Design(4), Random(seed)
    evidence, reordered = Evidence(design), Evidence(design)
    for _ in range(5):
        block, outcomes = draw(design, range(4), 4, random), data.draw(st.tuples(*[OUTCOMES] * 4))
        evidence.add(block, outcomes)
        configs = tuple(tuple(config[factor] for factor in order) for config in block.configs)
        reordered.add(Block(configs, tuple(range(4))), outcomes)
    for at, factor in enumerate(order):
        assert reordered.ln_e(at) == pytest.approx(evidence.ln_e(factor))
    probabilities = evidence.probabilities()
    for cause, probability in reordered.probabilities().items():
        factors = () if cause is None else tuple(sorted(order[at] for at in cause.factors))
        named = None if cause is None else Cause(cause.kind, factors)
        assert probability == pytest.approx(probabilities[named])


def test_evidence_is_the_likelihood_of_the_draw_over_its_mean() -> None:
    """Two requests, of which the one as reported failed: twice its likelihood over that of both placements."""
    evidence = Evidence(Design(1, block=2))
    evidence.add(Block(((True,), (False,)), (0,)), (True, False))
    here, there = likelihoods(2, 0b01, 0b10)[0b01], likelihoods(2, 0b01, 0b10)[0b10]
    ratios = [2 * a / (a + b) for a, b in zip(here, there, strict=True)]
    assert evidence.ln_e_alone(0) == pytest.approx(log(sum(ratios) / len(ratios)))
    assert 0 < evidence.ln_e_alone(0) < log(2)


def test_a_block_in_which_all_fail_or_all_pass_says_nothing_of_a_single_factor() -> None:
    evidence, random = Evidence(Design(3)), Random(1)
    before = evidence.probabilities()
    for failed in (True, False, None):
        evidence.add(draw(Design(3), range(3), 4, random), (failed,) * 4)
    assert evidence.ln_e_alone(0) == pytest.approx(0.0)
    pairs_aside = [cause for cause in before if cause is None or cause.kind == "factor"]
    after = evidence.probabilities()
    odds = [after[cause] / after[None] for cause in pairs_aside]
    assert odds == pytest.approx([before[cause] / before[None] for cause in pairs_aside])


def test_causes_that_cannot_be_told_apart_are_one() -> None:
    tools_and_result = Design(2, linked=(((0, False), (1, True)),))
    assert set(causes(tools_and_result)) == {Cause("factor", (0,)), Cause("factor", (1,))}
    exclusive = Design(2, linked=(((0, False), (1, False)),))
    assert set(causes(exclusive)) == {Cause("factor", (0,)), Cause("factor", (1,)), Cause("pair", (0, 1))}


def test_the_draw_gives_every_half_equally_often() -> None:
    design, random = Design(2), Random(3)
    columns = [draw(design, (0, 1), 4, random).column(1) for _ in range(6_000)]
    assert set(columns) == set(subsets(4, 2))
    for column in subsets(4, 2):
        assert columns.count(column) == pytest.approx(1_000, rel=0.15)


def test_an_odd_block_gives_either_level_one_more_equally_often() -> None:
    random = Random(4)
    columns = [draw(Design(1, block=3), (0,), 3, random).column(0) for _ in range(6_000)]
    assert {column: columns.count(column) for column in range(1, 7)} == {
        column: pytest.approx(1_000, rel=0.15) for column in range(1, 7)
    }
