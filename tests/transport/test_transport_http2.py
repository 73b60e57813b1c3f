"""HTTP/2 over a real TLS socket: stamps, flow control, connections that are used again, and every end with a name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import httpcore
import pytest

from kmon.transport.carriage import Carriage, KeptConnections
from kmon.transport.errors import ExchangeError, stream_error
from kmon.transport.http import HttpRequest, exchange

pytest.importorskip("h2")
pytestmark = pytest.mark.references

from tests.support.http2_server import Http2Server, Talk, goaway, serving_http2  # noqa: E402 - it needs h2

NEW = ["dns", "connect", "tls", "request_sent", "headers"]
USED = ["reused", "request_sent", "headers"]
INTERNAL_ERROR = 2


async def one_two(talk: Talk, stream: int) -> None:
    await talk.head(stream)
    await talk.data(stream, b"one")
    await asyncio.sleep(0.1)
    await talk.data(stream, b"two", end=True)


async def get(
    server: Http2Server,
    *,
    kept: KeptConnections | None = None,
    body: bytes = b"{}",
    context: ssl.SSLContext | None = None,
) -> tuple[list[str], list[tuple[int, bytes]]]:
    phases: list[str] = []
    reads: list[tuple[int, bytes]] = []
    async with exchange(
        HttpRequest("POST", f"{server.url}/chat?q=1", {"Authorization": "Bearer k", "Host": "localhost"}, body),
        on_phase=lambda phase, *_: phases.append(phase),
        ssl_context=context or server.trusting,
        connect_timeout_s=10,
        carriage=Carriage(kept, reuse=kept is not None, http2=True),
    ) as answer:
        assert answer.status == 200 and answer.content_type == "text/event-stream"
        async for read in answer.reads():
            reads.append(read)
    return phases, reads


async def test_an_answer_comes_as_stamped_pieces() -> None:
    async with serving_http2(one_two) as server:
        phases, reads = await get(server)
        assert phases == NEW and [data for _, data in reads] == [b"one", b"two"]
        assert reads[1][0] - reads[0][0] > 50_000_000
        head = server.talks[0].heads[1]
    assert head[":path"] == "/v1/chat?q=1" and head[":method"] == "POST" and head["authorization"] == "Bearer k"
    assert not {"host", "connection", "transfer-encoding"} & set(head)


async def test_a_long_request_and_a_long_answer_keep_to_flow_control() -> None:
    async def echo(talk: Talk, stream: int) -> None:
        await talk.head(stream)
        body = bytes(talk.bodies[stream])
        for at in range(0, len(body), 16_000):
            await talk.data(stream, body[at : at + 16_000], end=at + 16_000 >= len(body))

    body = bytes(range(256)) * 4_000
    async with serving_http2(echo) as server:
        _, reads = await get(server, body=body)
    assert b"".join(data for _, data in reads) == body


async def test_a_used_connection_carries_the_next_stream() -> None:
    kept = KeptConnections()
    async with serving_http2(one_two) as server:
        assert [(await get(server, kept=kept))[0] for _ in range(3)] == [NEW, USED, USED]
        assert server.by == [1, 1, 1]
        await kept.close()


async def test_trailers_end_an_answer_well() -> None:
    async def trailing(talk: Talk, stream: int) -> None:
        await talk.head(stream)
        await talk.data(stream, b"all")
        talk.session.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        await talk.flush()

    async with serving_http2(trailing) as server:
        assert [data for _, data in (await get(server))[1]] == [b"all"]


async def test_a_server_that_is_replaced_finishes_its_answer_and_gets_no_other_request() -> None:
    async def leaving(talk: Talk, stream: int) -> None:
        await talk.head(stream)
        await talk.raw(goaway(0x7FFFFFFF))
        await talk.data(stream, b"all")
        await talk.raw(goaway(stream))
        await talk.data(stream, b"", end=True)

    kept = KeptConnections()
    async with serving_http2(leaving) as server:
        for _ in range(2):
            phases, reads = await get(server, kept=kept)
            assert phases == NEW and b"".join(data for _, data in reads) == b"all"
        await kept.close()


async def test_a_goaway_on_an_idle_connection_means_a_new_one() -> None:
    kept = KeptConnections()
    async with serving_http2(one_two) as server:
        await get(server, kept=kept)
        await server.talks[0].raw(goaway(1))
        await asyncio.sleep(0.1)
        phases, reads = await get(server, kept=kept)
        assert phases == ["reused", *NEW] and len(reads) == 2, "the timeline takes this for a new connection"
        await kept.close()


async def reset(talk: Talk, stream: int) -> None:
    await talk.head(stream)
    await talk.data(stream, b"one")
    talk.session.reset_stream(stream, INTERNAL_ERROR)
    await talk.flush()


async def reset_at_once(talk: Talk, stream: int) -> None:
    talk.session.reset_stream(stream, 7)
    await talk.flush()


async def gone(talk: Talk, stream: int) -> None:
    await talk.head(stream)
    await talk.raw(goaway(stream, INTERNAL_ERROR))


async def unanswered(talk: Talk, stream: int) -> None:
    await talk.raw(goaway(0))


async def closed(talk: Talk, stream: int) -> None:
    await talk.head(stream)
    await talk.data(stream, b"one")
    talk.writer.close()


async def nonsense(talk: Talk, stream: int) -> None:
    await talk.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


async def of_no_stream(talk: Talk, stream: int) -> None:
    await talk.raw(b"\x00\x00\x01\x00\x00\x00\x00\x00\x63x")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reset, "cut", "RST_STREAM, INTERNAL_ERROR"),
        (reset_at_once, "cut", "RST_STREAM, REFUSED_STREAM"),
        (gone, "cut", "GOAWAY, INTERNAL_ERROR"),
        (unanswered, "cut", "GOAWAY, NO_ERROR"),
        (closed, "cut", "before the HTTP/2 stream had ended"),
        (nonsense, "protocol", "not valid HTTP/2"),
        (of_no_stream, "protocol", "not valid HTTP/2"),
    ],
)
async def test_every_bad_end_has_a_name(answer: Callable[[Talk, int], object], kind: str, words: str) -> None:
    async with serving_http2(answer) as server:  # type: ignore[arg-type]
        with pytest.raises(httpcore.ProtocolError) as caught:
            async with asyncio.timeout(20):
                await get(server)
    error = stream_error(caught.value)
    assert error.kind == kind and words in error.message


async def test_without_http2_nothing_is_sent() -> None:
    async with serving_http2(one_two, protocols=("http/1.1",)) as server:
        with pytest.raises(ExchangeError) as caught:
            await get(server)
        assert caught.value.error.kind == "not-sent" and "it chose http/1.1" in caught.value.error.message
        assert server.by == []
