"""A watched chat program's line beside its run: the contradiction in words, and when there is none."""

import pytest

from kmon.stream import events as ev
from kmon.stream.claim import Claim
from kmon.stream.state import derive
from kmon.stream.timeline import S
from kmon.stream.view import RaceView, RunView

BEGUN = (
    ev.RaceStarted(0, ("gateway",), "watch", 1),
    ev.RunQueued(0, "r", "gateway", "gateway/main", "watch", 1, "openclaw"),
    ev.AttemptStarted(0, "r", 1, "first", "ws://x"),
    ev.PhaseReached(0, "r", 1, "request_sent"),
)
FRAME = ev.DeltaArrived(8 * S, "r", 1, "other", "")
FALSE_IDLE = ev.Diagnosed(9 * S, "r", 1, "queued-follow-up", "message b52b waits")


def claims(at_s: float, line: str) -> ev.ClaimChanged:
    first, second = line.split(" | ")
    shown = Claim(second, first) if first == "connected" else Claim(first, second, busy=True)
    return ev.ClaimChanged(int(at_s * S), "r", 1, line, gateway_run="7f3a", opened_ns=0, shown=shown)


def after(*events: ev.Event) -> RunView:
    race = RaceView()
    for event in (*BEGUN, *events):
        race.apply(event)
    return race.runs["r"]


@pytest.mark.parametrize(
    ("events", "now_s", "words"),
    [
        (
            (claims(0.1, "running | connected"), FRAME, claims(8.1, "connected | idle"), FALSE_IDLE),
            41,
            "TUI says connected | idle; run 7f3a open 41 s, last frame 33 s ago -> false idle (queued follow-up)",
        ),
        (
            (FRAME, claims(8.1, "connected | error"), ev.Diagnosed(9 * S, "r", 1, "chat-link-lost", "x")),
            20,
            "TUI says connected | error; run 7f3a open 20 s, last frame 12 s ago -> false error (chat link lost)",
        ),
        (
            (claims(0.1, "running | connected"), FRAME),
            41.1,
            "TUI says running • 41s | connected; run 7f3a open 41 s, last frame 33 s ago -> silent",
        ),
        (
            (claims(1, "streaming | connected"), FRAME, ev.AttemptEnded(9 * S, "r", 1, "first", "done")),
            21,
            "TUI says streaming • 20s | connected; run 7f3a ended 12 s ago -> false busy",
        ),
        ((claims(8, "connected | idle"), FRAME), 10, ""),
        ((claims(0.1, "running | connected"), FRAME, ev.DeltaArrived(9 * S, "r", 1, "text", "hi")), 10, ""),
        ((claims(1, "connected | idle"), ev.AttemptEnded(1 * S, "r", 1, "first", "done")), 60, ""),
    ],
)
def test_the_contradiction_names_both_sides_and_what_it_is(
    events: tuple[ev.Event, ...], now_s: float, words: str
) -> None:
    seen = derive(after(*events), int(now_s * S))
    assert " -> ".join(part for part in (seen.contradiction, seen.conclusion) if part) == words


def test_a_busy_line_counts_its_seconds_on_the_panes() -> None:
    run = after(claims(1, "running | connected"), claims(2, "running | connected"))
    assert derive(run, 42 * S).claim == "running • 41s | connected"
    assert derive(after(claims(1, "connected | idle")), 42 * S).claim == "connected | idle"


def test_events_without_the_new_members_still_fold() -> None:
    assert derive(after(ev.ClaimChanged(1 * S, "r", 1, "odd")), 2 * S).claim == "odd"
