"""Promises about "will this silence end?": a count and a share that a slow count by hand and scipy give as well."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.resumption import SILENCES_NEEDED, Resumption, resumption_after, resumption_of_gap, share_that_ends
from kmon.stream import events as ev
from kmon.stream.gap_history import WINDOW, Fate, GapHistory
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
    reaching = [fate for ns, fate in sample if ns >= gap_ns]
    if len(reaching) < SILENCES_NEEDED:
        assert found is None
        return
    assert found is not None
    assert (found.ended, found.reached) == (reaching.count("ended"), len(reaching))
    assert found.undecided == reaching.count("cut-short")
    assert found.share == pytest.approx(by_hand(sample, gap_ns), abs=1e-9)


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
    assert found.words == "11 of 23 silences this long ended (48 %)"
    assert resumption_after(history(sample), "mid-text", 9 * S, None, 0) is None


def test_a_silence_given_up_early_is_not_counted_against_the_target() -> None:
    sample: list[tuple[int, Fate]] = [(5 * S, "cut-short")] * 10 + [(8 * S, "ended")] * 10 + [(9 * S, "never")] * 10
    found = resumption_after(history(sample), "mid-text", 5 * S, None, 0)
    assert found == Resumption(10, 30, 10, pytest.approx(0.5))  # type: ignore[arg-type]
    assert found.words == "10 of 30 silences this long ended, 10 cut short or open (50 % by Kaplan-Meier)"


def test_a_phase_with_enough_of_its_own_is_told_apart() -> None:
    silences = history([(5 * S, "ended")] * 20)
    for _ in range(5):
        silences.add("mid-reasoning", 5 * S, "never")
    text = resumption_after(silences, "mid-text", 4 * S, None, 0)
    reasoning = resumption_after(silences, "mid-reasoning", 4 * S, None, 0)
    assert text is not None
    assert reasoning is not None
    assert text.words == "20 of 20 mid-text silences this long ended (100 %)"
    assert reasoning.words == "20 of 25 silences this long ended (80 %)"


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
    assert found.words == "11 of 23 mid-text silences this long ended (48 %)"
    assert resumption_of_gap(race, run, int(1.5 * S)) is None
    race.apply(ev.AttemptEnded(9 * S, "now", 1, "first", "cancelled"))
    assert resumption_of_gap(race, run, 10 * S) is None


def test_only_the_latest_silences_are_kept() -> None:
    silences = history([(9 * S, "never")] * 50 + [(5 * S, "ended")] * WINDOW + [(6 * S, "ended")] * WINDOW)
    found = resumption_after(silences, "mid-text", 2 * S, None, 0)
    assert found is not None
    assert (found.ended, found.reached) == (WINDOW, WINDOW + 50)
    assert len(silences.by_phase["mid-text"]["ended"].reaching(6 * S)) == WINDOW


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
