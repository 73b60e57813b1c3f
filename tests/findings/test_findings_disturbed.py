"""Promises of runs that this machine disturbed: they have a name of their own, and teach, fail and alert nothing."""

from __future__ import annotations

import pytest

from kmon.blame.adaptive_threshold import LEAST_MULTIPLE, NEEDED, TargetGaps, ThresholdLearner
from kmon.blame.weigh import Silence, weigh
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.content import RequestFacts
from kmon.findings.signature import EndedAttempt, Signature, decide
from kmon.stream import events as ev
from kmon.stream.blame import Blame, Certainty, Party
from kmon.stream.others_gaps import others_gap_ns
from kmon.stream.timeline import MS, S, Timeline
from kmon.stream.view import RaceView

OWN = weigh(Silence(gap_ns=8 * S, stall_ns=5 * S, late_ns=7 * S)).blame
SUSPECTED = weigh(Silence(gap_ns=8 * S, stall_ns=5 * S, stopped_together=3)).blame
PROVIDERS = weigh(Silence(gap_ns=8 * S, stall_ns=5 * S, since_byte_ns=1 * S)).blame


def test_only_what_is_certain_is_this_machine_s_own() -> None:
    assert [(b.name, b.certainty, b.own) for b in (OWN, SUSPECTED, PROVIDERS)] == [
        ("us", "certain", True),
        ("us", "likely", False),
        ("provider", "certain", False),
    ]


@pytest.mark.parametrize(("name", "certainty"), [("client", "certain"), ("path", "likely"), ("unknown", "cannot tell")])
def test_nobody_else_s_silence_is(name: Party, certainty: Certainty) -> None:
    assert not Blame(name, certainty, "", "").own


def answered(*silences: tuple[int, bool], ending: ev.Ending = "done", text: str = "It is 22 degrees.") -> Signature:
    """The name of an answer with silences of so many seconds in it, own ones marked; the last is open if timed out."""
    own = iter([is_own for seconds, is_own in silences if seconds >= 1])
    line, said, seen = Timeline(0, 5 * S), Transcript(), ChunkStats()
    line.is_own = lambda start_ns, end_ns, ended: next(own)
    line.on_phase("request_sent", 0)
    line.on_phase("headers", 0)
    now_ns = 100 * MS
    line.on_chunk(now_ns, text=True)
    for number, (seconds, _) in enumerate(silences, 1):
        now_ns += seconds * S
        if ending == "done" or number < len(silences):
            line.on_chunk(now_ns, text=True)
    said.add(Delta(text=text))
    if ending == "done":
        said.add(Delta(finish_reason="stop", done=True))
        line.on_chunk(now_ns + 1, finish=True, done=True)
    line.on_closed(now_ns + 2)
    return decide(EndedAttempt(ending, line, RequestFacts("m"), said, seen, None, now_ns + 2))


def test_an_answer_with_silences_of_this_machine_alone_is_disturbed() -> None:
    name, evidence, _ = answered((8, True), (6, True))
    assert name == "kmon-late"
    assert evidence.startswith(
        "2 silences of 8.0, 6.0 s made by this machine, which did not read in time what had come"
    )


def test_one_of_the_provider_s_beside_them_keeps_its_name_and_own_ones_are_not_counted() -> None:
    name, evidence, _ = answered((9, True), (6, False), (8, True), (7, True))
    assert (name, evidence.partition(";")[0]) == ("stall-resumed", "longest silence 6.0 s, then it went on")


@pytest.mark.parametrize(("own", "name"), [(True, "kmon-late"), (False, "hang-mid-stream")])
def test_whose_the_open_silence_is_decides_what_a_timeout_is_called(own: bool, name: str) -> None:
    assert answered((8, own), ending="timed-out").name == name
    assert answered((8, not own), (9, own), ending="timed-out").name == name


