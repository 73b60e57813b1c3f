"""Promises about when rounds begin: evenly over the time, out of step with the minute, and late ones are told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.engine.pacing import JITTER, Now, Pacer, offsets_s
from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.racing import good, plan, racing, target

S = 1_000_000_000


def at(monotonic_s: float, slept_s: float = 0.0) -> Now:
    return Now(int(monotonic_s * S), int((monotonic_s + slept_s + 1_000) * S))


@given(st.integers(1, 500), st.floats(1, 1e6), st.integers(0, 99))
def test_the_rounds_are_spread_evenly(rounds: int, over_s: float, seed: int) -> None:
    starts, between_s = offsets_s(rounds, over_s, seed), over_s / rounds
    assert len(starts) == rounds and starts[0] == 0
    assert all(abs(start - between_s * n) <= JITTER * between_s + 1e-6 for n, start in enumerate(starts))
    assert all(later - earlier >= between_s / 2 - 1e-6 for earlier, later in pairwise(starts))
    assert starts[-1] <= over_s


def test_the_seed_decides_the_jitter_and_there_is_some() -> None:
    assert offsets_s(60, 3_600, 1) == offsets_s(60, 3_600, 1) != offsets_s(60, 3_600, 2)
    seconds = {round(start % 60) for start in offsets_s(60, 3_600, 1)}
    assert len(seconds) > 15  # a round a minute does not meet the provider at the same second of each


def test_a_round_waits_for_its_time_from_the_first_on() -> None:
    pacer = Pacer(rounds=4, spacing_s=0, over_s=400, seed=3)
    starts = offsets_s(4, 400, 3)
    assert pacer.wait_s(0, 50 * S) == 0
    pacer.begin(0, at(50))
    for number in (1, 2, 3):
        assert pacer.wait_s(number, 60 * S) == pytest.approx(starts[number] - 10)
        assert pacer.begin(number, at(50 + starts[number])) == ""


def test_spacing_counts_from_the_round_before() -> None:
    pacer = Pacer(rounds=4, spacing_s=10, over_s=None, seed=3)
    assert pacer.wait_s(0, 0) == 0
    assert pacer.begin(0, at(5)) == ""
    assert pacer.wait_s(1, 7 * S) == pytest.approx(8)
    assert pacer.begin(1, at(100)) == ""
    assert pacer.wait_s(2, 103 * S) == pytest.approx(7)
    assert pacer.wait_s(2, 200 * S) == 0


def test_a_round_that_begins_late_is_told_with_the_reason() -> None:
    pacer = Pacer(rounds=3, spacing_s=0, over_s=300, seed=1)
    starts = offsets_s(3, 300, 1)
    pacer.begin(0, at(0))
    assert pacer.begin(1, at(starts[1] + 60)) == "round 2 begins 60 s later than planned: earlier runs were still open"
    slept = pacer.begin(2, at(starts[2], slept_s=7_200))
    assert slept == "round 3 begins 2 hours later than planned: this machine slept"
    assert pacer.begin(2, at(starts[2] + 1)) == ""


async def test_the_rounds_of_a_race_keep_their_distance_and_runs_know_when_they_began() -> None:
    async with serving(good) as url, racing(plan(target(url), rounds=4, over_s=1.2, first_round=11)) as race:
        await race.until(lambda event: isinstance(event, ev.RaceEnded))
        ends = [event for event in race.events if isinstance(event, ev.RunEnded)]
    starts = offsets_s(4, 1.2, None)
    assert [(end.run, end.round) for end in ends] == [(f"r{n}.1", n) for n in (11, 12, 13, 14)]
    assert all(end.started_ms / 1000 >= start - 0.02 for end, start in zip(ends, starts, strict=True))
