"""Promises about answers that are no stream: what they said, in one error."""

from __future__ import annotations

import pytest

from kmon.dialects.delta import StreamError
from kmon.dialects.http_answer import answer_error
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
