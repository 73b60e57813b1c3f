"""An error in any dress is seen, with the provider's words; the healthy twin of each is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.chat import Chat
from kmon.dialects.deepinfra import DeepInfra
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.error_words import page_words, reported, words
from kmon.dialects.fault import fault, fault_of_text

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def deltas(*parts: bytes) -> list[Delta]:
    """The deltas of a body; every split must give the same."""
    whole = Chat().decoder()
    body = b"".join(parts)
    found = whole.feed(body) + whole.end()
    split = Chat().decoder()
    assert [d for at in range(len(body)) for d in split.feed(body[at : at + 1])] + split.end() == found
    return found


def error(*parts: bytes) -> StreamError | None:
    return next((delta.error for delta in deltas(*parts) if delta.error is not None), None)


ERRORS: list[tuple[dict[str, Any] | list[Any], str]] = [
    ({"error": {"message": "m"}}, "m"),
    ({"error": "m"}, "m"),
    ({"error": True, "message": "m"}, "m"),
    ({"error": "bad_request", "message": "m"}, "m"),
    ([{"error": {"code": 503, "message": "m"}}], "m"),
    ({"errors": [{"message": "m"}, {"message": "n"}]}, "m; n"),
    ({"errors": ["m"], "success": False}, "m"),
    ({"base_resp": {"status_code": 1008, "status_msg": "m"}, "choices": None}, "m"),
    ({"code": "Throttling", "message": "m", "request_id": "r"}, "m"),
    ({"code": 1301, "msg": "m", "success": False}, "m"),
    ({"error_code": 17, "error_msg": "m"}, "m"),
    ({"status": 500, "message": "m", "path": "/v1"}, "m"),
    ({"status": "error", "message": "m"}, "m"),
    ({"message": "m"}, "m"),
    ({"Message": "m"}, "m"),
    ({"detail": "m"}, "m"),
    ({"detail": [{"msg": "m", "loc": ["body", 0]}]}, "m (body.0)"),
    ({"type": "error", "message": "m"}, "m"),
    ({"object": "error", "message": "m", "choices": []}, "m"),
    (
        {
            "id": "r",
            "object": "c",
            "created": 1,
            "choices": None,
            "error_type": "BadRequestError",
            "error_message": "m",
        },
        "m",
    ),
    ({"Error": {"Code": "AuthFailure", "Message": "m"}}, "m"),
    ({"ErrorMsg": {"Msg": "m", "Code": 2003}}, "m"),
    ({"Response": {"Error": {"Code": "LimitExceeded", "Message": "m"}, "RequestId": "r"}}, "m"),
    ({"ResponseMetadata": {"RequestId": "r", "Error": {"Message": "m"}}}, "m"),
    ({"error": 1, "reason": "m"}, "m"),
    ({"error": 17}, "17"),
    ({"ok": False, "description": "m"}, "m"),
    ({"fault": {"faultstring": "m", "detail": {"errorcode": "c"}}}, "m"),
    ({"error": {"message": "n", "metadata": {"raw": "m", "provider_name": "p"}}}, "n: m"),
    ({"choices": [{"index": 0, "delta": {}}], "error": {"message": "m"}}, "m"),
]
HEALTHY: list[dict[str, Any]] = [
    {"error": None},
    {"error": {}},
    {"error": ""},
    {"error": {"code": 0, "message": ""}},
    {"error": {"code": None, "message": "success"}},
    {"errors": []},
    {"base_resp": {"status_code": 0, "status_msg": "success"}},
    {"base_resp": {}},
    {"code": 0, "message": "success"},
    {"code": "0", "msg": "fine"},
    {"code": 200, "message": "request accepted"},
    {"code": "", "message": "", "output": {}},
    {"code": 1000, "message": "Success"},
    {"message": "ok"},
    {"success": True, "message": "warming up"},
    {"id": "r", "status": "in_progress", "message": "warming up"},
    {"detail": ""},
    {"message": {"role": "assistant"}},
    {"type": "info", "message": "queue position 3"},
    {"type": "status", "message": "loading"},
    {"error": 0, "message": {}},
    {"ErrorMsg": {"Msg": "", "Code": 0}},
    {"response": {"error": None}},
    {"result": {"error": {"code": 0}}},
    {"error_code": 0, "error_msg": "fine"},
    {"type": "ping", "cost": 1},
]


@pytest.mark.parametrize(("value", "message"), ERRORS)
def test_an_error_in_any_form(value: object, message: str) -> None:
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    found = error(TEXT, data)
    assert found is not None
    assert (found.kind, found.message) == ("in-stream", message)
    assert reported(value) is not None


def test_an_error_in_a_choice_or_its_delta() -> None:
    for choice in ({"delta": {}, "error": {"message": "m"}}, {"delta": {"error": {"message": "m"}}}):
        found = error(b"data: " + json.dumps({"choices": [{"index": 0} | choice]}).encode() + b"\n\n")
        assert found is not None and found.message == "m"
    assert error(b'data: {"choices":[{"delta":{"content":"Hi","error":null},"error":null}]}\n\n', STOP, DONE) is None


@pytest.mark.parametrize("value", HEALTHY)
def test_the_same_members_in_a_healthy_answer(value: dict[str, Any]) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]} | value
    for object_ in (value, chunk, {"choices": []} | value):
        assert error(b"data: " + json.dumps(object_).encode() + b"\n\n", STOP, DONE) is None


@pytest.mark.parametrize("beside", [{"code": 17, "message": "m"}, {"detail": "m"}, {"message": "m"}])
def test_beside_choices_bare_members_are_no_error(beside: dict[str, Any]) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]} | beside
    assert error(b"data: " + json.dumps(chunk).encode() + b"\n\n", STOP, DONE) is None


def test_codes_and_status_are_told() -> None:
    found = fault({"status_code": 1008, "status_msg": "m"})
    assert (found.code, found.status) == ("1008", None)
    found = fault([{"Code": 503, "Message": "m"}])
    assert (found.message, found.code, found.status) == ("m", "503", 503)
    assert fault({"__type": "com.amazon#ThrottlingException", "message": "m"}).code == "ThrottlingException"
    assert fault_of_text("<html><h1>504 Time-out</h1></html>").status == 504


def test_deepinfra_reports_them_as_well() -> None:
    decoder = DeepInfra().decoder()
    (delta,) = decoder.feed(b'data: {"detail":{"error":"m"}}\n\n')
    assert delta.error is not None and delta.error.message == "m"


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        (b"event: error\n\n", "in-stream", "the provider reported an error without a message"),
        (b"event: error\ndata: null\n\n", "in-stream", "the provider reported an error without a message"),
        (b"event: error\ndata: m\n\n", "in-stream", "m"),
        (b'data: "timed out"\n\n', "malformed-frame", 'no JSON object: "timed out"'),
        (b"data: [ERROR] timed out\n\n", "malformed-frame", "no JSON: [ERROR] timed out"),
        (b"data: [1\n\n", "malformed-frame", "invalid JSON"),
    ],
)
def test_an_event_that_is_no_object_is_told_by_its_words(lines: bytes, kind: str, message: str) -> None:
    found = error(TEXT, lines, DONE)
    assert found is not None
    assert (found.kind, found.message) == (kind, message)


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"  ", b"\t"])
def test_a_line_of_data_that_no_client_reads_is_told(before: bytes) -> None:
    assert deltas(TEXT, before + STOP, DONE)[1].error == error(TEXT, before + STOP, DONE)
    found = error(TEXT, before + STOP, DONE)
    assert found is not None and found.kind == "malformed-frame"
    assert found.message.startswith("a line that clients do not read as data: ")


def test_a_line_of_data_in_another_case_is_told_and_words_are_not() -> None:
    found = error(TEXT, STOP.replace(b"data", b"Data"), DONE)
    assert found is not None and found.kind == "malformed-frame"
    assert error(TEXT, b"\n  data: for nobody\n\n", STOP, DONE) is None


def test_words_of_an_event_that_is_called_a_notice_are_no_error() -> None:
    words = b'data: {"message":"Loading model"}\n\n'
    assert error(b"event: status\n" + words, TEXT, STOP, DONE) is None
    assert error(b"event: message\n" + words) is not None
    assert error(b'event: status\ndata: {"error":"m"}\n\n') is not None


def test_another_event_without_data_says_nothing() -> None:
    assert error(TEXT, b"event: ping\n\n", b"event: ping\ndata:\n\n", STOP, DONE) is None


# -- between the events -----------------------------------------------------------------------------------------------

PRETTY = b'{\n  "error": {\n    "code": 503,\n    "message": "m"\n  }\n}\n'
PAGE = b"<html>\n<head><title>504 Time-out</title></head>\n\n<body>x</body>\n</html>\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b'error: {"code":400,"message":"m"}\n\n', "m"),
        (b"error: m\n\n", "m"),
        (b'{"error":{"message":"m"}}\n', "m"),
        (PRETTY, "m"),
        (PRETTY.rstrip(), "m"),
        (PAGE, "an HTML page: 504 Time-out"),
        (PAGE.rstrip()[:-7], "an HTML page: 504 Time-out"),
        (b"upstream m\nreset\n", "upstream m reset"),
        (b"upstream m", "upstream m"),
    ],
)
def test_what_stands_between_events_and_ends_the_answer_is_the_error(lines: bytes, message: str) -> None:
    found = error(TEXT, lines)
    assert found is not None
    assert (found.kind, found.message) == ("in-stream", message)


@pytest.mark.parametrize("lines", [b"error: m\n\n", PRETTY, PAGE])
def test_a_certain_error_needs_no_broken_end(lines: bytes) -> None:
    assert error(TEXT, lines, DONE) is not None


def test_an_error_is_told_before_the_body_ends() -> None:
    decoder = Chat().decoder()
    assert [d.error is not None for d in decoder.feed(TEXT + PRETTY)] == [False, True]


def test_words_between_events_are_ignored_where_the_answer_goes_on_or_is_finished() -> None:
    assert error(b"hello\n\n", TEXT, STOP, DONE) is None
    assert error(TEXT, STOP, b"bye\n\n", DONE) is None
    assert error(b"hello\n\n", TEXT) is None
    assert error(TEXT, DONE, b"bye\n\n") is None
    assert error(b'{"note":1}\n\n', TEXT, STOP, DONE) is None


def test_words_before_an_end_event_without_a_finish_reason_are_the_error() -> None:
    found = error(TEXT, b"worker died\n\n", DONE)
    assert found is not None and found.message == "worker died"


def test_a_body_of_nothing_but_text_is_no_stream() -> None:
    found = error(b'{"object":"chat.completion","choices":[{"message":{"content":"Hi"}}]}')
    assert found is not None
    assert (found.kind, found.message[:34]) == ("not-a-stream", "answered JSON instead of a stream:")


def test_data_that_is_no_json_is_quoted() -> None:
    found = error(TEXT, b"data: Internal Server Error\n\n")
    assert found is not None
    assert (found.kind, found.message) == ("malformed-frame", "no JSON: Internal Server Error")
    found = error(b"data: <html><title>502 Bad Gateway</title></html>\n\n")
    assert found is not None
    assert (found.kind, found.status) == ("in-stream", 502)


def test_events_without_blank_lines_are_named_and_a_cut_one_is_not_called_so() -> None:
    found = error(TEXT.rstrip() + b"\n" + TEXT.rstrip() + b"\ndata: [DONE]")
    assert found is not None
    assert (found.kind, found.message) == ("malformed-frame", "events that are not separated by a blank line")
    cut = deltas(TEXT, b'data: {"choices":[{"del')[-1]
    assert cut.cut and cut.error is not None and cut.error.message == "the body ended inside a frame"
    assert not any(delta.cut for delta in deltas(TEXT, b"data: {\n\n"))


# -- in general -------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "code", "detail", "x"]), inner)
    ),
)


@given(JSON)
def test_any_value_has_words_or_none(value: object) -> None:
    assert isinstance(words(value), str)
    assert isinstance(fault(value).message, str)
    reported(value)


@given(st.text() | st.builds("<html>{}".format, st.text(alphabet="<>/title h1!-&;", max_size=60)))
def test_any_text_is_a_page_or_is_not(body: str) -> None:
    page = page_words(body)
    assert page is None or page.startswith("an HTML page")
    assert fault_of_text(body).message


@given(
    st.lists(
        st.sampled_from([TEXT, STOP, DONE, PRETTY, PAGE, b"words\n", b"}\n", b"error: x\n", b"\n", b"{\n"]), max_size=8
    )
)
def test_any_split_of_any_lines_gives_the_same(parts: list[bytes]) -> None:
    deltas(*parts)
