"""Promises about keys: taken out whole, even when split over chunks, and nothing else is."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kmon.probe.redact import REDACTED, Redactor

KEY = "sk-abcdef-0123456789"


def fed(text: str, cuts: list[int], secrets: tuple[str, ...] = (KEY,)) -> str:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    redactor = Redactor(secrets)
    return "".join(redactor.feed(text[a:b]) for a, b in itertools.pairwise(edges))


@given(st.text(max_size=30), st.text(max_size=30), st.lists(st.integers(0, 90), max_size=9))
def test_no_split_lets_a_key_through(before: str, after: str, cuts: list[int]) -> None:
    said = fed(f"{before}{KEY}{after}.", cuts)
    assert KEY[:8] not in said
    assert KEY[7:] not in said
    assert REDACTED in said


def test_a_key_that_comes_letter_by_letter_is_taken_out_too() -> None:
    assert fed(f"it is {KEY}, you know", list(range(60))) == f"it is {KEY[:7]}{REDACTED}, you know"


@given(st.text(alphabet="sk-abcdef0123456789 ", max_size=60), st.lists(st.integers(0, 60), max_size=9))
def test_other_text_comes_through_whole_once_it_has_ended(text: str, cuts: list[int]) -> None:
    if KEY not in text:
        assert fed(text + " the end", cuts) == text + " the end"


def test_short_values_are_no_keys() -> None:
    assert Redactor(["x", "requests"[:4]]).whole("Too many requests") == "Too many requests"


def test_a_key_inside_another_is_taken_out_once() -> None:
    assert Redactor([KEY, KEY + "-long"]).whole(f"{KEY}-long {KEY}") == f"{REDACTED} {REDACTED}"
