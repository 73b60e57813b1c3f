"""What a pane says about a run, at every size, without a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import HiddenWork, StreamError, Usage
from kmon.stream import events as ev
from kmon.stream.events import RunEnded
from kmon.stream.state import derive
from kmon.stream.view import RaceView, RunView
from kmon.tui import status_text
from kmon.tui.pane_drawing import Flow, Look, Notes, draw_pane
from kmon.tui.spans import Spans, row_width
from kmon.tui.text_wrap import TextWrap
from tests.support.scripted import CODE, THOUGHT, S, Script, race, showcase

PLAIN = Look()


def run_of(script: Script, at_s: float) -> RunView:
    view = RaceView()
    for event in race([script]):
        if event.t_ns <= at_s * S:
            view.apply(event)
    return view.runs[script.run]


def drawn(
    script: Script, at_s: float, width: int = 54, height: int = 9, look: Look = PLAIN, trouble: str = ""
) -> list[str]:
    rows = rows_of(run_of(script, at_s), int(at_s * S), width, height, look, trouble)
    return ["".join(span.text for span in row) for row in rows]


def rows_of(run: RunView, now_ns: int, width: int, height: int, look: Look, trouble: str = "") -> list[Spans]:
    tails = []
    for attempt in (run.main, run.nudge):
        wrapped = TextWrap(width - 4, height, ascii=look.ascii)
        if attempt is not None:
            wrapped.follow(attempt)
        tails.append(wrapped.tail(max(1, height - 2), look.cursor if attempt is run.main else ""))
    return draw_pane(run, derive(run, now_ns), Flow(*tails), width, height, now_ns, look, Notes(trouble))


@pytest.mark.parametrize("width", range(30, 70))
def test_between_the_names_and_the_state_there_is_always_room(width: int) -> None:
    script = Script("r1", "together").start().say(0.5, "hello").end(2.0, "failed", signature="reset")
    title = drawn(script, 3.0, width)[0]
    assert not re.search("[^ ─╭]─", title)
    assert " ✖ failed " in title


def test_a_stalled_pane_is_drawn_as_in_the_design() -> None:
    script = Script("r1", "together").start().say(0.5, CODE[:60], every_s=0.2).keepalive(12.0, 19.0)
    assert drawn(script, 20.0, width=56, height=7) == [
        "╭─ together moonshotai/Kimi-K2.6 ─── ▲ STALLED 16.7 s ─╮",
        "│ def quicksort(xs: list[int]) -> list[int]:           │",
        '│     """Sort by di▌                                   │',
        "│                                                      │",
        "│ gaps ▃▂▂▃▄▅▅▅▆▆▆▆▆▆▇▇▇▇▇▇  5 s┄ max 16.7 s  stalls 1 │",
        "│ ttft 0.41 s  15 chunks  keep-alive 1.0 s ago         │",
        "╰──────────────────────────────────────────────────────╯",
    ]


def test_kinds_are_told_apart_in_the_pane() -> None:
    script = (
        Script("r1", "groq").start().say(0.5, THOUGHT[:30], "reasoning").say(1.0, "Sure.").call(1.2, "weather", "{}")
    )
    body = "\n".join(drawn(script, 2.0))
    assert "┊ The user wants" in body
    assert "│ Sure." in body
    assert "→ weather {}" in body


def test_a_done_pane_tells_finish_tokens_and_time() -> None:
    script = Script("r1", "groq").start().say(0.5, "hello").finish(1.2, "stop", Usage(93, 32, 125))
    lines = drawn(script, 9.0, width=70)
    assert "✔ done 1.2 s" in lines[0]
    assert "ttft 0.41 s  stop  32 tokens  4 chunks  total 1.2 s" in lines[-2]


def test_a_failed_pane_names_signature_evidence_and_error() -> None:
    error = StreamError("http", "HTTP 429: Rate limit reached, try again in 20 s", 429)
    evidence = "HTTP 429; headers after 0.09 s, 0 chunks"
    script = Script("r1", "groq").start().end(0.4, "failed", signature="rate-limited", evidence=evidence, error=error)
    text = " ".join(line.strip("│ ") for line in drawn(script, 9.0))
    assert "✖ failed 429" in text
    said = "rate-limited: HTTP 429: Rate limit reached, try again in 20 s; headers after 0.09 s, 0 chunks"
    assert said in text
    run = run_of(script, 9.0)
    assert status_text.status_of(run, derive(run, 9 * S), 9 * S).whole == f"groq: failed, {said}"


def test_nothing_is_said_to_arrive_when_nothing_does() -> None:
    script = Script("r1", "together").start().say(0.5, "hello", piece=5)
    for at_s in (1.0, 4.5, 20.0):
        assert "0/s" not in "".join(drawn(script, at_s)).replace("10/s", "")
    assert "gap 4.0 s" in drawn(script, 4.5)[0]


def test_a_narrow_pane_prefers_a_sign_of_life_to_totals() -> None:
    script = Script("r1", "together").start().say(0.5, CODE[:60], every_s=0.2).keepalive(19.0)
    assert "ttft 0.41 s  keep-alive 1.0 s ago" in drawn(script, 20.0, width=40, height=5)[-2]


