"""JSON values are cut out of any split of the bytes; what is no value, or too large, is reported."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import Delta
from kmon.dialects.json_pieces import ArrayDecoder, JSONPiecesDecoder, LinesDecoder, Piece

VALUES = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=8) | st.integers() | st.lists(st.none())))
BYTES = st.lists(
    st.binary(max_size=5) | st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b",", b"\r\n", b"\xef\xbb\xbf"])
).map(b"".join)
SPLITS = st.lists(st.integers(0, 60), max_size=6)
DECODERS = pytest.mark.parametrize("make", [LinesDecoder, ArrayDecoder])


def read(decoder: LinesDecoder | ArrayDecoder, body: bytes, cuts: list[int]) -> list[Piece]:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [piece for at, end in pairwise(edges) for piece in decoder.feed(body[at:end])]
    return pieces + decoder.end()


@DECODERS
@given(body=BYTES, cuts=SPLITS)
def test_any_split_gives_the_same_pieces(make: type[LinesDecoder | ArrayDecoder], body: bytes, cuts: list[int]) -> None:
    assert read(make(), body, cuts) == read(make(), body, [])
    assert read(make(4), body, cuts)[:1] == read(make(4), body, [])[:1]


@given(VALUES, SPLITS, st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
def test_lines_are_the_values(values: list[object], cuts: list[int], end: bytes) -> None:
    body = b"".join(json.dumps(value).encode() + end for value in values)
    assert [json.loads(piece.data) for piece in read(LinesDecoder(), body, cuts)] == values


@given(VALUES, SPLITS, st.sampled_from([b",", b"\n,\n", b", "]), st.sampled_from([b"", b"\xef\xbb\xbf", b" "]))
def test_elements_are_the_values(values: list[object], cuts: list[int], between: bytes, before: bytes) -> None:
    body = before + b"[" + between.join(json.dumps(value).encode() for value in values) + b"]"
    assert [json.loads(piece.data) for piece in read(ArrayDecoder(), body, cuts)] == values


def test_an_element_is_passed_on_with_its_last_bracket() -> None:
    decoder = ArrayDecoder()
    assert decoder.feed(b'[{"a": "}"') == []
    assert decoder.feed(b"}") == [Piece(b'{"a": "}"}')]
    assert decoder.end() == []


@DECODERS
def test_a_cut_value_is_said_to_be_cut(make: type[LinesDecoder | ArrayDecoder]) -> None:
    assert read(make(), b'{"a": 1', []) == [Piece(b'{"a": 1', "cut")]


def test_plain_words_inside_an_array_are_passed_on() -> None:
    pieces = read(ArrayDecoder(), b'[{"a": 1}\nupstream connect error\n', [])
    assert pieces == [Piece(b'{"a": 1}'), Piece(b"upstream connect error", "stray")]


@DECODERS
def test_a_value_over_the_limit_is_skipped_and_the_next_is_read(make: type[LinesDecoder | ArrayDecoder]) -> None:
    body = b'{"a": "' + b"x" * 50 + b'"}\n{"b": 1}\n'
    large, after = read(make(20), body, [3, 10, 30])
    assert large.problem == "too-large"
    assert after == Piece(b'{"b": 1}')


def test_deltas_tell_values_from_what_is_none() -> None:
    decoder = JSONPiecesDecoder(LinesDecoder(), lambda value, raw: Delta(text=str(value["t"]), raw=raw))
    good, listed, broken = decoder.feed(b'{"t": "a"}\n[1]\n{"t"\n')
    (cut,) = decoder.feed(b'{"t') + decoder.end()
    assert good.text == "a"
    assert [delta.error and delta.error.message for delta in (listed, broken, cut)] == [
        "a frame that is no JSON object",
        "invalid JSON",
        "the body ended inside a frame",
    ]
