"""Promises about a target's health: what counts as a stream, and figures that a count by hand gives as well."""

from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import StreamError
from kmon.format import percentage
from kmon.stats.health import HealthCounter, health_words
from kmon.stream.events import AttemptEnded, Ending
from kmon.stream.target_events import ErrorCount, TargetHealth

ENDINGS: list[Ending] = ["done", "incomplete", "failed", "timed-out", "cancelled"]


def ended(state: Ending, *, signature: str | None = None, chunks: int = 0, role: str = "first") -> AttemptEnded:
    return AttemptEnded(7, "r", 1, role, state, signature, chunks=chunks)  # type: ignore[arg-type]


def health_after(*attempts: AttemptEnded) -> TargetHealth | None:
    streams, health = HealthCounter("together"), None
    for attempt in attempts:
        health = streams.add(attempt) or health
    return health


def test_a_health_has_the_figures_of_the_field_report() -> None:
    health = health_after(
        ended("done", chunks=100),
        ended("failed", signature="rate-limited"),
        ended("done", chunks=50),
        ended("timed-out", signature="hang-mid-stream", chunks=9),
        ended("incomplete", signature="hang-mid-stream", chunks=1),
    )
    errors = (ErrorCount("hang-mid-stream", 2), ErrorCount("rate-limited", 1))
    assert health == TargetHealth(7, "together", 5, 2, 0.4, 2, 75.0, errors)
    assert health_words(health) == (
        "40 % of 5 streams ended well; 75.0 chunks per stream; the last 2 failed; 2 hang-mid-stream, 1 rate-limited"
    )


def test_every_attempt_is_a_stream_a_retry_and_a_further_turn_too() -> None:
    health = health_after(ended("failed"), ended("done", role="retry"), ended("done", role="turn"))
    assert health is not None
    assert (health.streams, health.ok, health.consecutive_failures) == (3, 2, 0)


def test_nudges_cancelled_and_unsent_attempts_say_nothing_about_a_target() -> None:
    unsent = AttemptEnded(0, "r", 1, "first", "failed", error=StreamError("not-sent", "no such file"))
    assert health_after(ended("cancelled"), ended("failed", role="nudge"), unsent) is None


def test_the_length_of_broken_streams_is_no_length_of_streams() -> None:
    health = health_after(ended("failed", chunks=1000))
    assert health is not None
    assert health.chunks_per_stream is None
    assert "chunks" not in health_words(health)


def test_a_failure_without_a_signature_is_counted_by_its_state() -> None:
    health = health_after(ended("incomplete"))
    assert health is not None
    assert health.top_errors == (ErrorCount("incomplete", 1),)


def test_nearly_all_is_never_called_all() -> None:
    assert [percentage(share) for share in (1.0, 0.99999, 0.947, 0.5, 0.0)] == [
        "100 %",
        "99.9 %",
        "94.7 %",
        "50 %",
        "0 %",
    ]


@given(st.lists(st.tuples(st.sampled_from(ENDINGS), st.integers(0, 50)), max_size=40))
def test_the_fold_agrees_with_a_count_by_hand(attempts: list[tuple[Ending, int]]) -> None:
    health = health_after(*(ended(state, chunks=chunks) for state, chunks in attempts))
    counted = [(state, chunks) for state, chunks in attempts if state != "cancelled"]
    if health is None:
        assert not counted
        return
    good = [chunks for state, chunks in counted if state == "done"]
    row = 0
    while row < len(counted) and counted[len(counted) - 1 - row][0] != "done":
        row += 1
    assert (health.streams, health.ok, health.consecutive_failures) == (len(counted), len(good), row)
    assert health.success_rate == len(good) / len(counted)
    assert health.chunks_per_stream == (sum(good) / len(good) if good else None)
