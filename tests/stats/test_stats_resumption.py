"""Promises about "will this silence end?": a count and a share that a slow count by hand and scipy give as well."""

from collections import Counter
from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.product_limit import share_surviving
from kmon.stats.resumption import SILENCES_NEEDED, resumption_after, resumption_of_gap, steps_of
from kmon.stream import events as ev
from kmon.stream.gap_history import LEAST_NS, Fate, GapHistory, length_class
from kmon.stream.stall import StallPhase
from kmon.stream.timeline import S, Timeline
from kmon.stream.view import RaceView

LENGTH = st.one_of(st.integers(1, 12).map(lambda s: s * S), st.integers(1 * S, 30 * S))
SAMPLE = st.lists(st.tuples(LENGTH, st.sampled_from(["ended", "never", "cut-short"])), max_size=80)
FOR_EVER = 1e9


def history(sample: list[tuple[int, Fate]], phase: StallPhase = "mid-text") -> GapHistory:
    silences = GapHistory()
    for length_ns, fate in sample:
        silences.add(phase, length_ns, fate)
    return silences


def share_that_ends(ended_ns: list[int], never: int, cut_ns: list[int]) -> float:
    return 1 - share_surviving(steps_of(Counter(ended_ns), never, Counter(cut_ns)))


def by_hand(sample: list[tuple[int, Fate]], gap_ns: int) -> float:
    """Kaplan-Meier, the slow way: at every moment a silence ended, the share of those still going on that did."""
    lengths = [(FOR_EVER if fate == "never" else ns / S, fate) for ns, fate in sample if ns >= gap_ns]
    left = 1.0
    for moment in sorted({seconds for seconds, fate in lengths if fate == "ended"}):
        going_on = [1 for seconds, _ in lengths if seconds >= moment]
        ended = [1 for seconds, fate in lengths if fate == "ended" and seconds == moment]
        left *= 1 - len(ended) / len(going_on)
    return 1 - left


@given(SAMPLE, LENGTH)
def test_counts_and_share_are_those_of_a_count_by_hand(sample: list[tuple[int, Fate]], gap_ns: int) -> None:
    found = resumption_after(history(sample), "mid-text", gap_ns, None, 0)
    sample = [(length_class(ns), fate) for ns, fate in sample]
    gap_ns = length_class(gap_ns, up=True)
    reaching = [fate for ns, fate in sample if ns >= gap_ns]
    if len(reaching) < SILENCES_NEEDED:
        assert found is None
        return
    assert found is not None
    assert (found.ended, found.reached) == (reaching.count("ended"), len(reaching))
    assert found.undecided == reaching.count("cut-short")
    assert found.share == pytest.approx(by_hand(sample, gap_ns), abs=1e-9)
    assert found.interval.low - 1e-9 <= found.share <= found.interval.high + 1e-9


@given(st.integers(LEAST_NS, 1_000_000 * S))
def test_a_class_of_lengths_is_narrow_and_whole_seconds_begin_one(length_ns: int) -> None:
    below, above = length_class(length_ns), length_class(length_ns, up=True)
    assert below <= length_ns <= above
    assert above - below <= length_ns / 32
    assert length_class(below) == length_class(below, up=True) == below
    whole_ns = length_ns // S * S
    assert whole_ns > 64 * S or length_class(whole_ns) == whole_ns


@pytest.mark.references
@given(st.lists(st.tuples(LENGTH, st.sampled_from(["ended", "cut-short"])), min_size=1, max_size=60))
def test_the_share_is_what_scipys_curve_leaves(sample: list[tuple[int, Fate]]) -> None:
    from scipy import stats  # here, since every process of the tests imports all of them

    ended = [ns for ns, fate in sample if fate == "ended"]
    cut = [ns for ns, fate in sample if fate == "cut-short"]
    data = stats.CensoredData.right_censored([ns / S for ns in ended + cut], [False] * len(ended) + [True] * len(cut))
    assert share_that_ends(ended, 0, cut) == pytest.approx(1 - float(stats.ecdf(data).sf.evaluate(FOR_EVER)), abs=1e-9)


