"""The HTTP floor: what is a request, in any split, and what is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.simulator.http import BODY_LIMIT_BYTES, HEAD_LIMIT_BYTES, HttpError, Request, RequestParser, chunk, whole

TWO_REQUESTS = (
    b"POST /a/v1/chat/completions?stamps=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n"
    b"3;ext=1\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\n"
)


def parsed(pieces: list[bytes]) -> list[Request]:
    parser = RequestParser()
    found = []
    for piece in pieces:
        parser.feed(piece)
        while (request := parser.next()) is not None:
            found.append(request)
    return found


def refused(data: bytes) -> int:
    parser = RequestParser()
    parser.feed(data)
    with pytest.raises(HttpError) as caught:
        parser.next()
    return caught.value.status


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


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_waited_for_and_never_raises_anything_else(data: bytes) -> None:
    parser = RequestParser()
    parser.feed(data)
    try:
        parser.next()
    except HttpError as error:
        assert error.status in (400, 413, 431, 505)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * HEAD_LIMIT_BYTES + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * HEAD_LIMIT_BYTES, 431),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (BODY_LIMIT_BYTES + 1), 413),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n", 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 2_000, 400),
    ],
)
def test_what_makes_no_sense_or_is_too_much_is_refused_with_its_status(data: bytes, status: int) -> None:
    assert refused(data) == status


def test_a_waiting_client_is_owed_one_continue() -> None:
    parser = RequestParser()
    parser.feed(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
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
