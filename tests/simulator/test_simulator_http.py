"""The HTTP floor: what is a request, in any split, and what is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.simulator.http import (
    BODY_LIMIT_BYTES,
    CHUNK_LINE_LIMIT_BYTES,
    HEAD_LIMIT_BYTES,
    HttpError,
    RequestParser,
    ServerRequest,
    chunk,
    whole,
)

HOSTED = b"POST / HTTP/1.1\r\nhost: x\r\n"
CHUNKED = HOSTED + b"transfer-encoding: chunked\r\n\r\n"
TWO_REQUESTS = (
    b"POST /a/v1/chat/completions?stamps=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n"
    b"3;ext=1\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\n"
)


def parsed(pieces: list[bytes]) -> list[ServerRequest]:
    parser = RequestParser()
    found = []
    for piece in pieces:
        parser.feed(piece)
        while (request := parser.next()) is not None:
            found.append(request)
    return found


def refused(data: bytes) -> tuple[int, str]:
    """Status and words of the refusal."""
    parser = RequestParser()
    parser.feed(data)
    with pytest.raises(HttpError) as caught:
        parser.next()
    return caught.value.status, caught.value.message


def test_a_request_has_method_path_query_headers_and_body() -> None:
    first, second = parsed([TWO_REQUESTS])
    assert (first.method, first.path, first.query, first.body) == (
        "POST", "/a/v1/chat/completions", {"stamps": "1"}, b"hello",
    )  # fmt: skip
    assert (second.path, second.body, second.keep_alive) == ("/b", b"abc0123456789abcdef", False)


@given(st.lists(st.integers(0, len(TWO_REQUESTS)), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_requests(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TWO_REQUESTS)]
    pieces = [TWO_REQUESTS[a:b] for a, b in itertools.pairwise(edges)]
    assert parsed(pieces) == parsed([TWO_REQUESTS])


@given(st.binary(max_size=400) | st.integers(0, len(TWO_REQUESTS)).map(lambda at: TWO_REQUESTS[:at] + b"\xff"))
def test_garbage_is_refused_or_waited_for_and_never_raises_anything_else(data: bytes) -> None:
    parser = RequestParser()
    parser.feed(data)
    try:
        while parser.next() is not None:
            pass
    except HttpError as error:
        assert error.status in (400, 413, 431, 505)
        assert error.message.isprintable()


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "not HTTP"),
        (b"GET /\r\nhost: x\r\n\r\n", 400, "illegal request line"),
        (b"GET / HTTP/1.1\ncontent-length: 5\r\nhost: x\r\n\r\n", 400, "malformed request line"),
        (b"GET / HTTP/1.0\r\n\r\n", 505, "only HTTP/1.1"),
        (b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n", 400, "malformed URL"),
        (HOSTED + b"no colon\r\n\r\n", 400, "malformed header line"),
        (HOSTED + b"a: b\r\n c\r\n\r\n", 400, "goes on in the next line"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host"),
        (HOSTED + b"content-length: -1\r\n\r\n", 400, "not a number"),
        (HOSTED + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "not a number"),
        (HOSTED + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400, "alone"),
        (HOSTED + b"transfer-encoding: gzip\r\n\r\n", 400, "'chunked' alone"),
        (CHUNKED + b"xyz\r\n", 400, "illegal chunk header"),
        (CHUNKED + b"1\r\nab\r\n", 400, "malformed chunk footer"),
        (CHUNKED + b"1" * (CHUNK_LINE_LIMIT_BYTES + 1), 400, "too long"),
        (CHUNKED + b"0\r\na: " + b"b" * CHUNK_LINE_LIMIT_BYTES, 400, "too long"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_status_and_why(data: bytes, status: int, words: str) -> None:
    assert refused(data)[0] == status
    assert words in refused(data)[1]


def test_a_head_and_a_body_as_long_as_the_limit_are_read_and_longer_ones_refused() -> None:
    head = HOSTED + b"x: " + b"a" * (HEAD_LIMIT_BYTES - len(HOSTED) - 3)
    assert len(parsed([head + b"\r\n\r\n"])) == 1
    assert refused(head + b"a\r\n\r\n")[0] == refused(head + b"a")[0] == 431
    sized, body = HOSTED + b"content-length: %d\r\n\r\n", bytes(BODY_LIMIT_BYTES)
    assert parsed([sized % len(body), body])[0].body == body
    assert refused(sized % (len(body) + 1)) == (413, f"request body over {BODY_LIMIT_BYTES} bytes")
    assert parsed([CHUNKED + chunk(body) + b"0\r\n\r\n"])[0].body == body
    assert refused(CHUNKED + chunk(body) + b"1\r\na")[0] == 413


def test_what_was_sent_is_not_quoted() -> None:
    for data in (CHUNKED + b"1\r\nsk-secret", CHUNKED + b"sk-secret\r\n", b"GET sk-secret\r\nhost: x\r\n\r\n"):
        assert "secret" not in refused(data)[1]


def test_many_requests_at_once_are_read_one_by_one() -> None:
    parser = RequestParser()
    parser.feed(TWO_REQUESTS * 50)
    found = [parser.next() for _ in range(100)]
    assert [request.path for request in found if request] == ["/a/v1/chat/completions", "/b"] * 50
    assert (parser.next(), parser.started, parser.buffered_bytes) == (None, False, 0)


def test_a_waiting_client_is_owed_one_continue() -> None:
    parser = RequestParser()
    parser.feed(HOSTED + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert parser.next() is None
    assert (parser.take_continue(), parser.take_continue()) == (True, False)
    parser.feed(b"ok")
    request = parser.next()
    assert request is not None
    assert request.body == b"ok"


def test_responses_are_framed() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    answer = whole(418, (("a", "b"),), b"tea", close=True)
    assert answer == b"HTTP/1.1 418 I'm a Teapot\r\na: b\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntea"