@given(st.lists(LENGTH, max_size=40), st.integers(0, 40), st.lists(LENGTH, max_size=20))
def test_an_unknown_fate_never_lowers_the_share(ended: list[int], never: int, cut: list[int]) -> None:
    known = len(ended) / (len(ended) + never) if ended else 0.0
    assert share_that_ends(ended, never, []) == pytest.approx(known, abs=1e-9)
    assert share_that_ends(ended, never, cut) >= len(ended) / max(1, len(ended) + never + len(cut)) - 1e-9


def test_timeouts_beyond_every_ending_count_plainly() -> None:
    sample: list[tuple[int, Fate]] = [(8 * S, "ended")] * 11 + [(60 * S, "cut-short")] * 12
    found = resumption_after(history(sample), "mid-text", 7 * S, None, 0)
    assert found is not None
    assert found.words == "11 of 23 silences this long ended (48 %, 27-69 %)"
    assert resumption_after(history(sample), "mid-text", 9 * S, None, 0) is None


def test_a_silence_given_up_early_is_not_counted_against_the_target() -> None:
    sample: list[tuple[int, Fate]] = [(5 * S, "cut-short")] * 10 + [(8 * S, "ended")] * 10 + [(9 * S, "never")] * 10
    found = resumption_after(history(sample), "mid-text", 5 * S, None, 0)
    assert (found.ended, found.reached, found.undecided) == (10, 30, 10)
    assert found.share == pytest.approx(0.5)
    assert found.words == "10 of 30 silences this long ended, 10 undecided (50 %, 27-73 %)"


def test_a_phase_with_enough_of_its_own_is_told_apart() -> None:
    silences = history([(5 * S, "ended")] * 20)
    for _ in range(5):
        silences.add("mid-reasoning", 5 * S, "never")
    text = resumption_after(silences, "mid-text", 4 * S, None, 0)
    reasoning = resumption_after(silences, "mid-reasoning", 4 * S, None, 0)
    assert text is not None
    assert reasoning is not None
    assert text.words == "20 of 20 mid-text silences this long ended (100 %, 83-100 %)"
    assert reasoning.words == "20 of 25 silences this long ended (80 %, 59-93 %)"


def test_gaps_open_elsewhere_are_at_risk_and_the_own_is_not() -> None:
    silences = history([(8 * S, "ended")] * 19)
    own, other, young = (Timeline(0, 5 * S, t_request_sent=start_s * S) for start_s in (0, 0, 9))
    for timeline in (own, other, young):
        silences.follow(timeline)
        timeline.last_kind = "text"
    found = resumption_after(silences, "mid-text", 5 * S, own, now_ns=10 * S)
    assert found is not None
    assert (found.ended, found.reached, found.undecided) == (19, 20, 1)


def told(count: int, gap_s: float, ending: Literal["text", "timed-out", "failed"]) -> list[ev.Event]:
    """``count`` runs that fall silent mid-text for ``gap_s`` seconds, and what then becomes of each."""
    events: list[ev.Event] = []
    for number in range(count):
        run = f"{ending}{number}"
        stop_ns = int((1 + gap_s) * S)
        events += [
            ev.RunQueued(0, run, "t", "p/m", "code", 1, "chat"),
            ev.AttemptStarted(0, run, 1, "first", "http://x"),
            ev.PhaseReached(0, run, 1, "request_sent"),
            ev.DeltaArrived(1 * S, run, 1, "text", "word "),
        ]
        if ending == "text":
            events.append(ev.DeltaArrived(stop_ns, run, 1, "text", "word "))
            events.append(ev.DeltaArrived(stop_ns, run, 1, "other", "", done=True, chunk=False))
        events.append(ev.AttemptEnded(stop_ns, run, 1, "first", "done" if ending == "text" else ending))
    return events


