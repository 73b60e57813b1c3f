"""From recorded frames to what panes and status bar say: claim, diagnosis and contradiction of the stuck TUI."""

from __future__ import annotations

from kmon.openclaw.protocol.client_status import ClientStatus
from kmon.openclaw.protocol.tracker import Tracker
from kmon.openclaw.reporter import GatewayReporter
from kmon.stream import events as ev
from kmon.stream.sanitize import Sanitizer
from kmon.stream.state import derive
from kmon.stream.view import RaceView
from tests.support.gateway_recordings import needs_recordings, recorded

S = 1_000_000_000


def watched(name: str, run_id: str, session: str, until_s: int) -> tuple[RaceView, list[ev.Event]]:
    """A recording as a watching engine would tell it, up to a second."""
    tracker, claim, telling, translate = Tracker(), ClientStatus(session), GatewayReporter("r", 1), Sanitizer("r", 1)
    told: list[ev.Event] = [
        ev.RaceStarted(0, ("gateway",), "watch", 1),
        ev.RunQueued(0, "r", "gateway", "gateway/main", "watch", 1, "openclaw"),
        ev.AttemptStarted(0, "r", 1, "first", "ws://x"),
        ev.PhaseReached(0, "r", 1, "request_sent"),
    ]
    next_ns = S
    for t_ns, direction, frame in recorded(name):
        while next_ns < min(t_ns, (until_s + 1) * S):
            if run := tracker.runs.get(run_id):
                told += telling.changes(next_ns, tracker, run, claim)
            next_ns += S
        if t_ns > until_s * S:
            break
        for change in tracker.feed(t_ns, frame, direction):
            if change.delta is not None and change.run is not None and change.run.id == run_id:
                told.append(translate(t_ns, change.delta))
        claim.feed(t_ns, frame, direction)
        if run := tracker.runs.get(run_id):
            told += telling.changes(t_ns, tracker, run, claim)
    race = RaceView()
    for event in told:
        race.apply(event)
    return race, told


@needs_recordings
def test_the_stuck_tui_is_said_in_one_sentence() -> None:
    race, told = watched("openclaw-2026.2.17-ollama-slow.jsonl", "kmon-slow-5a29fd", "agent:main:kmon-slow", 35)
    seen = derive(race.runs["r"], 35 * S)
    assert seen.contradiction == "TUI says connected | idle; run 29fd open 35 s, last frame 35 s ago"
    assert seen.conclusion == "false idle (queued follow-up)"
    names = [event.name for event in told if isinstance(event, ev.Diagnosed)]
    assert names == ["cannot-tell", "queued-follow-up"]
    assert [event.claim for event in told if isinstance(event, ev.ClaimChanged)] == [
        "sending | gateway connected",
        "waiting | gateway connected",
        "running | gateway connected",
        "running | connected",
        "sending | connected",
        "waiting | connected",
        "connected | idle",
    ]


@needs_recordings
def test_a_diagnosis_is_taken_back_when_the_run_goes_on() -> None:
    _, told = watched("openclaw-2026.9.6-stall20.jsonl", next_run(), "agent:main:kmon-stall20", 60)
    names = [event.name for event in told if isinstance(event, ev.Diagnosed)]
    assert names == ["cannot-tell", ""]


def next_run() -> str:
    """The id of the run that the stall's recording is about."""
    tracker = Tracker()
    for t_ns, direction, frame in recorded("openclaw-2026.9.6-stall20.jsonl"):
        tracker.feed(t_ns, frame, direction)
    return next(iter(tracker.runs))
