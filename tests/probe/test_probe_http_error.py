"""Promises about answers that are no stream: what they said, in one error."""

from __future__ import annotations

import json

import pytest

from kmon.dialects.delta import StreamError
from kmon.dialects.http_answer import answer_error
from kmon.dialects.registry import http_dialect, wire_format
from kmon.stream.sanitize import Sanitizer

KEY = "sk-0123456789abcdefghijklmnopqrstuvwxyz"


def refused(status: int, body: str, **headers: str) -> StreamError:
    return answer_error(status, "application/json", headers, body.encode())


@pytest.mark.parametrize("body", ['{"error":null}', '{"error":{}}', '{"error":""}', "{}", "null", "[]"])
def test_an_error_that_says_nothing_is_called_that(body: str) -> None:
    assert refused(429, body).message == "HTTP 429: no message"


def test_a_redirect_is_named_without_what_may_be_secret() -> None:
    away = refused(308, "", location="https://user:secret@login.example:8443/path?token=secret#secret")
    assert away.message == "HTTP 308: redirected to https://login.example:8443/path?…, not followed"
    assert refused(302, "<html>", location="/login").message == "HTTP 302: redirected to /login, not followed"
    assert refused(301, "", location="//[::1]/v2").message == "HTTP 301: redirected to [::1]/v2, not followed"
    assert "an address that is none" in refused(302, "", location="http://[").message
    assert refused(304, "").message == "HTTP 304: no body"


@pytest.mark.parametrize("before", [*range(350, 400, 7), 1_000])
def test_a_key_where_a_message_is_cut_is_taken_out_first(before: int) -> None:
    error = refused(401, f'{{"error":{{"message":"{"x" * before}{KEY}","code":"{"y" * (before // 4)}{KEY}"}}}}')
    shown = Sanitizer("r1", 1, secrets=[KEY]).error(error)
    assert KEY[:8] not in shown.message and KEY[:8] not in (shown.code or "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('[{"error":{"code":400,"message":"no such field","status":"INVALID_ARGUMENT"}}]', "no such field"),
        (
            '{"detail":[{"loc":["body","model"],"msg":"field required","type":"missing"}]}',
            "field required (body.model)",
        ),
        ('{"detail":"Not Found"}', "Not Found"),
        ('{"success":false,"errors":[{"code":7003,"message":"no route"},{"message":"twice"}]}', "no route; twice"),
        ('{"Message":"throttled"}', "throttled"),
        ('{"error":"invalid_request","error_description":"no such grant"}', "no such grant"),
        ('{"error":{"weird":[1]}}', '{"weird": [1]}'),
        ("<html><head><title>502 Bad\n Gateway</title></head><body>x</body></html>", "an HTML page: 502 Bad Gateway"),
        ("<!DOCTYPE html><body><style>p{}</style><p>Sign&nbsp;in</p></body>", "an HTML page: Sign in"),
        ("upstream  connect\nerror", "upstream connect error"),
    ],
)
def test_the_servers_own_words_are_told_whatever_their_form(body: str, message: str) -> None:
    assert refused(503, body).message == f"HTTP 503: {message}"


def test_a_wait_that_is_no_number_is_not_told() -> None:
    assert refused(429, '{"error":"slow down"}', **{"retry-after": "nan"}).message == "HTTP 429: slow down"


def test_a_date_to_retry_after_is_read_by_the_servers_own_clock() -> None:
    headers = {"date": "Fri, 31 Dec 1999 23:59:00 GMT", "retry-after": "Fri, 31 Dec 1999 23:59:07 GMT"}
    assert refused(429, "", **headers).retry_after_s == 7
    assert refused(429, "", **headers | {"date": "yesterday"}).retry_after_s == 0  # ours is long past it
    assert refused(429, "", **{"retry-after": "Fri, 31 Dec 9999 23:59:07 GMT"}).retry_after_s is not None


# -- how long the server asks to wait ----------------------------------------------------------------------------------


def with_details(*details: object) -> str:
    error = {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [*details]}
    return json.dumps({"error": error})


def retry_info(delay: object) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


QUOTA = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerMinute"}]}


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("34s", 34.0), ("34.074824224s", 34.074824224), ("0s", 0.0), ("999999999999s", 1e9),
        ("-3s", None), ("34", None), ("34 s", None), ("s", None), ("", None), ("1e3s", None), ("nans", None),
        ("infs", None), ("1.s", None), ("\u0663s", None), ("9" * 4_000 + "s", None), (34, None), (None, None),
        ({"seconds": 34}, None), (["34s"], None), ("34s\n", None),
    ],
)  # fmt: skip
def test_googles_retry_info_says_how_long_to_wait(delay: object, seconds: float | None) -> None:
    error = refused(429, with_details(QUOTA, retry_info(delay)))
    assert error.retry_after_s == seconds and error.code == "RESOURCE_EXHAUSTED"
    wait = "" if seconds is None else f" (Retry-After {seconds:g} s)"
    assert error.message == f"HTTP 429: Quota exceeded.{wait}"


def test_retry_info_is_found_in_every_envelope_of_google() -> None:
    listed = f"[{with_details(retry_info('7s'))}]"  # without alt=sse, and of the OpenAI-compatible endpoint
    assert refused(429, listed).retry_after_s == 7
    assert answer_error(429, "", {}, listed.encode(), spoken=wire_format("gemini")).retry_after_s == 7
    assert answer_error(429, "", {}, listed[1:-1].encode(), spoken=wire_format("gemini")).retry_after_s == 7


@pytest.mark.parametrize(
    "details",
    [
        (), (QUOTA,), ("34s",), (None, 1, [retry_info("34s")]), ({"retryDelay": "34s"},),
        ({"@type": "type.googleapis.com/google.rpc.DebugInfo", "retryDelay": "34s"},),
        ({"@type": ["google.rpc.RetryInfo"], "retryDelay": "34s"},), (*[QUOTA] * 32, retry_info("34s")),
    ],
)  # fmt: skip
def test_other_details_ask_for_no_wait(details: tuple[object, ...]) -> None:
    assert refused(429, with_details(*details)).retry_after_s is None
    assert refused(429, '{"error":{"message":"m","details":{"retryDelay":"34s"}}}').retry_after_s is None


def test_a_header_is_preferred_to_the_body_and_milliseconds_to_seconds() -> None:
    body = with_details(retry_info("34s"))
    assert refused(429, body, **{"retry-after": "5"}).retry_after_s == 5
    assert refused(429, body, **{"retry-after": "5", "retry-after-ms": "1500"}).retry_after_s == 1.5
    assert refused(429, body, **{"retry-after": "soon"}).retry_after_s == 34


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("250", 0.25), ("0", 0), ("-5", 0), ("1e300", 1e9), ("nan", 5), ("inf", 5), ("1 s", 5), ("", 5), ("1e400", 5)],
)
def test_milliseconds_that_are_none_leave_the_seconds(value: str, seconds: float) -> None:
    assert refused(429, "{}", **{"retry-after": "5", "retry-after-ms": value}).retry_after_s == seconds


def test_an_error_inside_a_stream_asks_for_a_wait_as_well() -> None:
    said = f"data: {with_details(retry_info('2.5s'))}\n\n".encode()
    for name in ("gemini", "chat"):  # Google's own API, and its OpenAI-compatible one
        decoder = http_dialect(name).decoder()
        errors = [delta.error for delta in [*decoder.feed(said), *decoder.end()] if delta.error is not None]
        assert [error.retry_after_s for error in errors] == [2.5]
