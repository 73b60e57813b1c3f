"""Promises about bounds: what is cut shows it, what is not beyond them stays whole, and numbers that count nothing do
not count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.assemble import TOOL_CALLS_LIMIT, Transcript
from kmon.dialects.bounds import CUT, FRAME_LIMIT_CHARS, ID_LIMIT_CHARS, NAME_LIMIT_CHARS, bounded, ending, frame_text
from kmon.dialects.chat import chunk_delta
from kmon.dialects.delta import Delta, StreamError, ToolCall, ToolFragment
from kmon.dialects.json_access import COUNT_LIMIT, count
from kmon.stream.sanitize import FRAGMENTS_LIMIT, Sanitizer


@given(st.text(max_size=40), st.integers(2, 40))
def test_what_is_cut_shows_it_on_the_side_where_it_was_cut(text: str, limit: int) -> None:
    for cut, kept in ((bounded(text, limit), text[: limit - 1] + CUT), (ending(text, limit), CUT + text[1 - limit :])):
        assert cut == (text if len(text) <= limit else kept)
        assert len(cut) <= limit


def test_a_frame_that_is_cut_shows_it() -> None:
    assert frame_text(b"a" * FRAME_LIMIT_CHARS) == "a" * FRAME_LIMIT_CHARS
    assert frame_text("é".encode() * (FRAME_LIMIT_CHARS + 1)) == "é" * (FRAME_LIMIT_CHARS - 1) + CUT


@pytest.mark.parametrize("value", [-1, -0.5, 10**400, 2**53, 1e308, math.nan, math.inf, True, "12", None, [1]])
def test_what_counts_nothing_is_no_count(value: object) -> None:
    assert count(value) is None
    assert chunk_delta({"choices": [], "usage": {"prompt_tokens": value, "completion_tokens": 7}}).usage is not None
    assert chunk_delta({"choices": [], "usage": {"prompt_tokens": value}}).usage is None


@pytest.mark.parametrize(("value", "counted"), [(0, 0), (12, 12), (12.0, 12), (12.7, 12), (COUNT_LIMIT, COUNT_LIMIT)])
def test_what_counts_something_does(value: float, counted: int) -> None:
    assert count(value) == counted


def test_long_names_are_cut_and_healthy_ones_stay_whole() -> None:
    translate = Sanitizer("r", 1)
    long, healthy = "x" * (NAME_LIMIT_CHARS + 1), "y" * NAME_LIMIT_CHARS
    cut, whole = (
        translate(
            1, Delta(finish_reason=name, model=name, upstream=name, error=StreamError("in-stream", "m", code=name))
        )
        for name in (long, healthy)
    )
    for event, wanted in ((cut, long[:-2] + CUT), (whole, healthy)):
        assert event.error is not None
        assert {event.finish_reason, event.model, event.upstream, event.error.code} == {wanted}


def test_a_long_id_and_64_kb_of_arguments_stay_whole() -> None:
    call = ToolCall("i" * ID_LIMIT_CHARS, "get_weather", '{"city":"' + "z" * 64_000 + '"}')
    assert Sanitizer("r", 1, secrets=("sk-0123456789abcdef",)).tool_calls([call]) == (call,)
    (event,) = [Sanitizer("r", 1)(1, Delta(tools=(ToolFragment(0, call.id, call.name, call.arguments),)))]
    assert (event.tools[0].id, event.tools[0].arguments, event.tools_dropped) == (call.id, call.arguments, 0)


def test_tool_calls_beyond_the_limits_are_counted() -> None:
    many = Delta(tools=tuple(ToolFragment(n, f"c{n}", "name", "{}") for n in range(TOOL_CALLS_LIMIT + 30)))
    event, transcript = Sanitizer("r", 1)(1, many), Transcript()
    transcript.add(many)
    assert (len(event.tools), event.tools_dropped) == (FRAGMENTS_LIMIT, TOOL_CALLS_LIMIT + 30 - FRAGMENTS_LIMIT)
    assert (len(transcript.tool_calls), transcript.dropped_calls, transcript.dropped_chars) == (
        TOOL_CALLS_LIMIT,
        30,
        60,
    )
