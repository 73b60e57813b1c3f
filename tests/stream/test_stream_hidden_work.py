"""Hidden work: no output is due in it, so no silence is a stall unless keep-alives that came have stopped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmon.stream.clock import HiddenClock
from kmon.stream.timeline import MS, S, Timeline


def timeline() -> Timeline:
    """Asked at 1 s, with a threshold of 5 s."""
    line = Timeline(t_start=0, stall_ns=5 * S)
    line.on_phase("request_sent", 1 * S)
    return line


def working(line: Timeline, at_s: int) -> Timeline:
    line.on_hidden_work(at_s * S, "reasoning")
    line.on_chunk(at_s * S)
    return line


def test_a_silence_of_hidden_reasoning_is_no_stall_and_no_gap() -> None:
    line = working(timeline(), 2)
    assert (line.stall_phase(), line.open_gap_ns(90 * S), line.max_gap_ns(90 * S)) == (
        "mid-hidden-reasoning",
        None,
        None,
    )
    assert line.on_hidden_work(90 * S, "none") is None
    assert line.stall_phase() == "before-first-token"
    assert line.on_chunk(91 * S, text=True) is None
    assert line.on_chunk(92 * S, text=True) is None
    assert (line.stalls, line.max_gap_ns(92 * S)) == ([], 1 * S)


def test_the_same_silence_without_it_is_a_stall() -> None:
    line = timeline()
    line.on_chunk(2 * S)
    assert line.open_gap_ns(90 * S) == 89 * S
    assert line.on_chunk(91 * S, text=True) is not None


def test_hidden_work_between_two_pieces_of_output() -> None:
    line = timeline()
    line.on_chunk(2 * S, text=True)
    working(line, 4)
    line.on_hidden_work(60 * S, "none")
    line.on_chunk(63 * S, text=True)
    assert (line.stalls, line.max_gap_ns(63 * S)) == ([], 3 * S)
    assert list(line.gaps()) == [(2 * S, 2 * S), (3 * S, 60 * S)]
    shown = line.slices(63 * S, 1 * S, 70)
    assert max(gap or 0 for gap in shown) == 3 * S
    assert shown[20] == 0


def test_the_wait_after_it_is_a_stall_again() -> None:
    line = working(timeline(), 2)
    line.on_hidden_work(20 * S, "none")
    assert line.open_gap_ns(26 * S) == 6 * S
    stall = line.on_chunk(26 * S, text=True)
    assert stall is not None
    assert (stall.phase, stall.start_ms, stall.duration_ms) == ("before-first-token", 20_000, 6_000)


def test_the_beginning_of_work_ends_a_stall() -> None:
    line = timeline()
    stall = line.on_hidden_work(9 * S, "server-tool")
    assert stall is not None
    assert (stall.phase, stall.duration_ms, stall.ended) == ("before-first-token", 8_000, True)


def test_keepalives_that_stop_are_a_stall_and_those_that_go_on_are_none() -> None:
    line = working(timeline(), 2)
    for at_s in (5, 8, 11):
        assert line.on_keepalive(at_s * S) is None
    assert line.threshold_ns() == 8 * S, "the interval of the keep-alives, and the threshold"
    assert line.open_gap_ns(18 * S) == 7 * S < line.threshold_ns()
    stall = line.on_keepalive(20 * S)
    assert stall is not None
    assert (stall.phase, stall.start_ms, stall.duration_ms) == ("mid-hidden-reasoning", 11_000, 9_000)


def test_a_single_keepalive_and_news_of_the_work_promise_no_others() -> None:
    line = timeline()
    line.on_hidden_work(2 * S, "server-tool")
    line.on_keepalive(3 * S)
    for _ in range(3):
        line.on_chunk(3 * S)
    assert line.open_gap_ns(60 * S) is None


def test_keepalives_of_the_work_before_are_not_expected_in_the_next() -> None:
    line = working(timeline(), 2)
    line.on_keepalive(3 * S)
    line.on_keepalive(4 * S)
    line.on_hidden_work(5 * S, "none")
    working(line, 6)
    assert line.open_gap_ns(60 * S) is None


def test_the_end_of_the_answer_ends_the_work() -> None:
    line = working(timeline(), 2)
    line.on_chunk(30 * S, finish=True)
    assert (line.hidden.active, line.stall_phase(), line.tail_gap_ns) == (False, "after-last-delta", 0)
    assert line.open_gap_ns(37 * S) == 7 * S


def test_an_attempt_that_ends_in_hidden_work_has_no_stall() -> None:
    assert working(timeline(), 2).on_closed(60 * S) is None
    hung = working(timeline(), 2)
    hung.on_keepalive(3 * S)
    hung.on_keepalive(4 * S)
    left_open = hung.on_closed(60 * S)
    assert left_open is not None
    assert (left_open.phase, left_open.ended, left_open.duration_ms) == ("mid-hidden-reasoning", False, 56_000)


def test_a_thinned_timeline_keeps_the_longest_gap_beside_the_work() -> None:
    line = timeline()
    for number in range(200):
        line.on_chunk(2 * S + number * 10 * MS, text=True)
    working(line, 5)
    line.on_hidden_work(60 * S, "none")
    line.on_chunk(62 * S, text=True)
    line.on_closed(62 * S)
    line.thin()
    assert max(gap_ns for gap_ns, _ in line.gaps()) == 2 * S


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.integers(0, 50), st.integers(0, 50))
def test_what_is_outside_of_the_work_and_the_work_are_the_whole_interval(
    edges: list[int], start: int, length: int
) -> None:
    clock = HiddenClock()
    edges.sort()
    for since, until in zip(edges[::2], edges[1::2], strict=False):
        clock.begin(since, "reasoning")
        clock.end(until)
    worked = {t for since, until in clock.spans for t in range(since, until)}
    outside = {t for a, b in clock.outside(start, start + length) for t in range(a, b)}
    assert outside == set(range(start, start + length)) - worked
