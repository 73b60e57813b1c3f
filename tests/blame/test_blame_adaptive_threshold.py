"""Promises about learned thresholds: the rule, who learns from what, and one figure for engine and screen."""

import asyncio
from math import exp
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.blame.adaptive_threshold import (
    CEILING_NS,
    FALSE_ALARMS,
    FIRST_CEILING_NS,
    FLOOR_NS,
    GAPS_PER_STREAM,
    LEAST_MULTIPLE,
    NEEDED,
    TOGETHER_NS,
    WINDOW,
    TargetGaps,
    ThresholdLearner,
    learned_threshold,
)
from kmon.stream import events as ev
from kmon.stream.state import derive, learned_sentence
from kmon.stream.timeline import MS, S, Timeline
from kmon.stream.view import RaceView
from tests.support.loopback import END, HEAD, serving
from tests.support.racing import outcome, plan, racing, sse, target


class Taught:
    """A target whose streams teach each other, without sockets."""

    def __init__(self) -> None:
        self._timeline = Timeline(0, 5 * S, last_kind="text")
        self._learner = ThresholdLearner(TargetGaps(), "r", 1, self._timeline, lambda _: None)

    @property
    def threshold_ns(self) -> int:
        return self._timeline.threshold_ns("mid-text")

    def stalls(self, gaps_ns: list[int]) -> int:
        """How many of these gaps are called stalls, one after the other."""
        found = 0
        assert self._timeline.on_gap is not None
        for gap_ns in gaps_ns:
            found += gap_ns >= self.threshold_ns
            self._timeline.on_gap("mid-text", gap_ns)
            self._learner.review(0, "mid-text")
        return found


def lognormal(random: Random, number: int, median_s: float, sigma: float) -> list[int]:
    return sorted(int(median_s * random.lognormvariate(0, sigma) * S) for _ in range(number))


def test_too_few_gaps_teach_nothing() -> None:
    assert learned_threshold([500 * MS] * (NEEDED - 1)) is None
    assert learned_threshold([500 * MS] * NEEDED) == LEAST_MULTIPLE * 500 * MS


