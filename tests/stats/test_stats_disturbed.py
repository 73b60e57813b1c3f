"""Promises of verdicts about runs that this machine disturbed: they are set apart, said, and count nowhere."""

from __future__ import annotations

from kmon.output.experiment import Design, Experiment
from kmon.output.summary import totals
from kmon.output.verdict_text import verdict_lines
from kmon.stats.alerts import AlertMonitor, AlertThresholds
from kmon.stats.compare import compare
from kmon.stats.health import HealthCounter, health_words
from kmon.stats.outcome import classify
from kmon.stats.thresholds import Thresholds, decide
from kmon.stats.trial import trial_of
from kmon.stream import events as ev
from kmon.stream.stall import Stall
from kmon.stream.target_events import Alert, TargetHealth
from kmon.stream.view import RaceView
from kmon.tui.bars import status
from kmon.tui.status_text import StatusText
from tests.support.ended import ended, scenario
from tests.support.racing import ASK, plan, target

TOKYO = scenario("tool-result")
LATE = {"signature": "kmon-late", "evidence": "1 silence of 60.0 s made by this machine", "max_gap_ms": 60_000.0}


def disturbed(**changes: object) -> ev.RunEnded:
    return ended(**{**LATE, "ttft_ms": 59_000.0, **changes})


def test_it_is_neither_a_pass_nor_a_failure_however_it_ended() -> None:
    for state in ("done", "timed-out"):
        outcome = classify(disturbed(state=state), TOKYO)
        assert (outcome.name, outcome.counted, outcome.passed) == ("disturbed", False, False)
        assert "disturbed by this machine" in outcome.sentence


def test_it_is_in_no_rate_no_percentile_and_no_threshold_and_is_said_beside_them() -> None:
    results = [*(ended(round=n) for n in range(1, 6)), disturbed(round=6), disturbed(round=7, state="timed-out")]
    trials = [trial_of(result, TOKYO) for result in results]
    verdict = compare(trials, [], [TOKYO])
    (arm,) = verdict.arms
    assert (arm.n, arm.passes, arm.disturbed, arm.failures) == (5, 5, 2, {})
    assert [p.n for p in (*arm.ttft_s, *arm.max_gap_s, *arm.duration_s)] == [5] * 9
    limits = Thresholds(fail_under=0.5, max_stall_s=1.0, max_ttft_s=1.0)
    assert {result.decision for result in decide(limits, verdict.arms, trials)} == {"met"}
    assert "2 disturbed by this machine (not counted)" in "\n".join(line.text for line in verdict_lines(verdict))
    assert verdict.conclusion.endswith("; 2 runs disturbed by this machine left out")


def test_of_a_run_that_counts_only_the_gaps_of_others_are_held_against_a_threshold() -> None:
    partly = ended(signature="stall-resumed", max_gap_ms=60_000.0, others_gap_ms=6_000.0)
    trial = trial_of(partly, TOKYO)
    assert (trial.max_gap_s, trial.counted) == (6.0, True)
    verdict = compare([trial], [], [TOKYO])
    for limit_s, decision in ((10, "met"), (5, "missed")):
        (result,) = decide(Thresholds(max_stall_s=limit_s), verdict.arms, [trial])
        assert result.decision == decision


def test_a_test_of_passes_and_disturbed_runs_is_passed_and_one_of_nothing_else_is_not() -> None:
    for results, code in (((ended(), disturbed()), 0), ((disturbed(),), 1), ((ended(), ended(state="failed")), 1)):
        experiment = Experiment(plan(target("http://x")), Design())
        for result in results:
            experiment.trials.append(trial_of(result, TOKYO))
        assert experiment.exit_code(RaceView()) == code
    assert ASK.name


def test_the_totals_leave_it_out_and_say_how_many_there_were() -> None:
    own = Stall("mid-text", 400.0, 60_000.0, True, own=True)
    said = totals([ended(), ended(state="failed"), disturbed(stalls=(own,)), disturbed(state="timed-out")])
    assert said == (
        "1 of 2 runs ended well; 0 stalls, the longest silence 0.1 s (bedrock/kimi-k2.5, tool-result); "
        "2 runs disturbed by this machine, counted apart"
    )


def attempt_ended(number: int, state: ev.Ending, signature: str | None = None) -> ev.AttemptEnded:
    return ev.AttemptEnded(number, f"r{number}", 1, "first", state, signature, chunks=9)


def test_health_counts_it_apart_and_no_alert_comes_of_it() -> None:
    monitor = AlertMonitor(AlertThresholds(failures=2))
    told: list[ev.Event] = []
    for number in range(1, 12):
        monitor.follow(f"r{number}", "t")
        late = number != 4
        event = attempt_ended(number, "timed-out" if late else "done", "kmon-late" if late else None)
        told += monitor.watch(event)
    assert not any(isinstance(event, Alert) for event in told)
    health = told[-1]
    assert isinstance(health, TargetHealth)
    assert (health.streams, health.ok, health.consecutive_failures, health.disturbed) == (1, 1, 0, 10)
    assert health_words(health).endswith("; 10 more disturbed by this machine")


def test_a_failure_in_a_row_goes_on_over_a_disturbed_stream() -> None:
    streams = HealthCounter("t")
    for number, (state, name) in enumerate((("failed", "cut-mid-body"), ("done", "kmon-late"), ("failed", "x-y"))):
        health = streams.add(attempt_ended(number, state, name))  # type: ignore[arg-type]
    assert health is not None and (health.consecutive_failures, health.streams) == (2, 2)


def test_the_screen_says_how_many_there_are_and_no_more_once_one_is_tried_again() -> None:
    view = RaceView()
    view.apply(ev.RunQueued(0, "r1.1", "t", "l", "s", 1, "chat"))
    view.apply(ev.AttemptStarted(0, "r1.1", 1, "first", "http://x"))
    view.apply(disturbed(run="r1.1"))
    bar = "".join(span.text for span in status(StatusText(""), view, None, 120, ascii=False))
    assert "1 run disturbed by this machine" in bar
    view.apply(ev.AttemptStarted(0, "r1.1", 2, "retry", "http://x"))
    assert view.disturbed == 0
