"""Promises of the clock comparison: the true skew always lies within what is told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.doctor.clock import Reading, Skew, described, server_time_s, skew

seconds = st.floats(0, 30)


@given(st.floats(-1e5, 1e5), st.lists(st.tuples(seconds, seconds, st.floats(0, 1e6)), min_size=1, max_size=5))
def test_the_true_skew_lies_within_the_uncertainty(true_s: float, trips: list[tuple[float, float, float]]) -> None:
    readings = [
        Reading(math.floor(1e9 + at + there), 1e9 + at + true_s, 1e9 + at + there + back + true_s)
        for there, back, at in trips
    ]
    found = skew(readings)
    assert found is not None
    assert abs(found.ahead_s - true_s) <= found.uncertainty_s + 0.002


def test_a_second_reading_narrows_the_first() -> None:
    one, two = Reading(100.0, 100.9, 101.0), Reading(105.0, 105.0, 105.1)
    first, both = skew([one]), skew([one, two])
    assert first is not None and both is not None
    assert both.uncertainty_s < first.uncertainty_s


def test_readings_of_machines_that_disagree_widen_it() -> None:
    found = skew([Reading(100.0, 100.0, 100.1), Reading(100.0, 160.0, 160.1)])
    assert found is not None and found.uncertainty_s > 30


def test_words_say_which_way_and_how_sure() -> None:
    assert described(Skew(90.0, 0.6)) == "90.0 s ahead of the server's (± 0.6 s)"
    assert described(Skew(-90.0, 0.6)) == "90.0 s behind the server's (± 0.6 s)"
    assert described(Skew(0.2, 0.6)) == "agrees with the server's (± 0.6 s)"


@pytest.mark.parametrize("date", [None, "", "soon", "Thu, 99 Foo 2026 00:00:00 GMT", "\x00"])
def test_a_date_that_is_none_is_no_reading(date: str | None) -> None:
    assert server_time_s(date) is None


def test_a_date_header_is_read() -> None:
    assert server_time_s("Thu, 01 Jan 1970 00:01:40 GMT") == 100.0
