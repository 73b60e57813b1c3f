"""Chat Completions: what each quirk of the wire means, one small fixture per quirk."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kmon.dialects.bounds import FRAME_LIMIT_CHARS
from kmon.dialects.chat import Chat
from kmon.dialects.delta import Delta, ToolFragment, Usage


def deltas(*frames: bytes | dict[str, Any]) -> list[Delta]:
    """Decode frames: dicts as data events, bytes as they are."""
    decoder = Chat().decoder()
    body = b"".join(f if isinstance(f, bytes) else b"data: " + json.dumps(f).encode() + b"\n\n" for f in frames)
    return decoder.feed(body) + decoder.end()


def only(*frames: bytes | dict[str, Any]) -> Delta:
    (delta,) = deltas(*frames)
    return delta


def said(delta: dict[str, Any] | None, **choice: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, **choice}]}


def test_a_plain_chunk() -> None:
    chunk = said({"content": "hi"}) | {"id": "c1", "model": "m", "provider": "Groq", "object": "chat.completion.chunk"}
    delta = only(chunk)
    assert (delta.text, delta.response_id, delta.model, delta.upstream) == ("hi", "c1", "m", "Groq")
    assert (delta.kind, delta.progress, delta.chunk, delta.raw) == ("text", True, True, json.dumps(chunk))


def test_done_is_the_end_but_no_chunk() -> None:
    assert only(b"data: [DONE]\n\n") == Delta(done=True, chunk=False, raw="[DONE]")
    assert only(b"data: [DONE]").done


def test_comments_pings_and_blank_data_are_life_not_progress() -> None:
    comment, ping, blank = deltas(b": ping\n\n", b'event: ping\ndata: {"type":"ping"}\n\n', b"data:\n\n")
    assert comment == Delta(keepalive=True, chunk=False, raw=": ping")
    assert [d.kind for d in (comment, ping, blank)] == ["keepalive"] * 3
    assert not any(d.progress for d in (comment, ping, blank))


def test_data_needs_no_space_and_lines_may_end_in_crlf() -> None:
    assert only(b'data:{"choices":[{"delta":{"content":"x"}}]}\r\n\r\n').text == "x"


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": []},
        {},
        {"choices": None},
        said(None),
        said({}),
        said({"role": "assistant", "content": ""}),
        said({"content": None, "tool_calls": [], "reasoning": None}),
        said({"content": None, "tool_calls": None}),
        {"choices": [{"index": 0}]},
        {"choices": [], "prompt_filter_results": []},
    ],
)
def test_empty_chunks_are_chunks_and_nothing_more(chunk: dict[str, Any]) -> None:
    delta = only(chunk)
    assert (delta.kind, delta.chunk, delta.progress) == ("other", True, False)


# -- text -------------------------------------------------------------------------------------------------------------


def test_text_and_message_beside_delta_are_not_read_twice() -> None:
    assert only(said({"content": "a"}, text="a", message={"content": "so far a"})).text == "a"
    assert only({"object": "chat.completion.chunk", **said(None, text="x")}).text == ""


def test_legacy_completions_have_text_instead_of_delta() -> None:
    delta = only({"object": "text_completion", "choices": [{"index": 0, "text": " def", "finish_reason": "length"}]})
    assert (delta.text, delta.finish_reason) == (" def", "length")


def test_only_choice_zero_is_text() -> None:
    one, zero = {"index": 1, "delta": {"content": "B"}}, {"index": 0, "delta": {"content": "A"}}
    assert only({"choices": [one, zero]}).text == "A"
    assert only({"choices": [one]}).kind == "other"
    assert only({"choices": [{"delta": {"content": "no index"}}]}).text == "no index"
    assert only({"choices": [{"index": 0.0, "delta": {"content": "float"}}]}).text == "float"


def test_content_lists_are_split_into_thinking_and_text() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "text", "text": "m"}]},
        {"type": "text", "text": "yes"},
    ]
    delta = only(said({"content": parts}))
    assert (delta.reasoning, delta.text) == ("hmm", "yes")
    databricks = [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]}]
    assert only(said({"content": databricks})).reasoning == "so"


def test_a_refusal_is_no_text_but_output() -> None:
    delta = only(said({"refusal": "I cannot.", "content": None}))
    assert (delta.text, delta.refusal, delta.progress) == ("", "I cannot.", True)
    assert not only(said({"refusal": None, "content": ""})).progress


def test_audio_and_pictures_are_output_without_text() -> None:
    spoken = only(said({"audio": {"id": "a", "data": "AAAA"}}))
    assert (spoken.text, spoken.media, spoken.progress) == ("", ("",), True)
    assert only(said({"audio": {"id": "a", "expires_at": 1}})).media == ()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    drawn = only(said({"content": "", "images": [image, {"image_url": {"url": "https://x.example/y"}}, 3]}))
    assert drawn.media == ("image/png", "", "")
    assert only(said({"images": [], "audio": None})).media == ()


# -- reasoning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        "reasoning_content", "reasoning", "reasoning_text", "reasoning_summary", "reasoning_delta", "thinking",
        "thinking_content", "thought", "thoughts", "cot_summary", "chain_of_thought",
    ],
)  # fmt: skip
def test_reasoning_under_any_name(field: str) -> None:
    delta = only(said({field: "hm", "content": "", "reasoning_details": [{"text": "hm"}]}))
    assert (delta.reasoning, delta.kind) == ("hm", "reasoning")


@pytest.mark.parametrize(
    "beside",
    [
        {"reasoning_opaque": "AAAA"}, {"reasoning_effort": "high"}, {"reasoning_id": "x"},
        {"reasoning": {"effort": "x"}}, {"thought_signature": "AAAA"}, {"thinking": {"type": "enabled"}},
        {"thought": True}, {"cot_id": "x"},
        {"provider_specific_fields": {"citations": []}}, {"extra_content": {"google": {"thought_signature": "AAAA"}}},
    ],
)  # fmt: skip
def test_what_is_about_the_reasoning_is_none(beside: dict[str, Any]) -> None:
    delta = only(said({"content": "hm"} | beside))
    assert (delta.text, delta.reasoning) == ("hm", "")


@pytest.mark.parametrize(
    "form",
    [
        {"reasoning": {"content": "hm"}},
        {"reasoning_content": {"text": "hm"}},
        {"reasoning_content": ["h", "m"]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "AAAA"}]},
        {"provider_specific_fields": {"reasoning_content": "hm"}},
        {"reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
        {"content": [{"type": "reasoning_text", "text": "hm"}]},
    ],
)
def test_reasoning_in_any_form(form: dict[str, Any]) -> None:
    delta = only(said({"content": ""} | form))
    assert (delta.text, delta.reasoning) == ("", "hm")


def words(*pieces: dict[str, Any]) -> tuple[str, str]:
    told = deltas(*map(said, pieces))
    return "".join(delta.text for delta in told), "".join(delta.reasoning for delta in told)


def test_content_that_google_marks_as_thought_is_reasoning_without_its_tags() -> None:
    mark = {"extra_content": {"google": {"thought": True}}}
    first, more = {"content": "<thought>Count "} | mark, {"content": "them."} | mark
    assert words(first, more, {"content": "</thought>Four"}, {"content": "."}) == ("Four.", "Count them.")
    assert words({"content": "<thought>hm</thought>Four"} | mark, {"content": "</thought>"}) == ("Four</thought>", "hm")
    assert words({"content": "<thought>Count</thought>"}) == ("<thought>Count</thought>", "")  # nobody marked it


def test_details_may_hold_all_so_far() -> None:
    def told(*texts: str) -> str:
        return words(*({"reasoning_details": [{"type": "reasoning.text", "text": text}]} for text in texts))[1]

    assert told("Count all", "Count all of them", "Count all of them", "Count all of them.") == "Count all of them."
    assert told("Count all", " of them", ", Count all") == "Count all of them, Count all"
    assert told("ha", "haha") == "hahaha"  # too short to tell


def test_reasoning_under_both_names_is_read_once() -> None:
    assert only(said({"reasoning_content": "hm", "reasoning": "hm"})).reasoning == "hm"
    assert only(said({"reasoning_content": "", "reasoning": "hm"})).reasoning == "hm"


def test_reasoning_details_are_read_where_nothing_else_has_them() -> None:
    summary = [{"type": "reasoning.summary", "summary": "so"}, {"type": "reasoning.text", "text": "hm"}]
    assert only(said({"content": "", "reasoning": None, "reasoning_details": summary})).reasoning == "sohm"
    hidden = [{"type": "reasoning.encrypted", "data": "AAAA"}, {"type": "reasoning.text", "signature": "x"}, None]
    assert not only(said({"reasoning_details": hidden, "reasoning_opaque": "AAAA"})).progress
    assert only(said({"thinking": [{"type": "thinking", "thinking": "hm"}]})).reasoning == "hm"


# -- a whole message --------------------------------------------------------------------------------------------------

WHOLE = {"index": 0, "message": {"content": "Hi", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}}


def test_a_message_where_no_delta_ever_came_is_the_answer_at_once() -> None:
    delta = only({"object": "chat.completion", "choices": [WHOLE | {"finish_reason": "stop"}], "usage": COUNTS})
    assert (delta.text, delta.finish_reason, delta.usage, delta.unstreamed) == ("Hi", "stop", Usage(3, 2, 5), True)
    assert [tool.id for tool in delta.tools] == ["c"]


def test_messages_instead_of_deltas_are_pieces_or_all_so_far() -> None:
    def told(*texts: str) -> str:
        return "".join(delta.text for delta in deltas(*({"choices": [{"message": {"content": t}}]} for t in texts)))

    assert told("Hel", "lo", "!") == "Hello!"
    assert told("Hel", "Hello", "Hello!") == "Hello!"
    assert told("Hel", "lo", "Hello") == "Hello"


def test_content_may_be_one_part() -> None:
    assert only(said({"content": {"type": "text", "text": "Hi"}})).text == "Hi"


def test_a_message_that_repeats_the_deltas_is_not_read() -> None:
    *_, last = deltas(said({"content": "Hi"}), {"choices": [WHOLE | {"finish_reason": "stop"}]})
    assert (last.text, last.tools, last.finish_reason, last.unstreamed) == ("", (), "stop", False)


# -- tools ------------------------------------------------------------------------------------------------------------


def call(**members: object) -> dict[str, Any]:
    return said({"tool_calls": [members]})


def test_tool_fragments_keep_index_id_name_arguments() -> None:
    delta = only(call(index=1, id="functions.add:0", type="function", function={"name": "add", "arguments": '{"a"'}))
    assert delta.tools == (ToolFragment(1, "functions.add:0", "add", '{"a"'),)
    assert (delta.kind, delta.progress) == ("tool", True)


def test_a_missing_index_is_the_place_in_the_list_and_a_float_one_is_a_number() -> None:
    two = said({"tool_calls": [{"id": "a", "function": {"name": "x"}}, {"id": "b", "function": {"name": "y"}}]})
    assert [tool.index for tool in only(two).tools] == [0, 1]
    assert only(call(index=2.0, function={"arguments": "{"})).tools[0].index == 2
    assert only(call(index=None, function={})).tools[0].index == 0


def test_arguments_may_be_an_object_null_or_absent() -> None:
    assert only(call(index=0, function={"name": "x", "arguments": {"a": 1}})).tools[0].arguments == '{"a":1}'
    assert only(call(index=0, function={"name": "x", "arguments": None})).tools[0].arguments == ""
    assert only(call(index=0, id=7)).tools == (ToolFragment(0, "7"),)


def test_the_legacy_function_call_is_a_tool_call() -> None:
    delta = only(said({"function_call": {"name": "f", "arguments": "{}"}}))
    assert delta.tools == (ToolFragment(0, "", "f", "{}"),)


# -- finish and usage -------------------------------------------------------------------------------------------------

COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [], "usage": COUNTS},
        said({}, usage=COUNTS),
        {"choices": [], "x_groq": {"id": "r", "usage": COUNTS}},
        {"choices": [], "usage": None, "x_groq": {"usage": COUNTS}},
    ],
)
def test_usage_wherever_it_stands(chunk: dict[str, Any]) -> None:
    assert only(chunk).usage == Usage(3, 2, 5)


def test_usage_details_are_read_wherever_they_stand() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 1}, "prompt_tokens_details": {"cached_tokens": 2}}
    assert only({"usage": COUNTS | details}).usage == Usage(3, 2, 5, 1, 2)
    assert only({"usage": COUNTS | {"cached_tokens": 2}}).usage == Usage(3, 2, 5, None, 2)
    written = {"prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2}}
    assert only({"usage": COUNTS | written}).usage == Usage(3, 2, 5, cached_tokens=1, cache_write_tokens=2)
    assert only({"usage": {}}).usage is None
    named = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "reasoning_tokens": 1}
    cached = {"cache_read_input_tokens": 2, "cache_creation_input_tokens": 4}
    assert only({"usage": named | cached}).usage == Usage(3, 2, 5, 1, 2, 4)
    assert only({"usage": named | {"prompt_tokens": 9}}).usage == Usage(9, 2, 5, 1)
    assert only({"usage": COUNTS | {"prompt_tokens_details": {"cache_creation_input_tokens": 2}}}).usage == Usage(
        3, 2, 5, cache_write_tokens=2
    )
    assert only({"usage": {"promptTokens": 3, "completionTokens": 2, "totalTokens": 5}}).usage == Usage(3, 2, 5)
    assert only({"usage": {"prompt_eval_count": 3, "eval_count": 2}}).usage == Usage(3, 2, None)
    assert only({"usage": {"cost": 0.1}}).usage is None
    assert only({"usage": {"prompt_tokens": "many", "completion_tokens": 2.0}}).usage == Usage(None, 2, None)


def test_finish_text_and_usage_may_share_a_chunk() -> None:
    delta = only(said({"content": "."}, finish_reason="eos") | {"usage": COUNTS})
    assert (delta.text, delta.finish_reason, delta.usage) == (".", "eos", Usage(3, 2, 5))
    for none in ("", "null", "None", None):
        assert only(said({}, finish_reason=none)).finish_reason is None


# -- errors -----------------------------------------------------------------------------------------------------------


def test_an_error_event_in_a_200_with_a_numeric_status() -> None:
    error = only(b'event: error\ndata: {"error":{"message":"no","code":"tool_use_failed","status_code":400}}\n\n').error
    assert error is not None
    assert (error.kind, error.message, error.status, error.code) == ("in-stream", "no", 400, "tool_use_failed")
    assert error.frame


def test_an_error_beside_choices_and_usage_hides_none_of_them() -> None:
    chunk = said({"content": "x"}, finish_reason="error") | {"usage": COUNTS, "error": {"code": 502, "message": "bad"}}
    delta = only(chunk)
    assert delta.error is not None
    assert (delta.error.message, delta.error.status, delta.error.code) == ("bad", 502, "502")
    assert (delta.text, delta.finish_reason, delta.usage) == ("x", "error", Usage(3, 2, 5))
    assert delta.kind == "error"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b'data: {"error":"plain words"}\n\n', "plain words"),
        (b'data: {"object":"error","message":"vllm","code":400}\n\n', "vllm"),
        (b'data: {"choices":[],"x_groq":{"error":"stopped early"}}\n\n', "stopped early"),
        (b'data: {"choices":[{"index":0,"delta":{},"error":{"message":"in choice"}}]}\n\n', "in choice"),
        (b'data: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n', "busy"),
        (b'data: {"error":{"type":"engine_overloaded_error"}}\n\n', "engine_overloaded_error"),
        (b"event: error\ndata: upstream died\n\n", "upstream died"),
        (b'event: error\ndata: "upstream died"\n\n', "upstream died"),
        (b'{"error":{"message":"bare line"}}\n', "bare line"),
    ],
)
def test_errors_in_all_their_shapes(frame: bytes, message: str) -> None:
    error = only(frame).error
    assert error is not None
    assert (error.kind, error.message) == ("in-stream", message)


@pytest.mark.parametrize("nothing", [None, {}, "", False])
def test_an_empty_error_is_no_error(nothing: object) -> None:
    assert only(said({"content": "x"}) | {"error": nothing}).error is None


def test_a_malformed_frame_is_an_error_with_its_frame_and_decoding_goes_on() -> None:
    bad, good = deltas(b'data: {"choices":[{"delta":{"con\n\n', said({"content": "on"}))
    assert bad.error is not None
    assert (bad.error.kind, bad.error.frame) == ("malformed-frame", '{"choices":[{"delta":{"con')
    assert good.text == "on"


def test_frames_kept_as_evidence_are_bounded() -> None:
    bad = only(b"data: {" + b"x" * 50_000 + b"\n\n")
    assert bad.error is not None
    assert bad.error.frame is not None
    assert len(bad.error.frame) == len(bad.raw) == FRAME_LIMIT_CHARS


def test_a_body_cut_inside_a_frame_says_so() -> None:
    for tail in (b'data: {"choi', b"dat"):
        error = only(tail).error
        assert error is not None
        assert (error.kind, error.message) == ("malformed-frame", "the body ended inside a frame")


def test_an_unterminated_last_frame_that_is_whole_still_counts() -> None:
    assert only(b'data: {"choices":[{"delta":{"content":"x"}}]}').text == "x"


@pytest.mark.parametrize("value", [b"1", b"null", b'"x"', b"[1]"])
def test_json_that_is_no_object_is_malformed(value: bytes) -> None:
    error = only(b"data: " + value + b"\n\n").error
    assert error is not None
    assert error.kind == "malformed-frame"


def test_invalid_utf8_and_lone_surrogates_are_read_anyway() -> None:
    assert only(b'data: {"choices":[{"delta":{"content":"a\xff"}}]}\n\n').text == "a\ufffd"
    first, second = deltas(
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\ude42"}}]}\n\n',
    )
    assert first.text + second.text == "\ud83d\ude42"


def test_nesting_beyond_reason_is_malformed_not_fatal() -> None:
    error = only(b"data: " + b"[" * 100_000 + b"\n\n").error
    assert error is not None
    assert error.kind == "malformed-frame"
