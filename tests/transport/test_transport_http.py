"""Promises of the transport over real sockets: stamps, phases, closing at once, and errors with a name."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time

import httpcore
import httpx
import pytest
import trustme

from kmon.transport.errors import stream_error
from kmon.transport.http import HttpRequest, exchange
from tests.transport.loopback import END, HEAD, Script, chunked, serving

NO_TLS = ssl.create_default_context()


async def fetch(
    url: str, *, context: ssl.SSLContext = NO_TLS, **options: object
) -> tuple[list[tuple[int, bytes]], dict]:
    phases: dict[str, int] = {}
    reads: list[tuple[int, bytes]] = []
    async with exchange(
        HttpRequest("POST", url, {}, b""),
        on_phase=lambda phase, t_ns, detail: phases.update({phase: t_ns}),
        ssl_context=context,
        connect_timeout_s=5,
        **options,  # type: ignore[arg-type]
    ) as answer:
        async for t_ns, data in answer.reads():
            reads.append((t_ns, data))
    return reads, phases


async def error_of(url: str, **options: object) -> str:
    with pytest.raises((httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError)) as caught:
        await fetch(url, **options)
    return stream_error(caught.value).kind


async def test_phases_are_stamped_in_order_and_reads_after_them() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(b"one"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(chunked(b"two") + END)

    before_ns = time.monotonic_ns()
    async with serving(script) as url:
        reads, phases = await fetch(url)
    assert list(phases) == ["dns", "connect", "request_sent", "headers"]
    stamps = [before_ns, *phases.values(), *(t_ns for t_ns, _ in reads), time.monotonic_ns()]
    assert stamps == sorted(stamps)
    assert b"".join(data for _, data in reads) == b"onetwo"


async def test_a_blocked_reader_does_not_merge_two_arrivals_into_one_stamp() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for i in range(5):
            writer.write(chunked(b"chunk %d" % i))
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(END)

    async with serving(script) as url:
        phases: list[object] = []
        async with exchange(
            HttpRequest("POST", url, {}, b""), on_phase=lambda *phase: phases.append(phase),
            ssl_context=NO_TLS, connect_timeout_s=5,
        ) as answer:  # fmt: skip
            await asyncio.sleep(0.3)  # not reading while five chunks arrive
            stamps = [t_ns async for t_ns, _ in answer.reads()]
    assert len(set(stamps)) >= 4


async def test_leaving_the_exchange_closes_the_socket_at_once() -> None:
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(b"hello"))
        await writer.drain()
        while await reader.read(1024):
            pass
        closed.set()

    async with serving(script) as url:
        task = asyncio.create_task(fetch(url))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        async with asyncio.timeout(5):
            await closed.wait()


async def test_refused_unresolved_and_mute_are_three_different_errors() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert await error_of(f"http://127.0.0.1:{port}") == "connect"
    assert await error_of("http://name.invalid") == "dns"


async def test_a_cut_body_a_reset_and_garbage_are_three_different_errors() -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(b"some") + b"ff\r\nhalf")

    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(b"some"))
        await writer.drain()
        await asyncio.sleep(0.05)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nope\r\n\r\n")

    scripts: dict[str, Script] = {"cut": cut, "reset": reset, "protocol": garbage}
    for kind, script in scripts.items():
        async with serving(script) as url:
            assert await error_of(url) == kind


async def test_tls_is_stamped_and_an_untrusted_certificate_is_named() -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(b"secret") + END)

    async with serving(script, server_side) as url:
        reads, phases = await fetch(url, context=trusting)
        assert reads[0][1] == b"secret"
        assert phases["connect"] <= phases["tls"] <= phases["request_sent"]
        assert await error_of(url) == "tls"


async def test_a_gzipped_answer_is_undone_although_identity_was_asked() -> None:
    import gzip

    body = gzip.compress(b"data: x\n\n")

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
        writer.write(head + chunked(body) + END)

    async with serving(script) as url:
        reads, _ = await fetch(url)
    assert b"".join(data for _, data in reads) == b"data: x\n\n"


async def test_an_http_proxy_is_used_and_its_password_is_never_shown() -> None:
    from kmon.transport.proxy import shown

    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        seen.append(line)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + chunked(b"by proxy") + END)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    address = f"http://user:hunter2@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    reads, _ = await fetch("http://provider.invalid/v1", proxy=address)
    server.close()
    assert seen[0].startswith(b"POST http://provider.invalid/v1 ")
    assert reads[0][1] == b"by proxy"
    assert "hunter2" not in (shown(address) or "")


def test_an_exception_of_httpx_is_named_too() -> None:
    assert stream_error(httpx.ConnectTimeout("slow")).kind == "connect"