def test_a_late_first_token_is_shown_as_ttft_and_not_as_a_gap_of_nothing() -> None:
    script = Script("r1", "together").start().say(8.0, CODE, every_s=0.01)
    rows = rows_of(run_of(script, 9.0), 9 * S, 56, 7, PLAIN)
    gaps, figures = ("".join(span.text for span in row) for row in rows[-3:-1])
    assert "ttft 7.9 s   stalls 1" in gaps
    assert "max" not in gaps
    assert "ttft" not in figures
    assert any(span.style == "gap.stall" and "ttft" in span.text for span in rows[-3])


def test_a_nudge_is_set_apart_with_its_answer_and_its_outcome() -> None:
    openrouter = showcase()[4]
    lines = drawn(openrouter, 30.0, height=11)
    at = next(n for n, line in enumerate(lines) if "── nudge: are you still there? ──" in line)
    assert "Yes, I am still here." in lines[at + 1] + lines[at + 2]
    assert "nudge answered, first still silent" in "".join(lines[at:])


def test_a_short_pane_still_tells_the_outcome_of_a_nudge() -> None:
    lines = drawn(showcase()[4], 30.0, height=5)
    assert any("nudge answered, first still silent" in line for line in lines)


def test_a_retry_says_which_attempt_it_is() -> None:
    script = Script("r1", "groq").start().end(1.0, "failed").start(2.0, "retry").say(3.0, "hello")
    assert "attempt 2" in drawn(script, 4.0, width=60)[0]


def test_a_further_turn_of_a_tool_chain_says_which_it_is_and_shows_its_own_words() -> None:
    script = Script("r1", "groq").start().call(0.4, "weather", "{}").finish(1.0, "tool_calls")
    script.start(1.1, "turn").say(1.5, "It is 22 degrees.")
    lines = drawn(script, 2.0, width=70)
    assert "turn 2 · tools run" in lines[0]
    assert "It is 22 degrees." in lines[1]
    again = script.end(2.0, "failed", role="turn").start(3.0, "retry").finish(3.5).start(4.0, "turn")
    assert "attempt 2, turn 2 · tools run" in drawn(again, 5.0, width=70)[0]


def test_scenario_and_round_are_named_only_where_they_tell_panes_apart() -> None:
    script = Script("r1", "groq", scenario="code", round=3).start()
    assert "round 3 code" in drawn(script, 1.0, width=80, look=Look(scenario=True, round=True))[0]
    assert "code" not in drawn(script, 1.0, width=80)[0]


def test_trouble_of_the_screen_itself_is_a_note_in_the_pane() -> None:
    assert any(
        "could not follow" in line for line in drawn(Script("r1", "groq").start(), 1.0, trouble="could not follow")
    )


def test_the_state_is_readable_without_colour_in_ascii() -> None:
    lines = drawn(showcase()[0], 30.0, look=Look(ascii=True))
    assert "! STALLED 17.7 s" in lines[0]
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("index", range(8))
@given(width=st.integers(1, 130), height=st.integers(1, 30), at_s=st.floats(0, 40), ascii=st.booleans())
def test_every_line_of_every_pane_is_exactly_as_wide(
    index: int, width: int, height: int, at_s: float, ascii: bool
) -> None:
    run = run_of(SHOWCASE[index], at_s)
    rows = rows_of(run, int(at_s * S), width, height, Look(ascii=ascii, scenario=True, round=True))
    assert len(rows) == height
    assert {row_width(row) for row in rows} == {width}


@given(text=st.text(alphabet=st.sampled_from("a漢字🎉👩‍💻️é \n"), max_size=200), width=st.integers(8, 60))
def test_wide_glyphs_leave_the_border_straight(text: str, width: int) -> None:
    script = Script("r1", "漢字🎉").start()
    if text:
        script.say(0.5, text)
    script.end(5.0, "failed", signature="odd", evidence=text)
    rows = rows_of(run_of(script, 6.0), 6 * S, width, 8, Look())
    assert {row_width(row) for row in rows} == {width}


SHOWCASE = showcase()


def limited() -> Script:
    error = StreamError("http", "HTTP 429: slow down", 429)
    return (
        Script("r1", "together")
        .start()
        .end(1.0, "failed", signature="rate-limited", evidence="HTTP 429", error=error)
        .again(1.0, 4.2, reason="HTTP 429, Retry-After")
    )


def test_a_run_that_waits_for_a_retry_says_which_when_and_why() -> None:
    pane = drawn(limited(), 2.0, width=60, height=8)
    assert "· again in 3.2 s" in pane[0]
    assert any("retry 1 of 2 in 3.2 s (HTTP 429, Retry-After)" in row for row in pane)
    assert any("rate-limited: HTTP 429: slow down" in row for row in pane)
    run = run_of(limited(), 2.0)
    sentence = status_text.status_of(run, derive(run, 2 * S), 2 * S).whole
    assert sentence == "together: retry 1 of 2 in 3.2 s (HTTP 429, Retry-After), r makes it now"


