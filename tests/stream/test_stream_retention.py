"""What stays of a run that ended: its figures for ever, what it said while there is room, then the end of it."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stream import attempt_view
from kmon.stream import events as ev
from kmon.stream.attempt_view import RAW_LIMIT_CHUNKS, AttemptView
from kmon.stream.claim import Claim
from kmon.stream.state import derive
from kmon.stream.timeline import MS, THIN_GAPS, THIN_STAMPS, S, Timeline
from kmon.stream.view import RaceView


def queued(race: RaceView, run: str, round: int = 1, target: str = "here") -> None:
    race.apply(ev.RunQueued(0, run, target, f"{target}/m", "code", round, "chat"))


def attempted(race: RaceView, run: str, *, pieces: int = 3, attempt: int = 1, at_s: float = 0.0) -> None:
    """An attempt that says ``pieces`` pieces of ten characters and ends."""
    t = int(at_s * S)
    race.apply(ev.AttemptStarted(t, run, attempt, "first" if attempt == 1 else "retry", "http://here"))
    race.apply(ev.PhaseReached(t, run, attempt, "request_sent"))
    for n in range(pieces):
        kind = "reasoning" if n < pieces // 2 else "text"
        race.apply(
            ev.DeltaArrived(t + (n + 1) * MS, run, attempt, kind, f"piece{n:04} ", raw=f"raw{n:04}")  # type: ignore[arg-type]
        )
    race.apply(ev.AttemptEnded(t + (pieces + 1) * MS, run, attempt, "first", "done"))


def ended(race: RaceView, run: str, state: ev.Ending = "done") -> None:
    race.apply(
        ev.RunEnded(
            S, run, "here", 1, state, None, "", None, 1.0, 1.0, (), 3, "words", "thoughts", (), "stop", None, "", {}
        )
    )


def main(race: RaceView, run: str) -> AttemptView:
    found = race.runs[run].main
    assert found is not None
    return found


def test_a_run_is_open_until_it_and_its_nudge_have_ended_and_again_when_it_is_tried_again() -> None:
    race = RaceView()
    queued(race, "r1")
    assert list(race.open) == ["r1"]
    attempted(race, "r1")
    race.apply(ev.AttemptStarted(S, "r1", 2, "nudge", "http://here"))
    ended(race, "r1")
    assert list(race.open) == ["r1"]
    race.apply(ev.AttemptEnded(2 * S, "r1", 2, "nudge", "done"))
    assert not race.open
    race.apply(ev.AttemptStarted(3 * S, "r1", 3, "retry", "http://here"))
    assert list(race.open) == ["r1"]


def test_a_run_whose_chat_program_still_shows_it_busy_goes_on_being_looked_at() -> None:
    race = RaceView()
    queued(race, "r1")
    race.apply(ev.AttemptStarted(0, "r1", 1, "first", "ws://here"))
    race.apply(ev.ClaimChanged(1, "r1", 1, "running | connected", shown=Claim("running", "connected", busy=True)))
    race.apply(ev.AttemptEnded(S, "r1", 1, "first", "done"))
    ended(race, "r1")
    assert derive(race.runs["r1"], 20 * S) != derive(race.runs["r1"], 30 * S)
    assert list(race.open) == ["r1"]
    race.apply(ev.ClaimChanged(31 * S, "r1", 1, "connected | idle"))
    assert not race.open
    assert derive(race.runs["r1"], 40 * S) == derive(race.runs["r1"], 400 * S)


def test_all_is_kept_in_fewer_pieces_while_there_is_room() -> None:
    race = RaceView()
    queued(race, "r1")
    attempted(race, "r1", pieces=100)
    said = [main(race, "r1").joined(kind) for kind in ("reasoning", "text")]
    raw = list(main(race, "r1").raw)
    ended(race, "r1")
    kept = main(race, "r1")
    assert [segment.kind for segment in kept.segments] == ["reasoning", "text"]
    assert [kept.joined(kind) for kind in ("reasoning", "text")] == said
    assert list(kept.raw) == raw
    assert (kept.segments_dropped, kept.raw_dropped) == (0, 0)


def test_past_the_limit_the_oldest_keep_the_end_of_what_they_said_and_every_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempt_view, "WHOLE_LIMIT_CHARS", 20_000)
    race = RaceView()
    for n in range(1, 5):
        queued(race, f"r{n}", n)
        attempted(race, f"r{n}", pieces=500)
        before = (main(race, "r1").timeline.max_gap_ns(S), main(race, "r1").timeline.chunk.ticks)
        ended(race, f"r{n}")
    oldest, newest = main(race, "r1"), main(race, "r4")
    assert newest.segment_chars == 5_000
    assert sum(len(s.text) for s in oldest.segments) == oldest.segment_chars == attempt_view.SHORT_CHARS
    assert oldest.segments_dropped == 5_000 - attempt_view.SHORT_CHARS
    assert oldest.joined("text").endswith("piece0499 ")
    assert (len(oldest.raw), oldest.raw_dropped) == (attempt_view.SHORT_CHUNKS, 500 - attempt_view.SHORT_CHUNKS)
    assert (oldest.timeline.max_gap_ns(S), oldest.timeline.chunk.ticks) == before


def test_how_a_run_ended_is_kept_without_its_words() -> None:
    race = RaceView()
    queued(race, "r1")
    attempted(race, "r1")
    ended(race, "r1")
    (result,) = race.results
    assert (result.text, result.reasoning, result.tool_calls) == ("", "", ())
    assert (result.state, result.chunks, result.finish_reason) == ("done", 3, "stop")


def test_what_is_forgotten_is_no_longer_held_or_counted() -> None:
    race = RaceView()
    for n in (1, 2):
        queued(race, f"p{n}", n, f"t{n}")
        attempted(race, f"p{n}")
        ended(race, f"p{n}")
    race.apply(ev.RunForgotten(S, "p1"))
    assert list(race.runs) == ["p2"]
    assert race.arms == {("t2", "code"): 1}
    assert race.rounds == {2: 1}
    assert [attempts is race.runs["p2"].attempts for attempts, _ in race._retention._whole] == [True]


def test_a_chunk_that_comes_after_the_end_changes_nothing() -> None:
    race = RaceView()
    queued(race, "r1")
    attempted(race, "r1")
    ended(race, "r1")
    before = (main(race, "r1").segments, main(race, "r1").raw)
    race.apply(ev.DeltaArrived(5 * S, "r1", 1, "text", "late", raw="late"))
    assert (main(race, "r1").segments, main(race, "r1").raw) == before


def test_raw_chunks_past_the_limit_are_counted() -> None:
    race = RaceView()
    queued(race, "r1")
    attempted(race, "r1", pieces=RAW_LIMIT_CHUNKS + 7)
    assert main(race, "r1").raw_dropped == 7


def timeline(gaps_ms: list[int]) -> Timeline:
    line = Timeline(0, 5 * S)
    line.on_phase("request_sent", 0)
    t_ns = 0
    for gap_ms in gaps_ms:
        t_ns += gap_ms * MS
        line.on_chunk(t_ns, text=True)
    line.on_closed(t_ns)
    return line


@given(st.lists(st.integers(1, 3_000), min_size=THIN_STAMPS + 1, max_size=THIN_STAMPS + 40))
def test_thinned_stamps_keep_the_worst_gap_and_bound_what_is_held(gaps_ms: list[int]) -> None:
    line = timeline(gaps_ms)
    worst = max(line.gaps())[0]
    longest = line.max_gap_ns(line.t_closed or 0)
    line.thin()
    assert line.arrivals_ns == array("q")
    assert max(line.gaps())[0] == worst
    assert line.max_gap_ns(line.t_closed or 0) == longest
    assert line.worst_ns is not None and len(line.worst_ns) <= 2 * (THIN_GAPS + 2)


def test_the_sparkline_of_a_thinned_stream_shows_the_same_worst_gap_of_each_second() -> None:
    line = timeline([20] * 400 + [4_000] + [20] * 200 + [700] + [20] * 300)
    end_ns = line.t_closed or 0
    before = line.slices(end_ns, S, 120)
    line.thin()
    after = line.slices(end_ns, S, 120)
    shown = [(a or 0, b or 0) for a, b in zip(before, after, strict=True)]
    assert [gap is None for gap in before] == [gap is None for gap in after]
    assert all(abs(a - b) <= 20 * MS for a, b in shown)


def test_a_short_stream_is_not_thinned() -> None:
    line = timeline([20] * THIN_STAMPS)
    before = list(line.arrivals_ns)
    line.thin()
    assert list(line.arrivals_ns) == before
    assert line.worst_ns is None
