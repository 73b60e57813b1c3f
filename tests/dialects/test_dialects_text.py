"""Hostile text comes out harmless, whatever its pieces were."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.text import Cleaner, clean, mended

FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def test_escape_sequences_lose_their_escape() -> None:
    assert clean("\x1b[31mred\x1b]0;title\x07 \x9b1m\x90") == "[31mred]0;title 1m"


def test_newline_and_tab_stay_carriage_return_goes() -> None:
    assert clean("a\r\n\tb\x00\x7f\x0c") == "a\n\tb"


def test_bidi_controls_go_and_scripts_stay() -> None:
    assert clean("a\u202eb\u2066c\u200ed\u061ce") == "abcde"
    assert clean("שלום 你好 🙂 é") == "שלום 你好 🙂 é"


def test_unicode_line_separators_become_newlines() -> None:
    assert clean("a\u2028b\u2029c") == "a\nb\nc"


def test_markup_is_text() -> None:
    assert clean("[@click=app.quit]x[/]") == "[@click=app.quit]x[/]"


def test_a_surrogate_pair_cut_in_two_is_joined() -> None:
    cleaner = Cleaner()
    assert cleaner.feed("a\ud83d") + cleaner.feed("\ude42b") == "a🙂b"
    assert clean("\ud83d\ude42 \ud83d") == "🙂 "


@pytest.mark.parametrize(("raw", "fit"), [("\ud83d\ude42", "🙂"), ("a\ud83db", "a\ufffdb"), ("plain", "plain")])
def test_mended_text_can_be_encoded_and_keeps_the_rest(raw: str, fit: str) -> None:
    assert mended(raw) == fit


ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text(
    st.sampled_from("a\x1b\x9b\u202e\u2028\r\n\t\ud83d\ude42é")
)


@given(ANY_TEXT, st.lists(st.integers(0, 50)))
def test_any_split_gives_the_same_clean_text(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    cleaner = Cleaner()
    pieces = "".join(cleaner.feed(text[a:b]) for a, b in pairwise(edges))
    assert pieces == clean(text)
    assert FORBIDDEN.search(pieces) is None
    assert clean(pieces) == pieces
    mended(text).encode()
