"""Header, status and hints say what matters first, and never half a word."""

from __future__ import annotations

from collections import Counter

from kmon.stream.events import EngineHealth
from kmon.stream.state import State, derive
from kmon.stream.view import RaceView
from kmon.tui import bars
from kmon.tui.bars import Header
from kmon.tui.keymap import hints
from kmon.tui.spans import Spans, row_width
from kmon.tui.status_text import StatusText, status_of
from tests.support.scripted import Script, race, showcase

NOW = 30_000_000_000
HINTS = hints("race")


def text(row: Spans) -> str:
    return "".join(span.text for span in row)


def view_of(*scripts: Script) -> RaceView:
    view = RaceView()
    for event in race(scripts, rounds=5):
        if event.t_ns <= NOW:
            view.apply(event)
    return view


def head(**changes: object) -> Header:
    view = view_of(*showcase())
    states: Counter[State] = Counter(derive(run, NOW).state for run in view.runs.values())
    values = {
        "race": view,
        "scenario": "code-tools",
        "rounds": 5,
        "origin": "simulated",
        "states": states,
        "elapsed_ns": 42_000_000_000,
    }
    return Header(**{**values, **changes})  # type: ignore[arg-type]


def test_the_header_names_the_race_and_counts_its_runs() -> None:
    line = text(bars.header(head(), 140))
    assert line.startswith(" kmon  code-tools · round 1 of 5 · simulated")
    assert "● 1 streaming  ▲ 2 stalled  ✖ 2 failed  ✔ 1" in line
    assert line.endswith(" 00:42 ")


def test_the_header_says_where_the_streams_come_from() -> None:
    assert "replayed" in text(bars.header(head(origin="replayed"), 140))
    assert text(bars.header(head(origin=""), 140)).startswith(" kmon  code-tools · round 1 of 5  ")


def test_at_80_columns_the_header_drops_words_but_no_number() -> None:
    line = text(bars.header(head(), 80))
    assert "● 1 ▲ 2 ✖ 2 ✔ 1" in line
    assert line.endswith("00:42 ")


def test_frozen_is_said_in_a_word() -> None:
    assert " FROZEN " in text(bars.header(head(frozen=True), 80))


def test_filter_and_sort_are_said() -> None:
    line = text(bars.header(head(filter="stalled", sort="worst first"), 160))
    assert 'filter "stalled"' in line
    assert "worst first" in line


def test_the_lines_are_exactly_as_wide_as_the_screen() -> None:
    full, silent = head(frozen=True, filter="x"), StatusText("together: silent", True)
    for width in range(1, 160):
        assert row_width(bars.header(full, width)) == width
        for error in (None, "gone"):
            assert row_width(bars.status(silent, full.race, error, width, ascii=False)) == width
        assert row_width(bars.hint_line(HINTS, width)) == width


def test_a_hint_is_whole_or_not_there() -> None:
    whole = {f"{key} {word}" for key, word, *_ in HINTS}
    for width in range(20, 120):
        line = text(bars.hint_line(HINTS, width))
        shown = {part.strip() for part in line.split("  ") if part.strip()}
        if width < 89:  # with single blanks between hints there is nothing to split at
            assert shown <= whole
        assert "q quit" in line
        assert "? help" in line


def test_all_hints_are_there_when_there_is_room() -> None:
    line = text(bars.hint_line(HINTS, 120))
    assert line.startswith(
        " n nudge  x cancel  r retry  R retry all  z zoom  p freeze  / filter  s sort  y copy  ? help"
    )


def test_the_engine_tells_lag_and_chunks_or_that_it_is_gone() -> None:
    view = head().race
    assert text(bars.status(StatusText("x: done"), view, None, 90, ascii=False)).endswith(
        "engine ok · lag 0.3 ms · 5.1 k chunks "
    )
    gone = text(bars.status(StatusText("x: done"), view, "died", 90, ascii=False))
    assert gone.endswith("engine gone: kept what it had ")


def test_a_busy_engine_is_said_with_its_lag_as_a_warning() -> None:
    view = head().race
    view.health = EngineHealth(0, 512.3, 5_100)
    row = bars.status(StatusText("x: done"), view, None, 60, ascii=False)
    assert text(row).endswith("engine busy · lag 512 ms · 5.1 k chunks ")
    assert "status.alarm" in {span.style for span in row if "engine busy" in span.text}
    assert text(bars.status(StatusText("x: done"), view, None, 45, ascii=False)).endswith("engine busy · lag 512 ms ")


def test_dropped_events_are_said() -> None:
    view = head().race
    view.health = EngineHealth(0, 0.3, 5_100, 12)
    assert "12 dropped" in text(bars.status(StatusText("x: done"), view, None, 90, ascii=False))


def test_a_contradiction_outranks_the_engine_figures() -> None:
    said = StatusText("together: claims streaming, silent 17.2 s (keep-alives only)", True)
    line = text(bars.status(said, head().race, None, 80, ascii=False))
    assert "together: claims streaming, silent 17.2 s (keep-alives only)" in line
    assert line.endswith("engine ok ")


def test_the_status_sentence_reconciles_claim_and_observation() -> None:
    runs = view_of(*showcase()).runs
    said = {run.target: status_of(run, derive(run, NOW), NOW).whole for run in runs.values()}
    assert said["together"] == "together: claims streaming, silent 17.7 s (keep-alives only)"
    assert said["fireworks"].startswith("fireworks: streaming, last token ")
    assert said["groq"] == "groq: done, tool_calls, 1.2 s in all"
    assert said["nvidia"].startswith("nvidia: failed, reset-mid-chunk: connection reset")
    assert said["moonshot"] == "moonshot: waiting for the first token, 2.9 s"
    assert said["local"] == "local: queued"


def test_a_contradiction_that_does_not_fit_keeps_its_verdict() -> None:
    facts = "b: TUI says connected | idle; run f1c2 open 16 s, last frame 16 s ago"
    said = StatusText(facts, True, " -> false idle (queued follow-up)")
    shown = text(bars.status(said, RaceView(), None, 80, ascii=False))
    assert shown.startswith(" b: TUI says connected | idle")
    assert shown.rstrip().endswith("-> false idle (queued follow-up)")
    assert len(shown) == 80
