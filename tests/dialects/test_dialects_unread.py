"""Streams of an unknown dialect: what is recognised of them does not depend on how the bytes are split."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.registry import formats
from kmon.dialects.sse_deltas import EVENTS_LOOKED_AT, PlainDecoder
from kmon.dialects.unread_dialects import ANY, UNREAD, unread_name, unread_words
from kmon.simulator.dialects.registry import server_dialects
from tests.support.simulated_streams import body


def sse(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


SHOWN = {
    "cohere": {"type": "content-delta", "delta": {}},
    "ai-sdk-ui": {"type": "text-delta", "id": "0", "delta": "Hi"},
    "dashscope": {"output": {"text": "Hi"}, "request_id": "r"},
    "workers-ai": {"response": "Hi"},
    "llama-cpp": {"content": "Hi", "stop": False},
    "mcp": {"jsonrpc": "2.0", "method": "notifications/progress"},
}


def test_each_has_words_of_its_own_and_an_unknown_one_has_the_general_ones() -> None:
    assert set(SHOWN) == {entry.name for entry in UNREAD}
    assert len({unread_words(name) for name in SHOWN}) == len(UNREAD)
    assert unread_words("") == unread_words("chat") == ANY


@pytest.mark.parametrize("name", SHOWN)
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_any_split_shows_the_same(name: str, cuts: list[int]) -> None:
    data = b": ping\n\n" + sse({"unknown": 1}) + b"data: no json\n\n" + sse(SHOWN[name]) + sse({"type": "start"})
    whole, split = PlainDecoder(), PlainDecoder()
    deltas = whole.feed(data)
    at = sorted(min(cut, len(data)) for cut in cuts)
    pieces = [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]
    assert [delta for piece in pieces for delta in split.feed(piece)] == deltas
    assert split.dialect == whole.dialect == name
    assert not any("Hi" in delta.raw for delta in deltas)


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    decoder = PlainDecoder()
    decoder.feed(data)
    assert decoder.end() == []
    assert decoder.dialect in ("", *SHOWN)


def test_only_the_first_events_are_parsed() -> None:
    decoder = PlainDecoder()
    decoder.feed(sse({"a": 1}) * EVENTS_LOOKED_AT + sse(SHOWN["mcp"]))
    assert decoder.dialect == ""


def test_no_event_of_a_dialect_that_is_read_is_taken_for_one() -> None:
    read = {entry.name: entry for entry in formats()}
    for side in server_dialects():
        values = [value for framing in read[side.name].framings for _, value in framing.events(body(side))]
        assert values or side.name == "converse"
        assert {unread_name(value) for value in values} <= {None}, side.name