@given(st.lists(st.integers(TOGETHER_NS, 200 * S), min_size=NEEDED, max_size=300), st.booleans())
def test_the_threshold_is_well_beyond_what_nine_of_ten_gaps_keep_to(gaps_ns: list[int], first: bool) -> None:
    threshold_ns = learned_threshold(sorted(gaps_ns), first=first)
    ceiling_ns = FIRST_CEILING_NS if first else CEILING_NS
    assert threshold_ns is not None
    assert FLOOR_NS <= threshold_ns <= ceiling_ns
    if threshold_ns < ceiling_ns:
        assert sum(gap <= threshold_ns // LEAST_MULTIPLE for gap in gaps_ns) >= 0.9 * len(gaps_ns)


@given(st.lists(st.integers(TOGETHER_NS, 2 * S), min_size=NEEDED, max_size=300), st.integers(2, 5))
def test_a_target_that_is_slower_by_a_factor_has_a_threshold_that_is_too(gaps_ns: list[int], factor: int) -> None:
    threshold_ns = learned_threshold(sorted(gaps_ns))
    slower_ns = learned_threshold(sorted(gap * factor for gap in gaps_ns))
    assert threshold_ns is not None and slower_ns is not None
    assert threshold_ns <= slower_ns <= max(factor * threshold_ns, CEILING_NS)
    if threshold_ns > FLOOR_NS and slower_ns < CEILING_NS:
        assert slower_ns == pytest.approx(factor * threshold_ns, rel=1e-6)


def test_it_is_where_one_stream_in_two_hundred_has_a_longer_gap() -> None:
    known = lognormal(Random(1), 100_000, 0.05, 1.0)
    threshold_ns = learned_threshold(known)
    exact_s = 0.05 * exp(NormalDist().inv_cdf(1 - FALSE_ALARMS / GAPS_PER_STREAM))
    assert threshold_ns == pytest.approx(exact_s * S, rel=0.1)
    firsts_ns = learned_threshold(lognormal(Random(2), 100_000, 1.0, 1.2), first=True)
    assert firsts_ns == pytest.approx(exp(1.2 * NormalDist().inv_cdf(1 - FALSE_ALARMS)) * S, rel=0.1)


@pytest.mark.parametrize(("median_s", "sigma"), [(0.019, 0.45), (0.05, 1.0), (0.3, 0.7)])
def test_lognormal_gaps_are_called_stalls_in_one_stream_of_a_hundred(median_s: float, sigma: float) -> None:
    """A stream of 500 gaps that teaches the next one, from the first gap on."""
    random, alarmed, streams = Random(5), 0, 0
    for _ in range(30):
        taught = Taught()
        for _ in range(8):
            gaps = [int(median_s * random.lognormvariate(0, sigma) * S) for _ in range(GAPS_PER_STREAM)]
            alarmed, streams = alarmed + (taught.stalls(gaps) > 0), streams + 1
    assert alarmed / streams <= 0.02  # 0.01 and 1.6 standard errors


@pytest.mark.parametrize("share", [0.06, 0.1, 0.2])
@pytest.mark.parametrize("healthy_streams", [0, 5])
def test_a_bad_hour_does_not_teach_patience(share: float, healthy_streams: int) -> None:
    random, taught = Random(7), Taught()
    for _ in range(healthy_streams):
        assert not taught.stalls(lognormal(random, 500, 0.05, 0.5))
    for _ in range(10):
        gaps = [
            20 * S if random.random() < share else int(0.05 * random.lognormvariate(0, 0.5) * S) for _ in range(500)
        ]
        assert taught.stalls(gaps) == gaps.count(20 * S)
    assert taught.threshold_ns < 2 * S


def test_what_most_gaps_are_is_no_stall() -> None:
    taught, random = Taught(), Random(3)
    slow = [int(6 * random.lognormvariate(0, 0.1) * S) for _ in range(500)]
    assert taught.stalls(slow[:NEEDED]) == sum(gap >= 5 * S for gap in slow[:NEEDED])
    assert taught.stalls(slow[NEEDED:]) == 0
    assert taught.threshold_ns <= CEILING_NS


def test_chunks_in_pairs_do_not_widen_the_spread() -> None:
    random = Random(9)
    gaps = sorted([2 * MS] * 600 + lognormal(random, 400, 0.08, 0.5))
    threshold_ns = learned_threshold(gaps)
    assert threshold_ns is not None and threshold_ns < 2 * S


def test_a_phase_learns_from_its_own_gaps_only() -> None:
    target_gaps = TargetGaps()
    for _ in range(NEEDED):
        target_gaps.add("mid-text", 500 * MS)
        target_gaps.add("mid-reasoning", 3 * S)
        target_gaps.add("mid-tool-arguments", TOGETHER_NS - 1)
        target_gaps.add("after-last-delta", 1 * S)
    assert target_gaps.threshold("mid-text") == (1500 * MS, NEEDED)
    assert target_gaps.threshold("mid-reasoning") == (9 * S, NEEDED)
    assert target_gaps.threshold("mid-tool-arguments") is None
    assert target_gaps.threshold("before-first-token") is None


def test_habits_that_change_are_learned_anew() -> None:
    target_gaps = TargetGaps()
    for gap_ns in [*[500 * MS] * WINDOW, *[1 * S] * WINDOW]:
        target_gaps.add("mid-text", gap_ns)
    assert target_gaps.threshold("mid-text") == (3 * S, WINDOW)
    assert target_gaps.seen("mid-text") == 2 * WINDOW


def test_the_stalls_that_are_kept_are_the_latest_too() -> None:
    target_gaps = TargetGaps()
    for _ in range(WINDOW):
        target_gaps.add("mid-text", 9 * S, stalled=True)
    for _ in range(WINDOW):
        target_gaps.add("mid-text", 500 * MS)
    assert target_gaps.threshold("mid-text") == (1500 * MS, WINDOW)


def test_an_attempt_begins_with_what_others_taught_and_learns_on_ever_more_rarely() -> None:
    target_gaps, told = TargetGaps(), list[ev.Event]()
    for _ in range(NEEDED):
        target_gaps.add("mid-text", 500 * MS)
    timeline = Timeline(0, 5 * S)
    learner = ThresholdLearner(target_gaps, "r", 1, timeline, told.append)
    learner.begin(0)
    assert told == [ev.StallThreshold(0, "r", 1, "mid-text", 1500.0, NEEDED)]
    assert timeline.threshold_ns("mid-text") == int(1.5 * S)
    assert timeline.threshold_ns("mid-reasoning") == timeline.stall_ns == 5 * S
    for number in range(1000):
        target_gaps.add("mid-text", 1 * S)
        learner.review(number, "mid-text")
    assert len(told) < 10
    assert timeline.threshold_ns("mid-text") == 3 * S


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
