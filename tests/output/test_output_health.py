"""Promises of lines and the closing table about alerts, health, learned thresholds and silences."""

from kmon.output.lines import line
from kmon.output.summary import health_lines
from kmon.stream import events as ev
from kmon.stream.target_events import Alert, ErrorCount, TargetHealth
from kmon.stream.timeline import S
from kmon.stream.view import RaceView


def folded(*events: ev.Event) -> RaceView:
    race = RaceView()
    for event in events:
        race.apply(event)
    return race


def begun(run: str) -> list[ev.Event]:
    return [
        ev.RunQueued(0, run, "t", "p/m", "code", 1, "chat"),
        ev.AttemptStarted(0, run, 1, "first", "http://x"),
        ev.PhaseReached(0, run, 1, "request_sent"),
        ev.DeltaArrived(S // 2, run, 1, "text", "word "),
    ]


def test_an_alert_is_a_line() -> None:
    alert = Alert(12 * S, "t", "chunks-per-stream", 2, 3, 5, "t: 2.0 chunks per stream")
    assert (
        line(alert, folded(ev.RaceStarted(0, ("t",), "code", 1), alert)) == "  12.00 s ALERT t: 2.0 chunks per stream"
    )


def test_a_stall_names_its_learned_threshold_and_what_became_of_such_silences() -> None:
    events = [event for number in range(20) for event in begun(f"r{number}")]
    events += [ev.DeltaArrived(9 * S, f"r{number}", 1, "text", "word ") for number in range(20)]
    started = ev.StallStarted(3 * S, "now", 1, "mid-text", 2_500.0, None, None, 1_840.0)
    learned = ev.StallThreshold(0, "now", 1, "mid-text", 1_840.0, 412)
    race = folded(ev.RaceStarted(0, ("t",), "code", 1, stall_learned=True), *events, *begun("now"), learned, started)
    words = line(started, race)
    assert words is not None
    assert words.endswith(
        "STALLED mid-text, silent for 2.5 s and counting; stall after 1.8 s mid-text (learned, 412 gaps); "
        "20 of 20 silences this long ended (100 %, 83-100 %)"
    )


def test_the_race_says_that_its_threshold_will_be_learned() -> None:
    started = ev.RaceStarted(0, ("t",), "code", 1, stall_learned=True)
    assert line(started, folded(started)) == "race: t; scenario code, 1 round, stall threshold 5 s until learned"


def test_the_health_closes_a_race_in_which_a_target_had_several_streams() -> None:
    alert = Alert(0, "groq", "consecutive-failures", 5, 5, 9, "groq: 5 streams in a row failed")
    one = TargetHealth(0, "together", 1, 1, 1.0, 0, 80.0, ())
    nine = TargetHealth(0, "groq", 9, 4, 4 / 9, 5, 61.5, (ErrorCount("rate-limited", 5),))
    assert health_lines(folded(one)) == []
    assert health_lines(folded(one, nine, alert, alert)) == [
        "",
        "together  100 % of 1 stream ended well; 80.0 chunks per stream",
        "groq      44.4 % of 9 streams ended well; 61.5 chunks per stream; the last 5 failed; 5 rate-limited",
        "ALERT groq: 5 streams in a row failed",
    ]