def test_a_retry_that_has_begun_is_an_attempt_like_any_other() -> None:
    pane = drawn(limited().start(5.3, "retry").say(6.0, "hello"), 6.5, width=60)
    assert "attempt 2" in pane[0]
    assert not any("retry 1 of 2" in row for row in pane)


def test_a_run_cancelled_while_it_waited_is_shown_as_cancelled() -> None:
    view = RaceView()
    script = limited()
    for event in race([script]):
        view.apply(event)
    error = StreamError("cancelled", "cancelled before retry 1 of 2 (HTTP 429)")
    view.apply(
        RunEnded(
            2 * S, "r1", "together", 1, "cancelled", None, "", error, None, None, (), 0, "", "", (), None, None, "", {}
        )
    )
    run = view.runs["r1"]
    seen = derive(run, 3 * S)
    assert seen.state == "cancelled"
    assert status_text.situation(run, seen, 3 * S).text == "cancelled before retry 1 of 2 (HTTP 429)"


def test_a_fallback_says_who_answers_and_the_run_keeps_its_name() -> None:
    script = limited().again(5.0, 0.0, role="fallback", to="groq", reason="HTTP 503")
    assert any("falls back to groq, 1 of 2 (HTTP 503)" in row for row in drawn(script, 5.0, width=60, height=8))
    script.start(5.1, "fallback", target="groq").say(6.0, "hello")
    title = drawn(script, 6.5, width=90)[0]
    assert "together" in title and "attempt 2, at groq" in title
    assert "Kimi" not in title  # the model there is another one


def unread(*, bytes_at_s: tuple[float, ...], stream: bool = True) -> Script:
    """A stream whose bytes came at these times, and nothing of it was read."""
    script = Script("r1", "upstream", scenario="POST /v1/responses").start()
    script.events.append(ev.Unread(180_000_000, "r1", 1, stream))
    script.events += [ev.BytesArrived(int(at_s * S), "r1", 1, 100) for at_s in bytes_at_s]
    return script


def test_a_stream_that_kmon_does_not_read_is_said_to_be_one_and_its_bytes_are_drawn() -> None:
    script = unread(bytes_at_s=(0.5, 1.0, 1.5))
    rows = drawn(script, 2.0, height=7)
    assert " ● streaming " in rows[0] and "STALLED" not in rows[0]
    assert any("a stream kmon does not read" in row for row in rows)
    assert "stalls 0" in rows[-3]
    silent = drawn(script, 9.5, height=7)
    assert " ● streaming gap 8.0 s " in silent[0]
    assert any("a stream kmon does not read; silent 8.0 s on the" in row for row in silent)
    assert "max 8.0 s" in silent[-3] and "stalls 0" in silent[-3]
    run = run_of(script, 9.5)
    assert status_text.situation(run, derive(run, int(9.5 * S)), int(9.5 * S)).text == (
        "a stream kmon does not read, last byte 8.0 s ago"
    )


def test_when_it_has_ended_the_pane_still_says_that_it_was_not_read() -> None:
    rows = drawn(unread(bytes_at_s=(0.5, 1.0)).end(1.2, "done"), 9.0, height=7)
    assert " ✔ done " in rows[0]
    assert any("a stream kmon does not read" in row for row in rows)


def test_a_request_of_an_unknown_kind_waits_for_its_first_byte() -> None:
    script = unread(bytes_at_s=(), stream=False)
    run = run_of(script, 2.0)
    empty = draw_pane(run, derive(run, 2 * S), Flow(), 54, 7, 2 * S, PLAIN)
    assert any("no byte yet" in span.text for row in empty for span in row)
    assert any("silent 8.9 s on the wire" in row for row in drawn(script, 9.0, height=7))


def working(work: HiddenWork, *, keepalives: tuple[float, ...] = ()) -> Script:
    script = Script("r1", "openai").start()
    script.events.append(ev.DeltaArrived(1 * S, "r1", 1, "other", "", hidden_work=work))
    return script.keepalive(*keepalives)


@pytest.mark.parametrize(("work", "words"), [("reasoning", "thinking, hidden"), ("server-tool", "server tool")])
def test_hidden_work_is_said_and_is_no_stall(work: HiddenWork, words: str) -> None:
    script = working(work)
    rows = drawn(script, 31.0)
    assert f" ○ {words} 30.0 s " in rows[0]
    assert "stalls 0" in rows[-3]
    run = run_of(script, 31.0)
    said = status_text.situation(run, derive(run, 31 * S), 31 * S)
    assert (said.text, said.alarm) == (f"{words}, 30.0 s; no output is due", False)


def test_hidden_work_whose_keepalives_stopped_is_a_stall_and_so_is_the_same_silence_without_it() -> None:
    assert "▲ STALLED 28.0 s" in drawn(working("reasoning", keepalives=(2.0, 3.0)), 31.0)[0]
    assert "▲ STALLED" in drawn(Script("r1", "openai").start(), 31.0)[0]
