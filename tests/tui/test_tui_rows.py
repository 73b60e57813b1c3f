"""RowSource are exactly as wide as they should be, whatever is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kmon.tui.spans import Span, cut_head, fit, row_width, shorten, spread, wrap

wild = st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("漢字🎉👩‍💻é️ \t")), max_size=60)


@given(st.lists(wild, max_size=5), st.integers(0, 60))
def test_fit_makes_every_row_exactly_as_wide(texts: list[str], width: int) -> None:
    assert row_width(fit(tuple(Span(text) for text in texts), width)) == width


@given(wild, wild, st.integers(0, 60))
def test_spread_makes_every_row_exactly_as_wide(left: str, right: str, width: int) -> None:
    assert row_width(spread((Span(left),), (Span(right),), width)) == width


@given(wild, st.integers(0, 40))
def test_shorten_never_exceeds_its_width(text: str, width: int) -> None:
    assert cell_len(shorten(text, width)) <= width


@given(wild.filter(bool), st.integers(2, 40))
def test_cut_head_takes_something_that_fits(text: str, width: int) -> None:
    head, rest = cut_head(text, width)
    assert head
    assert cell_len(head) <= width
    assert text in (head + rest, f"{head} {rest}")


@given(wild, st.integers(2, 40), st.integers(0, 4))
def test_wrap_keeps_to_its_lines_and_width(text: str, width: int, limit: int) -> None:
    lines = wrap(text, width, limit)
    assert len(lines) <= limit
    assert all(cell_len(line) <= width for line in lines)


def test_a_shortened_sentence_says_that_it_goes_on() -> None:
    assert shorten("connection reset", 8) == "connect…"
    assert wrap("one two three four", 9, 2) == ["one two", "three fo…"]
