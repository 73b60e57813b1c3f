"""Promises about the evidence of an isolation: no bet can be won against a factor without effect."""

from __future__ import annotations

from copy import deepcopy
from math import exp
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmon.stats.isolation.blocks import Block, draw, placements, subsets
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
    means = [sum(win) / len(could) for win in zip(*(wins(evidence, each, outcomes, factor) for each in could))]
    assert means == pytest.approx([1.0, 1.0])


@settings(max_examples=100, deadline=None)
@given(histories(own_outages=(0,)))
def test_no_outages_of_two_that_serve_a_factor_make_a_bet_on_it_pay_if_they_could_change_places(
    history: tuple[Design, Evidence, Block, tuple[bool | None, ...]],
) -> None:
    _, evidence, block, outcomes = history
    other = with_column(block, 0, block.column(0) ^ (1 << len(outcomes)) - 1)
    means = [sum(win) / 2 for win in zip(wins(evidence, block, outcomes, 0), wins(evidence, other, outcomes, 0))]
    assert means == pytest.approx([1.0, 1.0])


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
