"""Promises about waits in a race that may stop itself: long silences of runs that pass, and of no others."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import log

import pytest
from msgspec.structs import replace

from kmon.stats.sequential_test import SequentialTest
from kmon.stats.sequential_waits import PairWaits, proven_waits
from kmon.stats.trial import Trial
from tests.support.ended import scenario
from tests.support.latency import GAPS_OF_THE_REPORT, timed
from tests.support.seed import target

TOGETHER, FIREWORKS = target("together", "kimi-k2"), target("fireworks", "kimi-k2")
CODE = scenario("code")


def watched(slow: list[Trial], quick: list[Trial]) -> SequentialTest:
    watch = SequentialTest([(TOGETHER, CODE), (FIREWORKS, CODE)])
    for first, second in zip(slow, quick, strict=True):
        watch.add(first)
        watch.add(second)
    return watch


def test_stalls_of_runs_that_pass_stop_a_watched_race() -> None:
    slow, quick = timed("together", GAPS_OF_THE_REPORT * 3), timed("fireworks", (0.1,) * 15)
    assert watched(slow[:5], quick[:5]).decided() is None
    decided = watched(slow, quick).decided()
    assert decided is not None
    assert decided.startswith(
        "among runs that passed, while the test ran, together stood still for 20 s in the median run, fireworks "
        "0.42 s: longer in 6 of 6 rounds. Chance alone hardly explains that (e = "
    )


def test_smooth_runs_decide_nothing() -> None:
    watch = watched(timed("together", (0.1,) * 40), timed("fireworks", (0.12,) * 40))
    assert watch.decided() is None
    assert watch.summary() == "nothing proven in 40 rounds: no evidence of a difference"


def test_a_difference_that_is_not_long_decides_nothing() -> None:
    assert watched(timed("together", (1.2,) * 40), timed("fireworks", (0.4,) * 40)).decided() is None


def test_runs_that_failed_are_not_compared_by_their_waits() -> None:
    failed = [replace(trial, outcome="stalled") for trial in timed("together", GAPS_OF_THE_REPORT * 3)]
    pair = PairWaits((failed[0].arm, timed("fireworks", (0.1,))[0].arm), {}, ())
    for slow, quick in zip(failed, timed("fireworks", (0.1,) * 15), strict=True):
        pair.add({slow.arm: slow, quick.arm: quick})
    assert pair.ln_e == 0 and not proven_waits([pair], log(20))[0]


@pytest.mark.parametrize("kind", ["independent", "spells"])
def test_equal_arms_are_seldom_told_apart_however_often_one_looks(kind: str) -> None:
    draw, decided = random.Random(5), 0

    def independent() -> list[float]:
        return [20.0 if draw.random() < 0.3 else 0.1 for _ in range(100)]

    def spells() -> list[float]:
        """Of three rounds, in a tenth of the time."""
        slow, series = False, []
        for _ in range(100):
            slow = draw.random() >= 1 / 3 if slow else draw.random() < 1 / 27
            series.append(20.0 * draw.uniform(0.8, 1.2) if slow else 0.1 * draw.uniform(0.8, 1.2))
        return series

    kinds: dict[str, Callable[[], list[float]]] = {"independent": independent, "spells": spells}
    for _ in range(100):
        first, second = kinds[kind](), kinds[kind]()
        decided += watched(timed("together", first), timed("fireworks", second)).decided() is not None
    assert decided <= 5