def test_only_a_silence_up_to_the_timeout_says_that_the_socket_is_open() -> None:
    line = Timeline(0, 5 * S)
    line.on_phase("request_sent", 0)
    line.on_closed(9 * S)
    ended = EndedAttempt("timed-out", line, RequestFacts("m"), Transcript(), ChunkStats(), None, 9 * S)
    silent = decide(ended)
    assert (silent.name, silent.socket_open) == ("no-headers", True)
    assert silent.evidence == "socket open; request sent 9.0 s ago, no headers"
    assert not answered((8, False), ending="timed-out").socket_open  # its sentence is of another fact
    assert not answered((8, False), text="the socket open, said the page").socket_open


def test_what_an_answer_says_is_judged_all_the_same() -> None:
    assert answered((8, True), text="").name == "empty-answer"


def test_its_gaps_are_left_out_of_those_of_the_others() -> None:
    line = Timeline(0, 5 * S)
    line.is_own = lambda start_ns, end_ns, ended: end_ns - start_ns == 9 * S
    line.on_phase("request_sent", 0)
    for at_s in (1, 3, 12, 18):
        line.on_chunk(at_s * S, text=True)
    line.on_closed(20 * S)
    assert (line.max_gap_ns(20 * S), others_gap_ns(line)) == (9 * S, 6 * S)
    assert [stall.own for stall in line.stalls] == [True, False]


def test_a_silence_that_never_ended_and_was_this_machine_s_is_no_gap_of_the_others_either() -> None:
    line = Timeline(0, 5 * S)
    line.is_own = lambda *_: True
    line.on_phase("request_sent", 0)
    line.on_chunk(1 * S, text=True)
    line.on_chunk(1 * S + 400 * MS, text=True)
    line.on_closed(30 * S)
    assert others_gap_ns(line) == 400 * MS


def test_a_threshold_learns_nothing_from_this_machine_s_own_gaps() -> None:
    target_gaps = TargetGaps()
    line = Timeline(0, 5 * S)
    ThresholdLearner(target_gaps, "r", 1, line, lambda _: None)
    line.is_own = lambda start_ns, end_ns, ended: end_ns - start_ns > 1 * S
    line.on_phase("request_sent", 0)
    now_ns = 0
    for number in range(2 * NEEDED):
        now_ns += 4 * S if number % 2 else 500 * MS
        line.on_chunk(now_ns, text=True)
    assert target_gaps.threshold("mid-text") is None, "half of the gaps were its own, and the rest are one too few"
    line.on_chunk(now_ns + 500 * MS, text=True)
    assert target_gaps.threshold("mid-text") == (LEAST_MULTIPLE * 500 * MS, NEEDED)


@pytest.mark.parametrize(("whose", "own"), [(OWN, True), (SUSPECTED, False), (PROVIDERS, False)])
def test_the_screen_knows_it_from_the_events_and_expects_nothing_by_it(whose: Blame, own: bool) -> None:
    view = RaceView()
    for event in (
        ev.RunQueued(0, "r", "t", "l", "s", 1, "chat"),
        ev.AttemptStarted(0, "r", 1, "first", "http://x"),
        ev.PhaseReached(0, "r", 1, "request_sent"),
        ev.DeltaArrived(1 * S, "r", 1, "text", "a"),
        ev.StallStarted(6 * S, "r", 1, "mid-text", 5_000.0, blame=whose),
        ev.StallEnded(9 * S, "r", 1, "mid-text", 8_000.0, True, whose),
        ev.DeltaArrived(9 * S, "r", 1, "text", "b"),
        ev.StallStarted(14 * S, "r", 1, "mid-text", 5_000.0, blame=whose),
        ev.StallEnded(17 * S, "r", 1, "mid-text", 8_000.0, False, whose),
        ev.AttemptEnded(17 * S, "r", 1, "first", "failed"),
    ):
        view.apply(event)
    (attempt,) = view.runs["r"].attempts
    assert [stall.own for stall in attempt.timeline.stalls] == [own, own]
    known = view.gap_histories["t"].by_phase.get("mid-text")
    assert (set() if known is None else set(known.by_fate)) == (set() if own else {"ended", "never"})