def test_a_race_remembers_what_became_of_its_silences() -> None:
    race = RaceView()
    for event in (*told(11, 8, "text"), *told(9, 60, "timed-out"), *told(3, 20, "failed")):
        race.apply(event)
    open_run = [
        ev.RunQueued(0, "now", "t", "p/m", "code", 1, "chat"),
        ev.AttemptStarted(0, "now", 1, "first", "http://x"),
        ev.PhaseReached(0, "now", 1, "request_sent"),
        ev.DeltaArrived(1 * S, "now", 1, "text", "word "),
    ]
    for event in open_run:
        race.apply(event)
    run = race.runs["now"]
    found = resumption_of_gap(race, run, 8 * S)
    assert found is not None
    assert found.words == "11 of 23 mid-text silences this long ended (48 %, 27-69 %)"
    assert resumption_of_gap(race, run, int(1.5 * S)) is None
    race.apply(ev.AttemptEnded(9 * S, "now", 1, "first", "cancelled"))
    assert resumption_of_gap(race, run, 10 * S) is None


def race_of(share: float, silences: int, random: Random, timeout_s: float = 60.0) -> GapHistory:
    """Silences of 2 s and more of which ``share`` end, half of them within 7 s; the others break, or time out."""
    history = GapHistory()
    for _ in range(silences):
        length_s = 2 + random.expovariate(1 / 7.2)
        if random.random() < share and length_s < timeout_s:
            history.add("mid-text", int(length_s * S), "ended")
        elif random.random() < 0.5:
            history.add("mid-text", int(length_s * S), "never")
        else:
            history.add("mid-text", int(timeout_s * S), "cut-short")
    return history


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_long_race_tells_the_true_share_in_a_bounded_memory(share: float) -> None:
    silences = race_of(share, 40_000, Random(4))
    found = resumption_after(silences, "mid-text", 2 * S, None, 0)
    assert found is not None and found.reached == 40_000
    assert found.share == pytest.approx(share, abs=0.01)
    assert found.interval.low < share < found.interval.high
    assert found.interval.high - found.interval.low < 0.02
    assert sum(len(counts) for counts in silences.by_phase["mid-text"].by_fate.values()) < 1_000


@pytest.mark.parametrize(("share", "silences"), [(0.5, 25), (0.9, 40), (0.97, 200), (0.2, 60)])
def test_the_interval_holds_the_true_share_as_often_as_it_says(share: float, silences: int) -> None:
    """Users give up after 8 s on average, so that a third of the lengths is censored."""
    random, held, looks = Random(silences), 0, 0
    for _ in range(600):
        history = GapHistory()
        for _ in range(silences):
            ends = random.random() < share
            length_s, patience_s = 1 + random.uniform(0, 6), 1 + random.expovariate(1 / 8)
            if ends and length_s < patience_s:
                history.add("mid-text", int(length_s * S), "ended")
            elif not ends and random.random() < 0.3:
                history.add("mid-text", int(length_s * S), "never")
            else:
                history.add("mid-text", int(patience_s * S), "cut-short")
        found = resumption_after(history, "mid-text", 1 * S, None, 0)
        assert found is not None
        looks, held = looks + 1, held + (found.interval.low <= share <= found.interval.high)
    assert held / looks >= 0.935  # 0.95 and 1.7 standard errors


def test_silences_that_are_all_still_open_tell_nothing() -> None:
    silences = GapHistory()
    for _ in range(30):
        silences.follow(Timeline(0, 5 * S, t_request_sent=0, last_kind="text"))
    found = resumption_after(silences, "mid-text", 9 * S, None, now_ns=10 * S)
    assert found is not None and (found.interval.low, found.interval.high) == (0.0, 1.0)


def test_a_silence_after_a_fallback_is_one_of_the_target_that_was_asked() -> None:
    race = RaceView()
    for event in (
        *told(20, 8, "text"),
        ev.RunQueued(0, "now", "own", "p/m", "code", 1, "chat"),
        ev.AttemptStarted(0, "now", 1, "first", "http://x"),
        ev.AttemptEnded(0, "now", 1, "first", "failed"),
        ev.AttemptStarted(0, "now", 2, "fallback", "http://x", target="t"),
        ev.PhaseReached(0, "now", 2, "request_sent"),
        ev.DeltaArrived(1 * S, "now", 2, "text", "word "),
    ):
        race.apply(event)
    assert race.runs["now"].asked == "t"
    found = resumption_of_gap(race, race.runs["now"], 6 * S)
    assert found is not None and found.reached == 20
