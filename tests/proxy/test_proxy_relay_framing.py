"""Promises of the relay's readers, whatever way the bytes are split: they find the ends and change nothing but Host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.proxy.relay.body import Body, body_of_request, body_of_response
from kmon.proxy.relay.head import (
    HeadError,
    end_of_head,
    refuse_other_protocols,
    request_head,
    response_head,
    with_host,
)

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


@given(PAYLOADS, st.lists(st.integers(0, 400), max_size=12), st.binary(max_size=20))
def test_a_chunked_body_ends_where_it_ends_in_any_split(pieces: list[bytes], cuts: list[int], after: bytes) -> None:
    wire = b"".join(b"%x;x=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nTrailer: yes\r\n\r\n"
    body, payload, taken = Body("chunked"), b"", 0
    for part in split(wire + after, cuts):
        found, used = body.feed(part)
        payload, taken = payload + found, taken + used
        if body.done:
            break
    assert (payload, taken, body.done) == (b"".join(pieces), len(wire), True)


@given(st.integers(1, 60), st.binary(min_size=60, max_size=90), st.lists(st.integers(0, 90), max_size=5))
def test_a_body_with_a_length_takes_exactly_that(length: int, data: bytes, cuts: list[int]) -> None:
    body, payload = Body(length), b""
    for part in split(data, cuts):
        payload += body.feed(part)[0]
    assert payload == data[:length]
    assert body.done


@pytest.mark.parametrize("wire", [b"zz\r\n", b"\r\n", b"2\r\nabc\r\n", b"-1\r\n", b"1" * 5000])
def test_chunks_that_are_none_are_refused(wire: bytes) -> None:
    with pytest.raises(HeadError):
        Body("chunked").feed(wire)


def test_only_the_host_changes() -> None:
    raw = b"POST /v1/chat?x=1 HTTP/1.1\r\nX-Ghost: no host: here\r\nhOsT:  127.0.0.1:8787\r\nA: b\r\nA:c\r\n\r\n"
    assert with_host(raw, "api.test") == raw.replace(b"hOsT:  127.0.0.1:8787", b"Host: api.test")
    assert with_host(b"GET / HTTP/1.0\r\n\r\n", "api.test") == b"GET / HTTP/1.0\r\nHost: api.test\r\n\r\n"
    head = request_head(raw)
    assert (head.method, head.path, head.headers["a"], head.upgrade) == ("POST", "/v1/chat", "b, c", False)
    assert end_of_head(raw + b"body") == len(raw)
    assert end_of_head(raw[:-1]) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x16\x03\x01\x02", "speaks TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"\x00\x01\x02", "speaks no HTTP"),
        (b"hello world this is no request\r\n\r\n", "no HTTP"),
        (b"CONNECT api.test:443 HTTP/1.1\r\n\r\n", "base URL"),
        (b"GET http://api.test/ HTTP/1.1\r\n\r\n", "base URL"),
        (b"G" * 40, "speaks no HTTP"),
    ],
)
def test_what_is_no_request_is_named(data: bytes, why: str) -> None:
    def read() -> None:
        refuse_other_protocols(data)
        request_head(data)

    with pytest.raises(HeadError, match=why):
        read()


def test_a_head_without_end_is_refused() -> None:
    with pytest.raises(HeadError, match="256 KiB"):
        end_of_head(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50_000)


def test_which_answers_have_a_body() -> None:
    plain = response_head(b"HTTP/1.1 200 OK\r\n\r\n")
    assert body_of_response(plain, "GET").until_close
    assert body_of_response(plain, "HEAD").done
    assert body_of_response(response_head(b"HTTP/1.1 204 \r\nContent-Length: 3\r\n\r\n"), "GET").done
    assert not body_of_response(response_head(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "GET").done
    with pytest.raises(HeadError, match="Content-Length"):
        body_of_request(request_head(b"GET / HTTP/1.1\r\nContent-Length: 3, 4\r\n\r\n"))


@pytest.mark.parametrize(
    "wire",
    [b"2\nab\r\n0\r\n\r\n", b"2;x\ny\r\nab\r\n", b" 2\r\nab\r\n", b"2\r\nab \r\n", b"2;\x00\r\n", b"0\r\nA: b\n\r\n"],
)
def test_chunks_that_two_readers_could_cut_differently_are_refused_of_a_client_only(wire: bytes) -> None:
    with pytest.raises(HeadError, match=r"between chunks|without its size|longer than its size"):
        Body("chunked", strict=True).feed(wire)
    Body("chunked").feed(wire)  # of an upstream they are passed on whatever they are


@pytest.mark.parametrize(
    "framing",
    [
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: \xa0chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding : chunked",
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
        b"X: y\x00",
        b"Content-Length : 5",
        b"Content-Length: 5, 5",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: \xa05",
        b"no colon",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nTransfer-Encoding:\r\n chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: xchunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5,\r\n\t6",
        b"Content-Length: +5",
    ],
)
def test_a_request_that_two_readers_could_measure_differently_is_refused(framing: bytes) -> None:
    with pytest.raises(HeadError):
        body_of_request(request_head(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n"))


@given(st.integers(1, 40), st.integers(0, 3))
def test_a_head_that_drips_in_is_found_without_being_read_anew(step: int, blank: int) -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 50 + (b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n")[blank]
    looked, found = 0, None
    for end in range(step, len(raw) + step, step):
        found = end_of_head(raw[:end], looked)
        looked = min(end, len(raw))
        if found is not None:
            break
    assert found == len(raw)


def test_a_transfer_encoding_in_http_1_0_is_refused() -> None:
    with pytest.raises(HeadError, match=r"HTTP/1\.0"):
        body_of_request(request_head(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"))


def test_a_request_line_that_ends_in_a_bare_line_feed_is_refused() -> None:
    for raw in (
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    ):
        with pytest.raises(HeadError):
            request_head(raw)
