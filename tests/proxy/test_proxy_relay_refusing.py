"""Promises of the relay to clients it refuses: they are told why, they can read it, and nobody else pays for them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from http import HTTPStatus

import httpx
import pytest

from kmon.proxy.relay import server as relay_server
from kmon.proxy.relay.request_side import OPEN_LIMIT
from tests.support.loopback import serving
from tests.support.relaying import open_sockets, relaying

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
EVIL = b"GET /b HTTP/1.1\r\nHost: evil.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers the first request, and any further one."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            writer.write(OK)
            await reader.readuntil(b"\r\n\r\n")


async def everything(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(30):
        return await reader.read()


def refused(answer: bytes) -> tuple[int, str]:
    """Status and sentence of an answer of the relay's own, which has all that belongs to one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    version, status, phrase = line.split(" ", 2)
    headers = dict(line.split(": ", 1) for line in lines)
    assert (version, phrase) == ("HTTP/1.1", HTTPStatus(int(status)).phrase)
    assert headers == {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    message = json.loads(body)["error"]["message"]
    assert message.startswith("kmon proxy: ")
    return int(status), message


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"X: " + b"x" * 300_000, 431),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (POST + b"X: y\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\nHost: localhost\n\n", 400),
        (b"\x16\x03\x01\x02\x00\x01" + b"\x00" * 300_000, 400),
    ],
    ids=["proxy", "absolute", "h2", "coding", "long", "te-and-cl", "lengths", "bare-lf", "bare-lf-too", "tls"],
)
async def test_each_refusal_has_its_status_with_its_phrase(data: bytes, status: int) -> None:
    requests: list[bytes] = []
    async with serving(answering, requests=requests) as url, relaying(url) as relay:
        reader, writer = await relay.open(data)
        assert refused(await everything(reader))[0] == status
        writer.close()
        assert (requests, relay.seen) == ([], [])


async def test_requests_before_a_refused_one_get_their_answers_first() -> None:
    """A pipeline in one write: the first two were in order, and so are their answers; then the word for the third."""
    requests: list[bytes] = []
    async with serving(answering, requests=requests) as url, relaying(url) as relay:
        reader, writer = await relay.open(GET + GET + EVIL + GET)
        received = await everything(reader)
        writer.close()
        assert received.startswith(OK + OK)
        assert refused(received.removeprefix(OK + OK))[0] == 421
        assert [(await seen.end()).how for seen in relay.seen] == ["complete", "complete"]
        assert len(requests) == 1  # the other one was read by ``answering``


async def test_a_refusal_behind_an_answer_that_streams_waits_for_its_end_and_ends_with_the_client() -> None:
    go_on = asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK[:-1])
        await go_on.wait()
        writer.write(OK[-1:])

    async with serving(script) as url, relaying(url) as relay:
        reader, writer = await relay.open(GET)
        await reader.readexactly(len(OK) - 1)
        writer.write(EVIL)
        while not relay.complaints:  # it is refused while the first one is not over
            await asyncio.sleep(0.01)
        go_on.set()
        received = await everything(reader)
        writer.close()
        assert received[:1] == b"k"
        assert refused(received[1:])[0] == 421
        go_on.clear()
        reader, writer = await relay.open(GET)
        await reader.readexactly(len(OK) - 1)
        writer.write(EVIL)
        writer.write_eof()
        assert (await relay.seen[1].end()).how == "client-left"
        writer.close()


async def test_a_body_that_is_no_chunks_is_named_where_no_answer_has_begun() -> None:
    heard = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        await reader.read()

    async with serving(script) as url, relaying(url) as relay:
        reader, writer = await relay.open(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        await asyncio.wait_for(heard.wait(), 20)
        writer.write(b"3\nabc\r\n0\r\n\r\n")
        status, message = refused(await everything(reader))
        writer.close()
        assert status == 400
        assert "CRLF" in message
        assert (await relay.seen[0].end()).how == "client-left"


async def test_who_asks_on_and_on_is_told() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as url, relaying(url) as relay:
        reader, writer = await relay.open(GET * (OPEN_LIMIT + 1))
        assert "before the first is answered" in refused(await everything(reader))[1]
        writer.close()


async def test_clients_above_the_limit_are_told_whatever_they_are_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_server, "CONNECTION_LIMIT", 2)
    monkeypatch.setattr(relay_server, "REFUSED_LIMIT", 3)
    async with serving(answering) as url, relaying(url) as relay:
        first = [await relay.open(b"") for _ in range(2)]
        while relay.server.clients < 2:
            await asyncio.sleep(0.01)
        waiting = []
        for _ in range(3):
            client = socket.create_connection(("127.0.0.1", relay.server.port))
            client.sendall(POST + b"Content-Length: 400000\r\n\r\n" + bytes(200_000))  # there before it is accepted
            waiting.append(await asyncio.open_connection(sock=client))
        for reader, _ in waiting:  # all are told before any of them leaves
            async with asyncio.timeout(20):
                head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        reader, writer = await relay.open(GET)
        with contextlib.suppress(ConnectionError):
            assert await everything(reader) == b""  # nobody has a place, or a word, for this one
        writer.close()
        for reader, writer in waiting:
            writer.write(bytes(200_000))
            await writer.drain()
            assert b"2 connections at once" in await everything(reader)
            writer.close()
        for _, writer in first:
            writer.close()
        await relay.quiet()
        reader, writer = await relay.open(GET)
        assert await reader.readexactly(len(OK)) == OK
        writer.close()


async def test_an_upstream_that_does_not_answer_the_call_is_a_504() -> None:
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            taken = stack.enter_context(socket.socket())
            taken.setblocking(False)
            taken.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with relaying(url, connect_timeout_s=0.2) as relay, httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{relay.url}/x")
            assert (answer.status_code, answer.reason_phrase) == (504, "Gateway Timeout")
            assert "connect timeout" in answer.json()["error"]["message"]
            reader, writer = await relay.open(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await everything(reader)).endswith(b"\r\n\r\n")  # and nothing behind it
            writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="counts sockets in /proc")
async def test_a_server_that_closes_while_a_client_leaves_leaves_no_socket() -> None:
    """At every step of the leaving, after the upstream has closed first."""

    async def one_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async with serving(one_answer) as url:
        before = open_sockets()
        for steps in range(25):
            async with relaying(url) as relay:
                reader, writer = await relay.open(GET)
                assert await everything(reader) == OK
                writer.transport.abort()
                for _ in range(steps):
                    await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while open_sockets() > before:  # the other end of each closes when this one has
                await asyncio.sleep(0.01)
