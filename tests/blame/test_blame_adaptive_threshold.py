"""Promises about learned thresholds: the rule, who learns from what, and one figure for engine and screen."""

import asyncio
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.blame.adaptive_threshold import (
    CEILING_NS,
    FLOOR_NS,
    MULTIPLE,
    NEEDED,
    SHARE,
    TOGETHER_NS,
    WINDOW,
    TargetGaps,
    ThresholdLearner,
    learned_threshold,
)
from kmon.stats.survival import observations_needed
from kmon.stream import events as ev
from kmon.stream.state import derive, learned_sentence
from kmon.stream.timeline import MS, S, Timeline
from kmon.stream.view import RaceView
from tests.support.loopback import END, HEAD, serving
from tests.support.racing import outcome, plan, racing, sse, target


def test_as_many_gaps_are_needed_as_bound_the_percentile() -> None:
    assert observations_needed(SHARE) == NEEDED
    assert learned_threshold([500 * MS] * (NEEDED - 1)) is None
    assert learned_threshold([500 * MS] * NEEDED) == 2 * S


@given(st.lists(st.integers(TOGETHER_NS, 200 * S), min_size=NEEDED, max_size=300))
def test_the_threshold_is_a_multiple_of_what_nineteen_of_twenty_gaps_keep_to(gaps_ns: list[int]) -> None:
    threshold_ns = learned_threshold(sorted(gaps_ns))
    assert threshold_ns is not None
    assert FLOOR_NS <= threshold_ns <= CEILING_NS
    if FLOOR_NS < threshold_ns < CEILING_NS:
        usual_ns = threshold_ns // MULTIPLE
        assert sum(gap <= usual_ns for gap in gaps_ns) >= SHARE * len(gaps_ns)
        assert sum(gap >= usual_ns for gap in gaps_ns) >= len(gaps_ns) - ceil(SHARE * len(gaps_ns)) + 1


def test_one_stall_in_twenty_gaps_does_not_teach_patience() -> None:
    assert learned_threshold(sorted([400 * MS] * 95 + [50 * S] * 5)) == 1600 * MS
    assert learned_threshold(sorted([400 * MS] * 94 + [50 * S] * 6)) == CEILING_NS


def test_a_phase_learns_from_its_own_gaps_only() -> None:
    target_gaps = TargetGaps()
    for _ in range(NEEDED):
        target_gaps.add("mid-text", 500 * MS)
        target_gaps.add("mid-reasoning", 3 * S)
        target_gaps.add("mid-tool-arguments", TOGETHER_NS - 1)
        target_gaps.add("after-last-delta", 1 * S)
    assert target_gaps.threshold("mid-text") == (2 * S, NEEDED)
    assert target_gaps.threshold("mid-reasoning") == (12 * S, NEEDED)
    assert target_gaps.threshold("mid-tool-arguments") is None
    assert target_gaps.threshold("before-first-token") is None


def test_habits_that_change_are_learned_anew() -> None:
    target_gaps = TargetGaps()
    for gap_ns in [*[500 * MS] * WINDOW, *[1 * S] * WINDOW]:
        target_gaps.add("mid-text", gap_ns)
    assert target_gaps.threshold("mid-text") == (4 * S, WINDOW)
    assert target_gaps.seen["mid-text"] == 2 * WINDOW


def test_an_attempt_begins_with_what_others_taught_and_learns_on_ever_more_rarely() -> None:
    target_gaps, told = TargetGaps(), list[ev.Event]()
    for _ in range(NEEDED):
        target_gaps.add("mid-text", 500 * MS)
    timeline = Timeline(0, 5 * S)
    learner = ThresholdLearner(target_gaps, "r", 1, timeline, told.append)
    learner.begin(0)
    assert told == [ev.StallThreshold(0, "r", 1, "mid-text", 2000.0, NEEDED)]
    assert timeline.threshold_ns("mid-text") == 2 * S
    assert timeline.threshold_ns("mid-reasoning") == timeline.stall_ns == 5 * S
    for number in range(1000):
        target_gaps.add("mid-text", 1 * S)
        learner.review(number, "mid-text")
    assert len(told) < 10
    assert timeline.threshold_ns("mid-text") == 4 * S


async def falling_silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Seventy words 5 ms apart, 1.6 s of silence, and the end."""
    writer.write(HEAD)
    for number in range(70):
        writer.write(sse(f"{number} "))
        await writer.drain()
        await asyncio.sleep(0.005)
    await asyncio.sleep(1.6)
    writer.write(sse("end", finish="stop", done=True) + END)
    await writer.drain()


async def test_a_target_teaches_its_own_threshold_and_every_view_goes_by_it() -> None:
    """The silence is far below the five seconds of the plan: what was learned, here the floor of a second, applies."""
    async with serving(falling_silent) as url, racing(plan(target(url), stall_s=5.0, learn_stall=True)) as race:
        learned = await race.until(lambda event: isinstance(event, ev.StallThreshold))
        begun = await race.until(lambda event: isinstance(event, ev.StallStarted))
        ended = await race.ended()
        events = list(race.events)
    assert isinstance(learned, ev.StallThreshold)
    assert (learned.phase, learned.threshold_ms) == ("mid-text", 1000.0)
    assert learned.gaps >= NEEDED
    assert learned_sentence(learned) == f"stall after 1.0 s mid-text (learned, {learned.gaps} gaps)"
    assert isinstance(begun, ev.StallStarted)
    assert begun.threshold_ms == 1000.0
    assert 1000 <= begun.gap_ms < 1600
    assert [stall.phase for stall in ended.stalls] == ["mid-text"]
    timeline = race.view.runs["r1.1"].attempts[0].timeline
    assert tuple(timeline.stalls) == ended.stalls  # the screen folds the same events to the same stalls
    at = events.index(begun)
    assert not any(isinstance(event, ev.StallStarted) for event in events[at + 1 :])


async def test_without_learning_nothing_is_learned_and_the_plan_is_said() -> None:
    async with serving(falling_silent) as url:
        _, events = await outcome(plan(target(url)))
    assert not [event for event in events if isinstance(event, ev.StallThreshold)]
    (started,) = [event for event in events if isinstance(event, ev.RaceStarted)]
    assert not started.stall_learned


@pytest.mark.parametrize(("threshold_s", "state"), [(1.0, "stalled"), (9.0, "streaming")])
def test_what_is_stalled_follows_the_threshold_that_travelled(threshold_s: float, state: str) -> None:
    race = RaceView()
    for event in (
        ev.RaceStarted(0, ("t",), "code", 1, stall_learned=True),
        ev.RunQueued(0, "r", "t", "p/m", "code", 1, "chat"),
        ev.AttemptStarted(0, "r", 1, "first", "http://x"),
        ev.StallThreshold(0, "r", 1, "mid-text", threshold_s * 1000, 412),
        ev.PhaseReached(0, "r", 1, "request_sent"),
        ev.DeltaArrived(1 * S, "r", 1, "text", "word "),
    ):
        race.apply(event)
    assert derive(race.runs["r"], 7 * S).state == state
