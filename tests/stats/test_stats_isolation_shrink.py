"""Promises about reducing a failing request: the smallest is found although it fails only sometimes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmon.stats.isolation.contest import Contest
from kmon.stats.isolation.shrink import Kept, Shrink, Shrunk, least_requests


def reduced(shrink: Shrink, fails: Callable[[Kept], bool | None]) -> Shrunk:
    while block := shrink.next_block():
        shrink.add([(kept, fails(kept)) for kept in block])
    result = shrink.result()
    assert result is not None
    return result


def caused_by(cause: tuple[int, ...], high: float, low: float, seed: int) -> Callable[[Kept], bool]:
    draw = Random(seed)
    return lambda kept: draw.random() < (high if all(kept[part] for part in cause) else low)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(3, 8), st.integers(8, 120), st.randoms(use_true_random=False), st.floats(0, 1))
def test_any_outcomes_end_within_the_budget(parts: int, block: int, most: int, draw: Random, share: float) -> None:
    shrink = Shrink(parts, 0.15, most, 1, block)
    sent = 0
    while requests := shrink.next_block():
        assert shrink.next_block() == requests
        assert len(requests) <= block
        assert all(len(kept) == parts for kept in requests)
        shrink.add([(kept, draw.choice((True, None)) if draw.random() < share else False) for kept in requests])
        sent += len(requests)
    result = shrink.result()
    assert result is not None
    assert sent == result.requests <= most
    assert set(result.kept) <= set(range(parts))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 24).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=4))))
def test_a_request_that_fails_every_time_is_reduced_to_its_cause(case: tuple[int, set[int]]) -> None:
    parts, cause = case
    result = reduced(Shrink(parts, 0.15, 2_000, 0), lambda kept: all(kept[part] for part in cause))
    assert result.kept == tuple(sorted(cause))
    assert result.outcome == ("smallest" if cause else "fails-without-parts")


@pytest.mark.parametrize(("parts", "cause", "high", "low"), [(8, (5,), 0.4, 0.02), (32, (3, 20), 0.8, 0.0)])
def test_a_flaky_request_is_reduced_to_its_cause(parts: int, cause: tuple[int, ...], high: float, low: float) -> None:
    right = 0
    for seed in range(20):
        result = reduced(Shrink(parts, 0.15, 400, seed), caused_by(cause, high, low, seed))
        right += (result.outcome, result.kept) == ("smallest", cause)
        assert result.rate.runs <= result.requests
    assert right >= 18


@pytest.mark.slow
@pytest.mark.parametrize("parts", [8, 32])
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("high", "low"), [(0.4, 0.02), (0.8, 0.0)])
def test_at_least_nineteen_of_twenty_end_right(parts: int, size: int, high: float, low: float) -> None:
    right = 0
    for seed in range(200):
        cause = tuple(sorted(Random(seed).sample(range(parts), size)))
        result = reduced(Shrink(parts, 0.15, 500, seed), caused_by(cause, high, low, seed))
        right += (result.outcome, result.kept) == ("smallest", cause)
    assert right >= 186  # 95 %, less what chance explains


def test_a_request_that_does_not_fail_is_told_so() -> None:
    assert reduced(Shrink(8, 0.15, 200, 0), lambda _: False).outcome == "does-not-fail"


def test_failures_that_stop_are_told_and_nothing_is_blamed_for_them() -> None:
    count = iter(range(400))
    fails = caused_by((2,), 0.8, 0.0, 1)
    assert reduced(Shrink(8, 0.15, 300, 1), lambda kept: next(count) < 12 and fails(kept)).outcome == "vanished"


def test_with_too_few_requests_the_smallest_so_far_still_has_the_cause() -> None:
    result = reduced(Shrink(32, 0.15, 40, 3), caused_by((9,), 0.8, 0.0, 3))
    assert result.outcome == "not-enough"
    assert 9 in result.kept


def test_a_quiet_time_is_no_evidence_against_a_candidate() -> None:
    """As many passes reject it while the whole request fails, and leave it open while the whole passes too."""
    failing_whole, quiet = Contest(1, 0.15, 0.4), Contest(1, 0.15, 0.4)
    failing_whole.add([[False] * 8], [True, False, True])
    quiet.add([[False] * 8], [False] * 5)
    assert failing_whole.decided and failing_whole.failing is None
    assert not quiet.decided


def test_an_outage_that_fails_everything_is_no_evidence_for_a_candidate() -> None:
    outage, alone = Contest(2, 0.15, 0.4), Contest(2, 0.15, 0.4)
    for _ in range(3):
        outage.add([[True], [True]], [True, True])
        alone.add([[True], [False]], [True, True])
    assert not outage.decided
    assert alone.failing == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 0.15, 100, 1), "without parts"),
        ((4, 1.0, 100, 1), "between 0 and 1"),
        ((4, 0.15, 2, 1), "less than one block"),
        ((4, 0.15, 100, 1, 2), "a block has"),
    ],
)
def test_what_cannot_be_reduced_is_refused_in_a_sentence(arguments: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Shrink(*arguments)


def test_a_strange_result_is_refused() -> None:
    shrink = Shrink(3, 0.15, 100, 1)
    with pytest.raises(ValueError, match="not in the open block"):
        shrink.add([((True, True, True), True)])
    shrink.next_block()
    with pytest.raises(ValueError, match="not in the open block"):
        shrink.add([((False, False, False), True)])


@pytest.mark.parametrize("parts", [1, 5, 40])
@pytest.mark.parametrize("rate", [0.05, 0.15, 0.5])
def test_fewer_than_the_least_requests_answer_nothing(parts: int, rate: float) -> None:
    least = least_requests(parts, rate)
    worlds = (lambda _: False, lambda kept: kept[0])
    enough = {reduced(Shrink(parts, rate, least + 3, 0), world).outcome for world in worlds}
    assert enough & {"does-not-fail", "smallest"}
    assert {reduced(Shrink(parts, rate, least - 1, 0), world).outcome for world in worlds} == {"not-enough"}


def test_the_smallest_so_far_never_grows() -> None:
    shrink, fails = Shrink(12, 0.15, 400, 1), caused_by((3, 7), 0.5, 0.02, 4)
    sizes = []
    while block := shrink.next_block():
        sizes.append(len(shrink.smallest))
        shrink.add([(kept, fails(kept)) for kept in block])
    assert sizes[0] == 12 and sizes == sorted(sizes, reverse=True) and shrink.smallest == (3, 7)
