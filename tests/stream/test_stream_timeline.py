"""Promises of the three clocks: what counts as a gap, what as a stall, and what the sparkline shows of them."""

from hypothesis import given
from hypothesis import strategies as st

from kmon.stream.others_gaps import mid_gap_ns
from kmon.stream.timeline import MS, S, Timeline


def timeline(stall_s: float = 5.0) -> Timeline:
    line = Timeline(t_start=0, stall_ns=int(stall_s * S))
    line.on_phase("request_sent", 1 * S)
    return line


def text(line: Timeline, at_s: float) -> None:
    line.on_chunk(int(at_s * S), text=True)


def test_the_wait_for_the_first_token_is_ttft_and_not_a_gap() -> None:
    line = timeline()
    text(line, 3.0)
    text(line, 3.5)
    assert line.ttft_ns() == 2 * S
    assert line.max_gap_ns(int(3.5 * S)) == S // 2


def test_a_wait_for_the_first_token_that_was_a_stall_is_also_the_longest_gap() -> None:
    line = timeline()
    text(line, 8.0)
    text(line, 8.1)
    assert line.max_gap_ns(int(8.1 * S)) == 7 * S


def test_the_open_gap_counts_before_it_ends() -> None:
    line = timeline()
    text(line, 2.0)
    assert line.open_gap_ns(9 * S) == 7 * S
    assert line.max_gap_ns(9 * S) == 7 * S


def test_a_stream_that_never_began_has_its_whole_silence_as_gap() -> None:
    line = timeline()
    left_open = line.on_closed(21 * S)
    assert line.max_gap_ns(21 * S) == 20 * S
    assert left_open is not None
    assert (left_open.phase, left_open.ended, left_open.duration_ms) == ("before-first-token", False, 20_000)


def test_keepalives_and_empty_chunks_are_life_not_progress() -> None:
    line = timeline()
    text(line, 2.0)
    line.on_keepalive(4 * S)
    line.on_chunk(6 * S)
    assert line.open_gap_ns(8 * S) == 6 * S
    assert line.byte.open_ns(8 * S) == 2 * S
    assert line.chunk.open_ns(8 * S) == 2 * S


def test_a_stall_is_recorded_with_the_phase_it_interrupted() -> None:
    line = timeline()
    line.on_chunk(2 * S, reasoning=True)
    stall = line.on_chunk(9 * S, text=True)
    assert stall is not None
    assert (stall.phase, stall.start_ms, stall.duration_ms, stall.ended) == ("mid-reasoning", 2000, 7000, True)


def test_silence_before_the_finish_reason_is_a_gap_too() -> None:
    line = timeline()
    text(line, 2.0)
    stall = line.on_chunk(10 * S, finish=True)
    assert stall is not None
    assert stall.phase == "mid-text"
    assert line.max_gap_ns(11 * S) == 8 * S


def test_after_the_finish_reason_only_the_end_is_owed() -> None:
    line = timeline()
    text(line, 2.0)
    line.on_chunk(int(2.1 * S), finish=True)
    assert line.stall_phase() == "after-last-delta"
    assert line.max_gap_ns(30 * S) == S // 10
    line.on_chunk(int(2.2 * S), chunk=False, done=True)
    assert line.open_gap_ns(30 * S) is None


def test_the_sentinel_is_no_chunk() -> None:
    line = timeline()
    text(line, 2.0)
    line.on_chunk(3 * S, chunk=False, done=True)
    assert line.chunk.ticks == 1


