"""Promises of the one place that says streaming, stalled, idle: every state, its claim, and their contradiction."""

import pytest

from kmon.stream import events as ev
from kmon.stream.state import derive
from kmon.stream.timeline import S
from kmon.stream.view import RaceView, RunView

START = ev.RaceStarted(0, ("t",), "code", 1)
QUEUED = ev.RunQueued(0, "r", "t", "p/m", "code", 1, "chat")
BEGUN = ev.AttemptStarted(0, "r", 1, "first", "http://x")
SENT = ev.PhaseReached(1 * S, "r", 1, "request_sent")
HEADERS = ev.HeadersReceived(2 * S, "r", 1, 200, {})


def word(at_s: float, attempt: int = 1) -> ev.DeltaArrived:
    return ev.DeltaArrived(int(at_s * S), "r", attempt, "text", "word ")


def comment(at_s: float) -> ev.DeltaArrived:
    return ev.DeltaArrived(int(at_s * S), "r", 1, "keepalive", "", chunk=False)


def after(*events: ev.Event) -> RunView:
    race = RaceView()
    for event in (START, QUEUED, *events):
        race.apply(event)
    return race.runs["r"]


@pytest.mark.parametrize(
    ("events", "now_s", "state", "claim"),
    [
        ((), 0, "queued", "idle"),
        ((BEGUN,), 0.5, "connecting", "connecting"),
        ((BEGUN, SENT), 1.5, "waiting", "connecting"),
        ((BEGUN, SENT, HEADERS), 3, "waiting", "streaming"),
        ((BEGUN, SENT, HEADERS, word(3)), 4, "streaming", "streaming"),
        ((BEGUN, SENT, HEADERS, word(3)), 8.5, "stalled", "streaming"),
        ((BEGUN, SENT), 6.5, "stalled", "connecting"),
        ((BEGUN, SENT, HEADERS, word(3), word(9)), 9.5, "streaming", "streaming"),
        (
            (BEGUN, SENT, HEADERS, word(3), ev.DeltaArrived(4 * S, "r", 1, "finish", "", finish_reason="stop")),
            4.5,
            "finishing",
            "streaming",
        ),
        ((BEGUN, SENT, HEADERS, word(3), ev.AttemptEnded(4 * S, "r", 1, "first", "done")), 99, "done", "idle"),
        ((BEGUN, SENT, HEADERS, ev.AttemptEnded(4 * S, "r", 1, "first", "incomplete")), 99, "incomplete", "idle"),
        ((BEGUN, SENT, ev.AttemptEnded(4 * S, "r", 1, "first", "failed")), 99, "failed", "error"),
    ],
)
def test_every_state_and_what_a_client_would_claim(
    events: tuple[ev.Event, ...], now_s: float, state: str, claim: str
) -> None:
    seen = derive(after(*events), int(now_s * S))
    assert (seen.state, seen.claim) == (state, claim)


@pytest.mark.parametrize(
    ("events", "now_s", "words"),
    [
        ((BEGUN, SENT), 12, "claims connecting, silent 11.0 s (no response headers)"),
        ((BEGUN, SENT, HEADERS), 12, "claims streaming, silent 11.0 s (headers, then nothing)"),
        ((BEGUN, SENT, HEADERS, word(3)), 12, "claims streaming, silent 9.0 s (nothing at all)"),
        ((BEGUN, SENT, HEADERS, word(3), comment(11)), 12, "claims streaming, silent 9.0 s (keep-alives only)"),
        (
            (BEGUN, SENT, HEADERS, word(3), ev.DeltaArrived(11 * S, "r", 1, "other", "")),
            12,
            "claims streaming, silent 9.0 s (empty chunks only)",
        ),
        ((BEGUN, SENT, HEADERS, word(3)), 4, ""),
    ],
)
def test_the_contradiction_is_said_in_words_with_its_number(
    events: tuple[ev.Event, ...], now_s: float, words: str
) -> None:
    assert derive(after(*events), now_s * S).contradiction == words


def test_a_nudge_does_not_decide_the_state_of_its_run() -> None:
    nudge = ev.AttemptStarted(4 * S, "r", 2, "nudge", "http://x")
    run = after(BEGUN, SENT, HEADERS, word(3), nudge, ev.PhaseReached(4 * S, "r", 2, "request_sent"), word(9, 2))
    assert derive(run, 10 * S).state == "stalled"
    assert run.nudge is not None


def test_a_retry_decides_it_and_the_first_attempt_is_kept() -> None:
    ended = ev.AttemptEnded(4 * S, "r", 1, "first", "failed")
    run = after(BEGUN, SENT, ended, ev.AttemptStarted(5 * S, "r", 2, "retry", "http://x"))
    assert derive(run, 6 * S).state == "connecting"
    assert [attempt.ending for attempt in run.attempts] == ["failed", None]


def test_text_kept_per_attempt_is_bounded_and_what_was_let_go_is_counted() -> None:
    run = after(BEGUN, SENT, HEADERS)
    race = RaceView(runs={"r": run}, started=START)
    for i in range(50):
        race.apply(ev.DeltaArrived(3 * S + i, "r", 1, "text", "x" * 10_000))
    attempt = run.attempts[0]
    assert attempt.segment_chars <= 200_000
    assert attempt.segment_chars + attempt.segments_dropped == 500_000
