"""A transcript says what the answer said: merged calls, last usage, first error, and never too much."""

from __future__ import annotations

import pytest

from kmon.dialects import assemble
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, StreamError, ToolCall, ToolFragment, Usage


def transcript(*deltas: Delta) -> Transcript:
    folded = Transcript()
    for delta in deltas:
        folded.add(delta)
    return folded


def calls(*fragments: ToolFragment) -> tuple[ToolCall, ...]:
    return transcript(*(Delta(tools=(fragment,)) for fragment in fragments)).tool_calls


def test_text_reasoning_and_endings_are_folded() -> None:
    folded = transcript(
        Delta(keepalive=True, chunk=False),
        Delta(reasoning="hm", response_id="r1", model="m"),
        Delta(text="a", finish_reason="tool_calls", usage=Usage(1, 1, 2), response_id="r2"),
        Delta(text="b", finish_reason="stop", usage=Usage(1, 2, 3)),
        Delta(done=True, chunk=False),
    )
    assert (folded.text, folded.reasoning, folded.finish_reason) == ("ab", "hm", "stop")
    assert (folded.usage, folded.done, folded.chunks) == (Usage(1, 2, 3), True, 3)
    assert (folded.response_id, folded.model, folded.error) == ("r1", "m", None)


def test_an_id_and_name_repeated_on_every_piece_are_not_concatenated() -> None:
    pieces = [ToolFragment(0, "functions.add:0", "add", part) for part in ('{"a"', ":1}")]
    assert calls(*pieces) == (ToolCall("functions.add:0", "add", '{"a":1}'),)


def test_a_new_id_with_a_name_at_the_same_index_is_a_new_call() -> None:
    assert calls(ToolFragment(0, "a", "f", "{}"), ToolFragment(0, "b", "f", "{}")) == (
        ToolCall("a", "f", "{}"),
        ToolCall("b", "f", "{}"),
    )


def test_a_new_id_without_a_name_is_the_same_call() -> None:
    assert calls(ToolFragment(0, "a", "f", "{"), ToolFragment(0, "b", "", "}")) == (ToolCall("a", "f", "{}"),)


def test_two_calls_with_one_id_are_told_apart_by_index() -> None:
    assert len(calls(ToolFragment(0, "same", "f", "{}"), ToolFragment(1, "same", "f", "{}"))) == 2


def test_an_id_or_name_that_comes_late_is_taken() -> None:
    assert calls(ToolFragment(0, "", "", "{"), ToolFragment(0, "a", "f", "}")) == (ToolCall("a", "f", "{}"),)


def test_an_entry_that_never_says_anything_is_no_call() -> None:
    assert calls(ToolFragment(0)) == ()


def test_an_error_is_kept_and_so_is_what_follows() -> None:
    first, second = StreamError("in-stream", "first"), StreamError("in-stream", "second")
    folded = transcript(Delta(text="a"), Delta(error=first), Delta(error=second), Delta(text="b"))
    assert (folded.error, folded.text) == (first, "ab")


def test_a_providers_error_outranks_a_malformed_frame() -> None:
    bad, real = StreamError("malformed-frame", "?"), StreamError("in-stream", "!")
    assert transcript(Delta(error=bad), Delta(error=real), Delta(error=bad)).error == real
    assert transcript(Delta(error=bad), Delta(error=bad)).malformed_frames == 2


def test_a_surrogate_pair_cut_by_a_chunk_boundary_is_joined() -> None:
    folded = transcript(Delta(text="a\ud83d"), Delta(text="\ude42"), Delta(reasoning="\ud83d"))
    assert (folded.text, folded.reasoning) == ("a🙂", "\ufffd")


def test_what_is_beyond_the_limits_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "TEXT_LIMIT_CHARS", 4)
    monkeypatch.setattr(assemble, "TOOL_CALLS_LIMIT", 1)
    folded = transcript(
        Delta(text="abc"),
        Delta(text="def"),
        Delta(text="g"),
        Delta(tools=(ToolFragment(0, "a"), ToolFragment(1, "b", "", "xy"))),
    )
    assert (folded.text, folded.dropped_chars, len(folded.tool_calls)) == ("abcd", 5, 1)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ([Usage(3, 1, 4), Usage(3, 2, 5)], Usage(3, 2, 5)),
        ([Usage(3, 2, 5, 1, 2), Usage(None, None, None)], Usage(3, 2, 5, 1, 2)),
        ([Usage(3, None, None), Usage(None, 2, None)], Usage(3, 2, None)),
        ([Usage(3, 1, 4), Usage(None, 2, None)], Usage(3, 2, None)),
        ([Usage(3, 2, None), Usage(None, None, 5)], Usage(3, 2, 5)),
        ([Usage(0, 0, 0), Usage(3, 2, 5)], Usage(3, 2, 5)),
        ([Usage(3, 2, 5, 1), Usage(3, 4, 7)], Usage(3, 4, 7)),
    ],
)
def test_a_count_is_the_last_one_told_and_none_is_taken_back(told: list[Usage], usage: Usage) -> None:
    folded = Transcript()
    for counts in told:
        folded.add(Delta(usage=counts))
    folded.add(Delta())
    assert folded.usage == usage