def test_a_stall_climbs_from_column_to_column() -> None:
    line = timeline()
    text(line, 1.5)
    text(line, 5.25)
    columns = line.slices(int(5.25 * S), S, 5)
    assert columns == [S // 2, 3 * S // 2, 5 * S // 2, 7 * S // 2, 15 * S // 4]


def test_the_open_gap_grows_in_the_last_column() -> None:
    line = timeline()
    text(line, 1.5)
    early, late = line.slices(int(1.9 * S), S, 1), line.slices(int(1.95 * S), S, 1)
    assert early[0] is not None and late[0] is not None


def test_nothing_is_drawn_before_the_request_was_sent() -> None:
    assert Timeline(0, 5 * S).slices(10 * S, S, 3) == [None, None, None]


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=60), st.integers(1, 40))
def test_no_column_shows_more_than_the_worst_gap_and_the_worst_is_shown(gaps_ms: list[int], count: int) -> None:
    line = timeline()
    now_ns = 1 * S
    for gap_ms in gaps_ms:
        now_ns += gap_ms * MS
        line.on_chunk(now_ns, text=True)
    worst_ns = max(gaps_ms) * MS
    columns = line.slices(now_ns, S, 2000)
    shown = [column for column in columns if column is not None]
    assert max(shown) == worst_ns
    assert len(line.slices(now_ns, S, count)) == count
    assert all(0 <= (column or 0) <= worst_ns for column in line.slices(now_ns, S, count))


@given(st.lists(st.integers(0, 12_000), min_size=2, max_size=50))
def test_max_gap_is_the_longest_difference_between_progress(gaps_ms: list[int]) -> None:
    line = timeline()
    now_ns = 2 * S
    line.on_chunk(now_ns, text=True)
    for gap_ms in gaps_ms:
        now_ns += gap_ms * MS
        line.on_chunk(now_ns, text=True)
    assert line.max_gap_ns(now_ns) == max(gaps_ms) * MS
    assert len(line.stalls) == sum(gap_ms >= 5000 for gap_ms in gaps_ms)


def test_on_the_byte_clock_keep_alives_are_bytes_and_nothing_is_a_stall() -> None:
    line = Timeline(0, 5 * S)
    line.on_phase("request_sent", 0)
    line.watch_bytes(0)
    line.on_bytes(4 * S)
    line.on_keepalive(8 * S)
    line.on_chunk(12 * S)
    assert (line.silence_ns(13 * S), line.open_gap_ns(30 * S), line.max_gap_ns(13 * S)) == (1 * S, None, 4 * S)
    line.on_chunk(20 * S, text=True)
    line.on_closed(29 * S)
    assert (line.max_gap_ns(60 * S), line.stalls, line.silence_ns(60 * S)) == (9 * S, [], None)
    assert [gap_ns for gap_ns, _ in line.gaps()] == [4 * S, 4 * S, 8 * S]


def test_a_stall_that_is_open_when_the_byte_clock_takes_over_ends_there() -> None:
    line = Timeline(0, 5 * S)
    line.on_phase("request_sent", 0)
    stall = line.watch_bytes(7 * S)
    assert stall is not None and (stall.phase, stall.duration_ms) == ("before-first-token", 7_000)
    assert line.watch_bytes(20 * S) is None


def test_the_longest_gap_after_the_first_token_is_neither_the_wait_for_it_nor_this_machine_s() -> None:
    line = Timeline(0, 5 * S)
    line.is_own = lambda start_ns, end_ns, ended: start_ns == 20 * S
    line.on_phase("request_sent", 0)
    assert mid_gap_ns(line) is None
    for t_s in (12, 14, 20, 30):  # 12 s to the first token, and 10 s that this machine caused
        line.on_chunk(t_s * S, text=True)
    line.on_closed(33 * S)
    assert (mid_gap_ns(line), line.left_open_ns) == (6 * S, 3 * S)


def test_the_silence_in_which_an_attempt_was_closed_is_known_where_output_was_due() -> None:
    waiting, finished, unsent = Timeline(0, 5 * S), Timeline(0, 5 * S), Timeline(0, 5 * S)
    for line in (waiting, finished):
        line.on_phase("request_sent", 1 * S)
    finished.on_chunk(2 * S, text=True, finish=True)
    for line in (waiting, finished, unsent):
        line.on_closed(9 * S)
    assert (waiting.left_open_ns, finished.left_open_ns, unsent.left_open_ns) == (8 * S, None, None)
