"""The SSE decoder keeps the WHATWG rules, loses no sign of life and stays bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.sse import Comment, Event, Item, Overflow, SSEDecoder, Stray


def decode(*pieces: bytes, limit_bytes: int = 1000) -> list[Item]:
    decoder = SSEDecoder(limit_bytes)
    found: list[Item] = []
    for piece in pieces:
        found += decoder.feed(piece)
    return found + decoder.end()


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_dispatches(end: bytes) -> None:
    assert decode(b"data: a" + end * 2 + b"data: b" + end * 2) == [Event(b"a"), Event(b"b")]


def test_a_carriage_return_ends_its_line_before_the_next_byte_is_known() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\r") == [Event(b"a")]
    assert decoder.feed(b"\ndata: b\r\n\r\n") == [Event(b"b")]


def test_one_leading_byte_order_mark_is_dropped_a_second_is_not() -> None:
    assert decode(b"\xef\xbb\xbfdata: a\n\n") == [Event(b"a")]
    assert decode(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == [Event(b"a")]
    assert decode(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n") == [Stray(b"\xef\xbb\xbfdata: a")]


def test_data_lines_are_joined_and_at_most_one_space_is_taken() -> None:
    assert decode(b"data:a\ndata:  b\ndata\n\n") == [Event(b"a\n b\n")]


def test_an_event_without_data_is_silent_and_its_name_is_forgotten() -> None:
    assert decode(b"event: note\n\ndata: a\n\n") == [Event(b"a")]
    assert decode(b"event: note\ndata: a\n\n") == [Event(b"a", "note")]


def test_an_event_called_error_is_told_without_data_as_well() -> None:
    assert decode(b"event: error\n\ndata: a\n\n") == [Event(b"", "error"), Event(b"a")]


def test_unicode_separators_and_form_feeds_are_no_line_ends() -> None:
    data = "a\u2028b\u2029c\x85d\x0be\x0cf".encode()
    assert decode(b"data: " + data + b"\n\n") == [Event(data)]


def test_comments_are_kept_as_signs_of_life() -> None:
    assert decode(b": OPENROUTER PROCESSING\n\n:\n") == [Comment(b": OPENROUTER PROCESSING"), Comment(b":")]


def test_reconnection_fields_are_ignored_and_bare_lines_are_told() -> None:
    assert decode(b'id: 1\nretry: 5\n{"error":1}\ndata: a\n\n') == [Stray(b'{"error":1}'), Event(b"a")]


@pytest.mark.parametrize("tail", [b"data: a", b"data: a\n", b"data: a\r"])
def test_an_unterminated_tail_is_told_as_incomplete(tail: bytes) -> None:
    assert decode(tail) == [Event(b"a", complete=False)]
    assert decode(b"data: x\n\ndat") == [Event(b"x"), Stray(b"dat", complete=False)]


def test_what_is_too_large_is_told_once_and_skipped() -> None:
    assert decode(b"data: " + b"x" * 100 + b"\ndata: y\n\ndata: z\n\n", limit_bytes=20) == [
        Overflow(b"data: " + b"x" * 14),
        Event(b"z"),
    ]
    assert decode(b"data: 12345678\n" * 3 + b"\ndata: z\n\n", limit_bytes=20) == [
        Overflow(b"12345678\n12345678\n12"),
        Event(b"z"),
    ]


def test_ten_megabytes_without_a_newline_are_told_and_not_kept() -> None:
    decoder = SSEDecoder()
    items = [item for _ in range(10 * 1024) for item in decoder.feed(b"x" * 1024)]
    assert len(items) == 1
    assert isinstance(items[0], Overflow)
    assert decoder.feed(b"\n\ndata: a\n\n") == [Event(b"a")]


LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data", b"event: error", b": hi", b"", b"", b"id: 1", b"junk", b"\xef\xbb\xbf", b"\xff"]
)
BODIES = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n", b""]))).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


@given(st.one_of(BODIES, st.binary(max_size=200)), st.lists(st.integers(0, 200)), st.sampled_from([5, 12, 1000]))
def test_any_split_gives_the_same_items(body: bytes, cuts: list[int], limit_bytes: int) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]
    whole = decode(body, limit_bytes=limit_bytes)
    assert decode(*pieces, limit_bytes=limit_bytes) == whole
    assert decode(*(bytes([byte]) for byte in body), limit_bytes=limit_bytes) == whole
