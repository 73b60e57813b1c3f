"""The token flow is wrapped once, kept in bounds, and its kinds are told apart without colour."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kmon.stream.attempt_view import AttemptView, Retention
from kmon.stream.timeline import S, Timeline
from kmon.stream.view import RunView
from kmon.tui.spans import Spans, row_width
from kmon.tui.text_wrap import TextWrap, output_text


def lines(rows: list[Spans]) -> list[str]:
    return ["".join(span.text for span in row) for row in rows]


def attempt(*pieces: tuple[str, str]) -> AttemptView:
    view = AttemptView(1, "first", Timeline(0, 5 * S))
    for kind, text in pieces:
        view.append(kind, text)
    return view


def test_kinds_have_gutters_of_their_own() -> None:
    flow = TextWrap(40, 10)
    flow.feed("reasoning", "think")
    flow.feed("text", "say")
    flow.feed("tool", '{"city": ', "weather")
    flow.feed("tool", '"Tokyo"}')
    assert lines(flow.tail(9)) == ["┊ think", "say", '→ weather {"city": "Tokyo"}']


def test_ascii_gutters_are_ascii() -> None:
    flow = TextWrap(40, 10, ascii=True)
    flow.feed("reasoning", "think")
    flow.feed("tool", "{}", "search")
    assert lines(flow.tail(9)) == [": think", "> search {}"]


def test_every_tool_call_begins_a_line_also_when_the_attempt_has_ended() -> None:
    view = RunView("r", "t", "p/m", "s", 1, "chat")
    view.attempts = [attempt(("text", "say"))]
    for name in ("weather", "\x20time\n(now)"):
        view.attempts[0].append("tool", '{"city": ', name)
        view.attempts[0].append("tool", '"Tokyo"}')
    flow, shown = TextWrap(40, 10), ["say", '→ weather {"city": "Tokyo"}', '→ time (now) {"city": "Tokyo"}']
    flow.follow(view.attempts[0])
    assert lines(flow.tail(9)) == shown
    Retention().ended(view.attempts)
    assert len(view.attempts[0].segments) == 3
    again = TextWrap(40, 10)
    again.follow(view.attempts[0])
    assert lines(again.tail(9)) == shown
    assert output_text(view).count('weather({"city": "Tokyo"}') == 1


def test_words_stay_whole_where_they_can() -> None:
    flow = TextWrap(12, 10)
    for piece in ("a list ", "of comp", "rehensions", " and so on"):
        flow.feed("text", piece)
    assert lines(flow.tail(9)) == ["a list of ", "comprehensio", "ns and so on"]


def test_the_cursor_stands_behind_the_last_character() -> None:
    flow = TextWrap(40, 10)
    flow.feed("text", "def f():\n    x")
    assert lines(flow.tail(2, "▌")) == ["def f():", "    x▌"]


def test_ten_megabytes_without_a_newline_keep_only_the_tail() -> None:
    flow = TextWrap(40, 10)
    flow.follow(attempt(("text", "a" * 10_000_000 + "END")))
    assert len(flow.rows) <= 20
    assert lines(flow.tail(1))[0].endswith("END")


def test_what_was_wrapped_is_not_wrapped_again() -> None:
    flow = TextWrap(40, 10)
    view = attempt(("text", "one\n"))
    assert flow.follow(view)
    assert not flow.follow(view)
    view.append("text", "two")
    assert flow.follow(view)
    assert lines(flow.tail(5)) == ["one", "two"]


wild = st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("ab \n\t漢👩‍💻️")), max_size=80)


@given(st.lists(st.tuples(st.sampled_from(["text", "reasoning", "tool"]), wild), max_size=8), st.integers(4, 50))
def test_no_row_is_wider_than_the_pane(pieces: list[tuple[str, str]], width: int) -> None:
    flow = TextWrap(width, 50)
    for kind, text in pieces:
        flow.feed(kind, text)
    assert all(row_width(row) <= width for row in flow.tail(50, "▌"))


@given(wild, st.integers(4, 30), st.lists(st.integers(0, 80), max_size=5))
def test_any_split_of_the_text_shows_the_same_characters(text: str, width: int, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    flow = TextWrap(width, 500)
    for start, stop in pairwise(edges):
        flow.feed("text", text[start:stop])
    shown = "".join(lines(flow.tail(500)))
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", text)
    assert all(cell_len(line) <= width for line in lines(flow.tail(500)))
