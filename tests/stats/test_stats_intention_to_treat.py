"""Promises about runs that the user ended, and about limits: every run that was sent belongs to its target."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kmon.model import PassLimits, Scenario
from kmon.stats.outcome import classify
from kmon.stats.trial import trial_of
from kmon.stream.events import RunEnded
from kmon.stream.stall import Stall
from tests.support.ended import SCENARIOS, ended, scenario

TOKYO = replace(scenario("tool-result"), limits=PassLimits(max_gap_s=10, ttft_s=30))
UNLIMITED = replace(TOKYO, limits=PassLimits())
MID = Stall("mid-text", 500.0, 7_000.0, ended=False)


def cut(**changes: object) -> RunEnded:
    """A run that the user ended after it had begun to answer."""
    return ended(**{"state": "cancelled", "text": "It is", "finish_reason": None, **changes})


@pytest.mark.parametrize(
    ("result", "asked", "name"),
    [
        (cut(left_open_ms=14_200.0), TOKYO, "hang-mid-stream"),
        (cut(left_open_ms=9_900.0), TOKYO, "cut-short"),
        (cut(left_open_ms=31_000.0, ttft_ms=None), TOKYO, "timeout-before-first-token"),
        (cut(left_open_ms=29_000.0, ttft_ms=None), TOKYO, "cut-short"),
        (cut(left_open_ms=7_000.0, stalls=(MID,)), UNLIMITED, "hang-mid-stream"),
        (cut(left_open_ms=4_000.0), UNLIMITED, "cut-short"),
        (cut(left_open_ms=0.0, stalls=(replace(MID, own=True),)), UNLIMITED, "cut-short"),
        (cut(left_open_ms=7_000.0, stalls=(replace(MID, ended=True),)), UNLIMITED, "cut-short"),
        (cut(left_open_ms=1_000.0, mid_gap_ms=12_000.0), TOKYO, "stalled"),
        (cut(left_open_ms=1_000.0, ttft_ms=31_000.0), TOKYO, "slow-first-token"),
        (cut(max_gap_ms=None, ttft_ms=None, duration_ms=100.0), TOKYO, "cancelled"),
        (cut(max_gap_ms=None, ttft_ms=None, duration_ms=31_000.0), TOKYO, "connect-error"),
    ],
)
def test_a_run_that_the_user_ended(result: RunEnded, asked: Scenario, name: str) -> None:
    outcome = classify(result, asked)
    assert outcome.name == name
    assert ("cut short by you" in outcome.sentence) == (name != "cancelled")


@pytest.mark.parametrize(("late_ms", "gap_s"), [(0.0, 58.8), (400.0, 58.8), (21_000.0, 37.8), (90_000.0, 0.0)])
def test_the_gap_of_a_hang_is_without_the_time_that_kmon_stood_still(late_ms: float, gap_s: float) -> None:
    hang = ended(state="timed-out", stalls=(MID,), max_gap_ms=58_800.0, late_ms=late_ms)
    trial = trial_of(hang, TOKYO)
    assert (trial.outcome, trial.max_gap_s) == ("hang-mid-stream", pytest.approx(gap_s))


def test_its_sentence_says_the_silence_it_had() -> None:
    said = classify(cut(left_open_ms=14_200.0), TOKYO).sentence
    assert said.startswith("cut short by you after 14.2 s of silence; ")


def test_its_times_are_lower_bounds_whatever_it_is_called() -> None:
    for result in (cut(left_open_ms=14_200.0), cut(left_open_ms=1.0), cut(left_open_ms=1.0, mid_gap_ms=12_000.0)):
        trial = trial_of(result, TOKYO)
        whole = trial.whole()
        assert trial.cut_short and trial.stands and whole is not None and whole.censored
    never = trial_of(cut(max_gap_ms=None, ttft_ms=None), TOKYO)
    assert not never.cut_short and not never.stands


@pytest.mark.parametrize(
    ("limits", "changes", "name"),
    [
        (PassLimits(max_gap_s=10), {"mid_gap_ms": 12_000.0}, "stalled"),
        (PassLimits(max_gap_s=10), {"mid_gap_ms": 9_900.0}, "pass"),
        (PassLimits(max_gap_s=10), {"mid_gap_ms": 12_000.0, "late_ms": 3_000.0}, "pass"),
        (PassLimits(max_gap_s=10), {"ttft_ms": 12_000.0, "max_gap_ms": 12_000.0, "mid_gap_ms": 90.0}, "pass"),
        (PassLimits(ttft_s=30), {"ttft_ms": 30_500.0}, "slow-first-token"),
        (PassLimits(ttft_s=30), {"ttft_ms": 30_500.0, "late_ms": 1_000.0}, "pass"),
        (PassLimits(duration_s=60), {"duration_ms": 61_000.0}, "too-slow"),
        (PassLimits(duration_s=60), {"duration_ms": 61_000.0, "late_ms": 2_000.0}, "pass"),
        (PassLimits(), {"mid_gap_ms": 900_000.0, "ttft_ms": 900_000.0, "duration_ms": 2e6}, "pass"),
        (PassLimits(max_gap_s=10), {"mid_gap_ms": 12_000.0, "text": "warm"}, "wrong-answer"),
    ],
)
def test_a_right_answer_that_came_too_slowly_is_no_pass(
    limits: PassLimits, changes: dict[str, object], name: str
) -> None:
    assert classify(ended(**changes), replace(TOKYO, limits=limits)).name == name


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("content_filter", "content-filter"),
        ("SAFETY", "content-filter"),
        ("guardrail_intervened", "content-filter"),
        ("length", "cut-at-max-tokens"),
        ("MAX_TOKENS", "cut-at-max-tokens"),
        ("network_error", "in-stream-error"),
        ("stop", "pass"),
        (None, "pass"),
    ],
)
def test_an_answer_that_was_cut_or_withheld_is_no_pass(reason: str | None, name: str) -> None:
    assert classify(ended(finish_reason=reason), TOKYO).name == name


def test_a_wrong_answer_that_was_cut_is_wrong() -> None:
    assert classify(ended(finish_reason="length", text="warm"), TOKYO).name == "wrong-answer"


def test_every_built_in_scenario_limits_a_silence_in_the_answer_and_the_first_token() -> None:
    for name, built_in in SCENARIOS.items():
        assert 0 < built_in.limits.max_gap_s <= built_in.limits.ttft_s, name
