"""Gemini's answers: what each part means, in both framings, and that a finish reason is not the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, ServerTool, ToolCall, Usage
from kmon.dialects.gemini import Gemini

Members = dict[str, Any]


def chunk(*parts: Members, finish: object = None, usage: Members | None = None, **more: object) -> Members:
    candidate: Members = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    counted = {} if usage is None else {"usageMetadata": usage}
    return {"candidates": [candidate], **counted, "modelVersion": "gemini-9", "responseId": "r1", **more}


def sse(*values: object) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\r\n\r\n" for value in values)


def array(*values: object) -> bytes:
    return b"[" + b",\r\n".join(json.dumps(value, indent=2).encode() for value in values) + b"\r\n]"


def deltas(body: bytes) -> list[Delta]:
    decoder = Gemini().decoder()
    return decoder.feed(body) + decoder.end()


def folded(body: bytes) -> Transcript:
    transcript = Transcript()
    for delta in deltas(body):
        transcript.add(delta)
    return transcript


SAID = (
    chunk({"text": "Hm. ", "thought": True}),
    chunk({"text": "so. ", "thought": True}, {"text": "Hel"}),
    chunk({"text": "lo"}),
    chunk({"text": "", "thoughtSignature": "c2ln"}, finish="STOP", usage={"promptTokenCount": 3, "totalTokenCount": 9}),
)


@pytest.mark.parametrize("written", [sse, array])
def test_thoughts_and_text_in_either_framing(written: Callable[..., bytes]) -> None:
    found = folded(written(*SAID))
    assert (found.text, found.reasoning, found.finish_reason) == ("Hello", "Hm. so. ", "STOP")
    assert (found.model, found.response_id, found.chunks, found.done) == ("gemini-9", "r1", 4, True)
    assert found.error is None


def test_a_byte_order_mark_and_white_space_before_an_array_are_skipped() -> None:
    body = b"\xef\xbb\xbf \r\n" + array(chunk({"text": "Hi"}, finish="STOP"))
    decoder = Gemini().decoder()
    found = [delta for byte in body for delta in decoder.feed(bytes([byte]))] + decoder.end()
    assert [(delta.text, delta.done) for delta in found] == [("Hi", False), ("", True)]


def test_a_signature_alone_is_no_output() -> None:
    (delta, _) = deltas(sse(chunk({"text": "", "thoughtSignature": "c2ln"}, finish="STOP")))
    assert not delta.progress


# -- the end ---------------------------------------------------------------------------------------------------------


def test_output_after_a_finish_reason_belongs_to_the_answer_and_the_end_of_the_body_ends_it() -> None:
    found = deltas(sse(chunk({"text": "One "}, finish="STOP"), chunk({"text": "two"}, finish="MAX_TOKENS")))
    assert [delta.done for delta in found] == [False, False, True]
    assert not found[-1].chunk
    assert folded(sse(chunk({"text": "One "}, finish="STOP"), chunk({"text": "two"}))).text == "One two"


def test_the_closing_bracket_ends_an_array_before_the_body_does() -> None:
    decoder = Gemini().decoder()
    assert [delta.done for delta in decoder.feed(array(chunk({"text": "Hi"}, finish="STOP")))] == [False, True]
    assert decoder.end() == []


@pytest.mark.parametrize(
    "body",
    [sse(*SAID[:3]), array(*SAID[:3]), array(*SAID[:3])[:-1], b"", sse(chunk(finish="FINISH_REASON_UNSPECIFIED"))],
)
def test_a_body_without_a_finish_reason_has_no_end(body: bytes) -> None:
    found = folded(body)
    assert (found.finish_reason, found.done) == (None, False)


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("SAFETY", "SAFETY"),
        ("A_NEW_WORD", "A_NEW_WORD"),
        (1, "STOP"),
        (2, "MAX_TOKENS"),
        (9, "9"),
        (0, None),
        ("", None),
    ],
)
def test_any_finish_reason_is_told_also_as_a_number(reason: object, word: str | None) -> None:
    assert folded(array(chunk(finish=reason))).finish_reason == word


@pytest.mark.parametrize(
    ("reason", "failed"),
    [
        ("SAFETY", True),
        ("MALFORMED_FUNCTION_CALL", True),
        ("UNEXPECTED_TOOL_CALL", True),
        ("IMAGE_PROHIBITED_CONTENT", True),
        ("MISSING_THOUGHT_SIGNATURE", True),
        ("OTHER", True),
        ("STOP", False),
        ("MAX_TOKENS", False),
        ("A_NEW_WORD", False),
        (None, False),
    ],
)
def test_a_finish_reason_that_withholds_or_spoils_the_answer_is_a_failure(reason: str | None, failed: bool) -> None:
    assert Gemini.finish_words.is_failure(reason) is failed


# -- calls, tools, media -----------------------------------------------------------------------------------------------


def call(name: str, args: Members | None = None, **more: object) -> Members:
    return {"functionCall": {"name": name, **({} if args is None else {"args": args}), **more}}


def test_whole_calls_are_told_apart_by_their_order_with_ids_or_without() -> None:
    two = chunk(call("weigh", {"kg": 2}), call("weigh", {"kg": 3}))
    found = folded(sse(two, chunk(call("now", id="c9"), finish="STOP")))
    assert found.tool_calls == (
        ToolCall("", "weigh", '{"kg":2}'),
        ToolCall("", "weigh", '{"kg":3}'),
        ToolCall("c9", "now", "{}"),
    )


def test_arguments_by_path_are_one_call_until_a_piece_does_not_continue() -> None:
    city = {"jsonPath": "$.city", "stringValue": "Par", "willContinue": True}
    body = sse(
        chunk({"functionCall": {"name": "weather", "willContinue": True}}),
        chunk({"functionCall": {"partialArgs": [city], "willContinue": True}}),
        chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "is"}], "willContinue": True}}),
        chunk({"functionCall": {}}),
        chunk(call("now")),
        chunk(
            {"functionCall": {"name": "weather", "partialArgs": [{"jsonPath": "$.n", "numberValue": 1}]}}, finish="STOP"
        ),
    )
    assert [[one.arguments for one in delta.tools] for delta in deltas(body)[:4]] == [
        [""],
        ['{"city":"Par'],
        ['is"'],
        ["}"],
    ]
    assert [(one.name, one.arguments) for one in folded(body).tool_calls] == [
        ("weather", '{"city":"Paris"}'),
        ("now", "{}"),
        ("weather", '{"n":1}'),
    ]


def test_a_call_that_the_end_cuts_stays_cut() -> None:
    piece = {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Par", "willContinue": True}], "willContinue": True}
    found = folded(sse(chunk({"functionCall": {"name": "weather", **piece}}, finish="MAX_TOKENS")))
    assert found.tool_calls == (ToolCall("", "weather", '{"city":"Par'),)


def test_an_end_of_a_call_without_its_begin_is_no_call() -> None:
    assert folded(sse(chunk({"functionCall": {}}, finish="STOP"))).tool_calls == ()


def test_tools_of_the_server_are_no_calls_and_no_text() -> None:
    found = folded(
        sse(
            chunk({"executableCode": {"language": "PYTHON", "code": "print(1)"}}),
            chunk({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}, {"text": "One."}, finish="STOP"),
        )
    )
    assert (found.text, found.tool_calls) == ("One.", ())
    assert found.server_tools == (ServerTool("executableCode", "PYTHON"), ServerTool("codeExecutionResult"))


RUN = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
RAN = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
ASKED = {"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB"}}
GOT = {"toolResponse": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB"}}
SIGNED = {"text": "", "thoughtSignature": "c2ln"}


@pytest.mark.parametrize(
    ("chunks", "work"),
    [
        ([[RUN], [RAN], [{"text": "One."}]], ["server-tool", "none", None]),
        ([[RUN, SIGNED], [SIGNED], [RAN]], ["server-tool", None, "none"]),  # recorded: an empty text is no output
        ([[{"text": "Let me see."}, RUN], [RAN, {"text": "One."}]], ["server-tool", "none"]),
        ([[RUN, RAN], [{"text": "One."}]], [None, None]),
        ([[RUN], [{"text": "One."}]], ["server-tool", "none"]),  # the result is left out
        ([[RUN], [{"text": "hm", "thought": True}]], ["server-tool", "none"]),
        ([[RUN], [{"functionCall": {"name": "weather", "args": {}}}]], ["server-tool", "none"]),
        ([[RUN], [{"inlineData": {"mimeType": "image/png", "data": ""}}]], ["server-tool", "none"]),
        ([[RAN], [RUN], [RAN]], [None, "server-tool", "none"]),
        ([[ASKED, ASKED], [GOT], [GOT]], ["server-tool", None, "none"]),  # two at once
        ([[RUN], [GOT], [RAN]], ["server-tool", None, "none"]),  # the result of another tool
        ([[{"executableCode": "print(1)"}], [{"executableCode": None}]], [None, None]),
        ([[{"text": "One."}], [{"text": " Two."}]], [None, None]),
    ],
)
def test_the_time_between_a_tool_of_the_server_and_its_result_is_hidden_work(
    chunks: list[list[dict[str, object]]], work: list[str | None]
) -> None:
    found = deltas(sse(*(chunk(*parts) for parts in chunks)))
    assert [delta.hidden_work for delta in found] == work


def test_what_ends_an_answer_ends_the_work_of_its_tools() -> None:
    for last in (chunk(finish="STOP"), OVERLOADED):
        found = deltas(sse(chunk(RUN), last))
        assert [delta.hidden_work for delta in found[:2]] == ["server-tool", "none"]


def test_media_is_output_beside_the_text() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    (delta, _) = deltas(sse(chunk(image, finish="STOP")))
    assert (delta.media, delta.text, delta.progress) == (("image/png",), "", True)
    assert folded(sse(chunk(image), chunk(image, finish="STOP"))).media == ("image/png", "image/png")


def test_only_the_first_candidate_is_the_answer() -> None:
    other = {"content": {"parts": [{"text": "No"}]}, "index": 1, "finishReason": "SAFETY"}
    first = chunk({"text": "Yes"}, finish="STOP")["candidates"][0]
    found = folded(sse({"candidates": [other, first]}))
    assert (found.text, found.finish_reason) == ("Yes", "STOP")


# -- usage -------------------------------------------------------------------------------------------------------------


def test_output_tokens_include_the_thoughts_and_input_tokens_what_was_cached() -> None:
    counts = {
        "promptTokenCount": 90,
        "cachedContentTokenCount": 80,
        "toolUsePromptTokenCount": 5,
        "candidatesTokenCount": 12,
        "thoughtsTokenCount": 58,
        "totalTokenCount": 165,
    }
    assert folded(sse(chunk(finish="STOP", usage=counts))).usage == Usage(90, 70, 165, 58, 80)


def test_the_last_counts_count_and_counts_of_another_kind_are_none() -> None:
    found = folded(
        sse(
            chunk(usage={"promptTokenCount": 9, "candidatesTokenCount": 21, "thoughtsTokenCount": 35}),
            chunk(usage={"promptTokenCount": 87, "thoughtsTokenCount": 78, "totalTokenCount": 165}),
            chunk(finish="STOP", usage={"trafficType": "ON_DEMAND"}),
        )
    )
    assert found.usage == Usage(87, 78, 165, 78)
    assert folded(sse(chunk(finish="STOP", usage={"trafficType": "ON_DEMAND"}))).usage is None


# -- errors ------------------------------------------------------------------------------------------------------------

OVERLOADED = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize(
    "body",
    [
        sse(chunk({"text": "Half"}), OVERLOADED),
        array(chunk({"text": "Half"}), OVERLOADED),
        sse(chunk({"text": "Half"}, finish="STOP")) + json.dumps(OVERLOADED, indent=2).encode(),
        sse(chunk({"text": "Half"})) + json.dumps([OVERLOADED], indent=2).encode() + b"\n",
    ],
    ids=["event", "element", "bare and pretty", "bare array"],
)
def test_an_error_in_any_dress_fails_the_answer(body: bytes) -> None:
    found = folded(body)
    assert found.error is not None
    assert (found.error.kind, found.error.status, found.error.code) == ("in-stream", 503, "UNAVAILABLE")
    assert found.error.message == "The model is overloaded."
    assert (found.text, found.done) == ("Half", False)


def test_a_single_object_is_an_error_or_no_stream() -> None:
    refused = folded(json.dumps(OVERLOADED).encode()).error
    assert refused is not None and refused.kind == "in-stream"
    whole = folded(json.dumps(chunk({"text": "Hi"}, finish="STOP")).encode()).error
    assert whole is not None and whole.kind == "not-a-stream"


@pytest.mark.parametrize(
    ("feedback", "sentence"),
    [
        ({"blockReason": "SAFETY"}, "the prompt was blocked: SAFETY"),
        ({"blockReason": "OTHER", "blockReasonMessage": "Not here."}, "the prompt was blocked: OTHER (Not here.)"),
    ],
)
def test_a_blocked_prompt_is_an_error_with_its_reason(feedback: Members, sentence: str) -> None:
    found = folded(sse({"promptFeedback": {**feedback, "safetyRatings": []}}))
    assert found.error is not None
    assert (found.error.message, found.error.code) == (sentence, feedback["blockReason"])
    assert (found.done, found.finish_reason) == (True, None)


def test_ratings_of_a_prompt_that_was_answered_are_no_block() -> None:
    found = folded(sse(chunk({"text": "Hi"}, finish="STOP", promptFeedback={"safetyRatings": []})))
    assert (found.error, found.done) == (None, True)


def test_code_assist_wraps_each_chunk() -> None:
    found = folded(sse({"response": chunk({"text": "Hi"}, finish="STOP"), "traceId": "t"}))
    assert (found.text, found.finish_reason, found.done) == ("Hi", "STOP", True)


def test_a_whole_answer() -> None:
    value = chunk({"text": "Hm", "thought": True}, {"text": "Hi"}, call("now"), finish="STOP")
    delta = Gemini().whole_answer(json.dumps(value).encode())
    assert delta is not None and delta.done
    assert (delta.text, delta.reasoning, delta.finish_reason) == ("Hi", "Hm", "STOP")
    assert [(one.name, one.arguments) for one in delta.tools] == [("now", "{}")]
