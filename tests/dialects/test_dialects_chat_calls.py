"""Which call a piece belongs to: each rule with the stream that needs it, and its twin that must not be read so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.assemble import Transcript
from kmon.dialects.chat import Chat
from kmon.dialects.chat_calls import CALLS_LIMIT, ChatCalls, grown
from kmon.dialects.delta import Delta, ToolCall

Entry = dict[str, Any]


def piece(arguments: object = "", *, name: str | None = None, **members: object) -> Entry:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return members | {"function": function}


def calls(*chunks: Entry | list[Entry]) -> list[tuple[str, str, str]]:
    """The calls of a stream with these entries, each in a chunk of its own, or those of a list in one chunk."""
    decoder, transcript = Chat().decoder(), Transcript()
    for chunk in chunks:
        entries = chunk if isinstance(chunk, list) else [chunk]
        body = json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": entries}}]})
        for delta in decoder.feed(b"data: " + body.encode() + b"\n\n"):
            transcript.add(delta)
    return [(call.id, call.name, call.arguments) for call in transcript.tool_calls]


# -- ids --------------------------------------------------------------------------------------------------------------


def test_a_known_id_names_its_call_whatever_the_index() -> None:
    assert calls(
        piece(index=0, id="x", name="find"),
        piece(index=0, id="y", name="sum"),
        piece('{"q":', index=0, id="x"),
        piece('{"n":', index=0, id="y"),
        piece("1}", index=0),  # the call last spoken of at this index
        piece('"a"}', index=0, id="x"),
    ) == [("x", "find", '{"q":"a"}'), ("y", "sum", '{"n":1}')]


def test_a_new_id_with_every_piece_is_one_call_and_with_a_name_another() -> None:
    assert calls(piece("{", index=0, id="a", name="f"), piece("}", index=0, id="b")) == [("a", "f", "{}")]
    assert len(calls(piece("{}", index=0, id="a", name="f"), piece("{}", index=0, id="b", name="f"))) == 2


def test_two_calls_with_one_id_are_told_apart_by_index() -> None:
    assert calls(
        piece(index=0, id="f:0", name="f"),
        piece("{}", index=0, id="f:0"),
        piece(index=1, id="f:0", name="f"),
        piece("[]", index=1, id="f:0"),
    ) == [("f:0", "f", "{}"), ("f:0", "f", "[]")]


def test_a_known_id_at_a_new_index_without_a_name_is_the_same_call() -> None:
    assert calls(piece("{", index=0, id="a", name="f"), piece("}", index=1, id="a")) == [("a", "f", "{}")]


def test_an_id_or_a_name_may_come_late() -> None:
    assert calls(piece(index=0, name="f"), piece("{}", index=0, id="a", name="f")) == [("a", "f", "{}")]
    assert calls(piece("{}", index=0, id="a"), piece(index=0, name="f")) == [("a", "f", "{}")]
    assert calls(piece(index=0, name="f"), piece("{}", index=0, id="b", name="g")) == [("", "f", ""), ("b", "g", "{}")]


# -- no index ---------------------------------------------------------------------------------------------------------


def test_without_an_index_a_piece_is_of_the_call_last_spoken_of() -> None:
    assert calls(
        piece(id="a", name="f"), piece("{"), piece("}"), piece(id="b", name="g"), piece("{", id="b"), piece("}")
    ) == [("a", "f", "{}"), ("b", "g", "{}")]


def test_without_an_index_a_known_id_goes_back_to_its_call() -> None:
    assert calls(piece("{", id="a", name="f"), piece("{}", id="b", name="g"), piece("}", id="a")) == [
        ("a", "f", "{}"),
        ("b", "g", "{}"),
    ]


def test_without_an_index_a_made_up_id_goes_on_and_after_complete_arguments_begins() -> None:
    assert calls(piece("{", id="a", name="f"), piece("}", id="z")) == [("a", "f", "{}")]
    assert len(calls(piece("{}", id="a", name="f"), piece("{}", id="z"))) == 2


def test_entries_of_one_list_without_index_are_different_calls() -> None:
    assert calls([piece(name="f"), piece(name="g")], [piece("{}"), piece("[]")]) == [("", "f", "{}"), ("", "g", "[]")]


def test_entries_of_one_list_with_one_index_are_one_call() -> None:
    assert calls([piece(index=0, id="a", name="f"), piece("{}", index=0)]) == [("a", "f", "{}")]


def test_bare_arguments_at_a_new_index_go_on_with_unfinished_ones() -> None:
    assert calls(piece(index=0, id="a", name="f"), piece('{"q":', index=1), piece("1}", index=2)) == [
        ("a", "f", '{"q":1}')
    ]


def test_bare_arguments_at_a_new_index_after_finished_ones_wait_for_their_name() -> None:
    assert calls(
        piece("{}", index=0, id="a", name="f"), piece("[", index=1), piece("]", index=1, id="b", name="g")
    ) == [
        ("a", "f", "{}"),
        ("b", "g", "[]"),
    ]


def test_an_index_that_counted_pieces_may_be_that_of_the_next_call() -> None:
    assert calls(
        piece("{", index=0, id="a", name="f"), piece("}", index=1), piece("{}", index=1, id="b", name="f")
    ) == [("a", "f", "{}"), ("b", "f", "{}")]


# -- names ------------------------------------------------------------------------------------------------------------


def test_a_name_after_complete_arguments_begins_another_call() -> None:
    assert calls(piece('{"a":"}"}', index=0, name="f"), piece("{}", index=0, name="g")) == [
        ("", "f", '{"a":"}"}'),
        ("", "g", "{}"),
    ]
    assert len(calls(piece('{"a":1}', index=0, name="f"), piece('{"a":2}', index=0, name="f"))) == 2


@pytest.mark.parametrize("unfinished", ['{"a":', '{"a":"}', '{"a":"\\"}', '{"a":[{}'])
def test_a_name_repeated_while_the_arguments_are_unfinished_is_a_repetition(unfinished: str) -> None:
    assert calls(piece(unfinished, index=0, name="f"), piece("1}", index=0, name="f")) == [("", "f", unfinished + "1}")]


def test_a_name_repeated_after_the_arguments_and_without_any_is_a_repetition() -> None:
    assert calls(piece("{}", index=0, name="f"), piece("", index=0, name="f")) == [("", "f", "{}")]


def test_a_name_repeated_alone_begins_a_call_if_an_object_follows() -> None:
    again = piece(index=0, name="f")
    assert calls(again, piece('{"a":1}', index=0), again, piece('{"a"', index=0), piece(":2}", index=0)) == [
        ("", "f", '{"a":1}'),
        ("", "f", '{"a":2}'),
    ]
    assert calls(again, piece('{"a":1}', index=0), again, piece("\n", index=0)) == [("", "f", '{"a":1}\n')]


def test_blank_arguments_begin_no_call() -> None:
    assert calls(piece("{}", index=0, name="f"), piece("\n", index=0, name="f")) == [("", "f", "{}\n")]


@pytest.mark.parametrize("word", ["null", "None"])
def test_a_word_for_no_name_or_no_id_is_none(word: str) -> None:
    assert calls(piece("{", index=0, id="a", name="f"), piece("}", index=0, id=word, name=word)) == [("a", "f", "{}")]
    assert calls(piece("{}", index=0, id=word, name=word)) == [("", word, "{}")]  # the only name there is


def test_another_name_after_arguments_begins_a_call_even_if_they_are_unfinished() -> None:
    assert calls(piece('{"a', index=0, name="f"), piece("{}", index=0, name="g")) == [("", "f", '{"a'), ("", "g", "{}")]


def test_a_name_may_come_in_pieces_or_grow_until_the_arguments_begin() -> None:
    pieces = [piece(index=0, id="a", name="get_"), piece(index=0, name="weather"), piece("{}", index=0)]
    assert calls(*pieces) == [("a", "get_weather", "{}")]
    assert calls(piece(index=0, name="get_"), piece("{}", index=0, name="get_weather")) == [("", "get_weather", "{}")]


# -- other forms ------------------------------------------------------------------------------------------------------


def test_a_custom_tool_has_free_text_for_arguments() -> None:
    told, transcript = ChatCalls(), Transcript()
    for entry in (
        {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": "select "}},
        {"index": 0, "custom": {"input": "1"}},
    ):
        transcript.add(Delta(tools=told.fragments({"tool_calls": [entry]})))
    assert transcript.tool_calls == (ToolCall("a", "sql", "select 1", free_form=True),)


def test_a_call_without_its_inner_object() -> None:
    assert calls({"index": 0, "id": "a", "name": "f", "arguments": "{}"}) == [("a", "f", "{}")]
    assert calls(piece("{}", index=0, id="a", name="f"), {"index": 1, "type": "function"}) == [("a", "f", "{}")]


# -- objects ----------------------------------------------------------------------------------------------------------


def test_an_object_that_grows_replaces_what_it_was() -> None:
    assert calls(
        piece({}, index=0, id="a", name="f"),
        piece({"city": "Os"}, index=0, id="a", name="f"),
        piece({"city": "Oslo", "days": 2}, index=0),
    ) == [("a", "f", '{"city":"Oslo","days":2}')]


def test_an_object_that_is_another_is_another_call_by_its_name() -> None:
    assert calls(piece({"a": 1}, index=0, name="f"), piece({"a": 2}, index=0, name="f")) == [
        ("", "f", '{"a":1}'),
        ("", "f", '{"a":2}'),
    ]


def test_arguments_sent_twice_as_text_are_kept_as_they_came() -> None:
    assert calls(piece("{}", index=0, id="a", name="f"), piece("{}", index=0)) == [("a", "f", "{}{}")]


@pytest.mark.parametrize(
    ("before", "after", "grew"),
    [
        ({}, {"a": 1}, True),
        ({"a": [1]}, {"a": [1, 2]}, True),
        ({"a": None}, {"a": "x"}, True),
        ({"a": "ab"}, {"a": "b"}, False),
        ({"a": 1}, {}, False),
        ([1, 2], [1], False),
        (1, 2, False),
    ],
)
def test_what_has_grown(before: object, after: object, grew: bool) -> None:
    assert grown(before, after) is grew


# -- in general -------------------------------------------------------------------------------------------------------

ENTRIES = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({}, optional={"name": st.text(max_size=3), "arguments": st.text(max_size=4)})},
    optional={"index": st.integers(0, 2) | st.none(), "id": st.sampled_from(["a", "b", "", None])},
)


@given(st.lists(st.lists(ENTRIES, max_size=3), max_size=8))
def test_no_argument_is_lost_and_none_is_invented(chunks: list[list[Entry]]) -> None:
    told, transcript = ChatCalls(), Transcript()
    for entries in chunks:
        transcript.add(Delta(tools=told.fragments({"tool_calls": entries})))
    given_text = "".join(e["function"].get("arguments", "") for entries in chunks for e in entries)
    assert sorted("".join(call.arguments for call in transcript.tool_calls)) == sorted(given_text)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_anything_at_all_may_stand_in_a_delta(value: object) -> None:
    for delta in ({"tool_calls": value}, {"tool_calls": [value]}, {"function_call": value}):
        assert isinstance(ChatCalls().fragments(delta), tuple)
        assert isinstance(
            ChatCalls().fragments({"tool_calls": [{"function": value, "id": value, "index": value}]}), tuple
        )


def test_calls_beyond_the_limit_are_counted_and_mix_with_no_other() -> None:
    told, transcript = ChatCalls(), Transcript()
    entries = [piece("{}", id=f"id-{n}", name="f") for n in range(CALLS_LIMIT + 5)]
    transcript.add(Delta(tools=told.fragments({"tool_calls": entries})))
    assert len(transcript.tool_calls) == CALLS_LIMIT
    assert transcript.dropped_calls == 5
    assert set(transcript.tool_calls) == {ToolCall(f"id-{n}", "f", "{}") for n in range(CALLS_LIMIT)}
