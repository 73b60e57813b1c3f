"""Promises about alerts: raised at the thresholds of the field report, once, and never on too little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.alerts import STREAMS_NEEDED, AlertMonitor, AlertThresholds
from kmon.stream.events import AttemptEnded, AttemptStarted, RunQueued
from kmon.stream.target_events import Alert, TargetHealth

OFF = AlertThresholds(success_rate=0, failures=0, chunks=0)


def alerts_of(outcomes: str, thresholds: AlertThresholds, *, chunks: int = 100, target: str = "t") -> list[Alert]:
    """The alerts of a race in which streams end well (``+``) or break (``-``), one after the other."""
    monitor, found = AlertMonitor(thresholds), []
    for number, outcome in enumerate(outcomes):
        run = f"r{number}"
        list(monitor.watch(RunQueued(0, run, target, "p/m", "code", number, "chat")))
        state = "done" if outcome == "+" else "failed"
        told = list(monitor.watch(AttemptEnded(number, run, 1, "first", state, chunks=chunks)))  # type: ignore[arg-type]
        assert isinstance(told[0], TargetHealth)
        found += [event for event in told if isinstance(event, Alert)]
    return found


def test_five_failures_in_a_row_alert_once_and_again_only_after_a_good_stream() -> None:
    rule = AlertThresholds(success_rate=0)
    assert alerts_of("----", rule) == []
    first, second = alerts_of("-------+-----", rule)
    assert (first.t_ns, first.rule, first.figure, first.threshold, first.streams) == (
        4,
        "consecutive-failures",
        5,
        5,
        5,
    )
    assert first.sentence == "t: 5 streams in a row failed, most often failed"
    assert second.t_ns == 12


def test_the_success_rate_is_judged_once_one_failure_alone_could_not_break_it() -> None:
    rule = AlertThresholds(failures=0)
    assert rule.rate_needs == 20
    assert alerts_of("-" * 19, rule) == []
    assert alerts_of("+" * 19 + "-", rule) == []  # 19 of 20 is 95 %
    (alert,) = alerts_of("+" * 19 + "--" + "+" * 5, rule)
    assert (alert.rule, alert.streams, alert.threshold) == ("success-rate", 21, 0.95)
    assert alert.sentence == "t: only 90.5 % of 21 streams ended well (alert below 95 %)"


def test_a_rate_that_recovers_and_falls_again_alerts_again() -> None:
    alerts = alerts_of("--" + "+" * 38 + "-", AlertThresholds(failures=0))
    assert [alert.streams for alert in alerts] == [20, 41]


def test_short_answers_alert_once_there_are_enough_to_average() -> None:
    rule = AlertThresholds(success_rate=0, failures=0)
    assert alerts_of("+" * (STREAMS_NEEDED - 1), rule, chunks=2) == []
    assert alerts_of("+" * 20, rule, chunks=3) == []
    (alert,) = alerts_of("+" * 20, rule, chunks=2)
    assert (alert.rule, alert.figure, alert.threshold, alert.streams) == ("chunks-per-stream", 2.0, 3.0, STREAMS_NEEDED)
    assert alert.sentence == "t: 2.0 chunks per stream on average of 5 (alert below 3): answers are held back"


@pytest.mark.parametrize(("rate", "needed"), [(0.5, 2), (0.9, 10), (0.95, 20), (0.99, 100), (1.0, 100)])
def test_a_stricter_rate_needs_more_streams(rate: float, needed: int) -> None:
    assert AlertThresholds(success_rate=rate).rate_needs == needed


@given(st.text("+-", max_size=60), st.integers(0, 5))
def test_zero_turns_every_rule_off(outcomes: str, chunks: int) -> None:
    assert alerts_of(outcomes, OFF, chunks=chunks) == []


@given(st.text("+-", max_size=80), st.integers(1, 6))
def test_there_is_one_alert_per_row_of_failures_that_is_long_enough(outcomes: str, limit: int) -> None:
    alerts = alerts_of(outcomes, AlertThresholds(success_rate=0, failures=limit))
    assert len(alerts) == sum(len(row) >= limit for row in outcomes.split("+"))


def test_one_target_does_not_alert_for_another() -> None:
    monitor, found = AlertMonitor(AlertThresholds(success_rate=0, failures=2)), []
    for run, target in (("a", "together"), ("b", "groq")):
        list(monitor.watch(RunQueued(0, run, target, "p/m", "code", 1, "chat")))
    for run in ("a", "b", "a"):
        found += list(monitor.watch(AttemptEnded(0, run, 1, "first", "failed")))
    assert [event.target for event in found if isinstance(event, Alert)] == ["together"]


def test_an_attempt_after_a_fallback_counts_for_the_target_it_asked() -> None:
    monitor = AlertMonitor(OFF)
    told: list[TargetHealth | Alert] = []
    for event in (
        RunQueued(0, "r", "own", "p/m", "code", 1, "chat"),
        AttemptStarted(0, "r", 1, "first", "http://x"),
        AttemptEnded(1, "r", 1, "first", "failed"),
        AttemptStarted(2, "r", 2, "fallback", "http://y", target="other"),
        AttemptEnded(3, "r", 2, "fallback", "done", chunks=7),
        AttemptStarted(4, "r", 3, "retry", "http://x"),
        AttemptEnded(5, "r", 3, "retry", "done", chunks=9),
    ):
        told += monitor.watch(event)
    healths = [(event.target, event.streams, event.ok) for event in told if isinstance(event, TargetHealth)]
    assert healths == [("own", 1, 0), ("other", 1, 1), ("own", 2, 1)]
