"""Promises of streams that kmon does not read, over real sockets: their bytes are watched, their transport judged."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest

from kmon.openclaw.provider_side import CallLog
from kmon.output.lines import line
from kmon.output.summary import table
from kmon.stream import events as ev
from kmon.stream.state import derive
from tests.support.loopback import END, chunked, serving
from tests.support.racing import Watched, sse
from tests.support.sockets import frame
from tests.support.watching import Middle, proxying

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
EVENTS = "text/event-stream"
STALL_S = 0.3


def head(content_type: str = EVENTS, status: str = "200 OK", more: str = "transfer-encoding: chunked") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n{more}\r\n\r\n".encode()


def events(*objects: object, named: bool = False) -> bytes:
    """Server-sent events, each an HTTP chunk of its own."""
    out = b""
    for value in objects:
        name = b"event: %s\n" % str(value["type"]).encode() if named and isinstance(value, dict) else b""
        out += chunked(name + b"data: " + json.dumps(value).encode() + b"\n\n")
    return out


COHERE = events(
    {"type": "message-start", "id": "m"},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hel"}}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "lo"}}}},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
    named=True,
)
MCP = chunked(b": ping\n\n") + events({"jsonrpc": "2.0", "id": 1, "result": {"tools": []}})
LINES = chunked(b'{"response":"Hel","done":false}\n') + chunked(b'{"response":"lo","done":true}\n')
ERROR_INSIDE = events({"type": "error", "error": {"message": "overloaded"}}, named=True)
AI_SDK = events({"type": "start"}, {"type": "text-delta", "id": "0", "delta": "Hi"}, {"type": "finish"}) + chunked(
    b"data: [DONE]\n\n"
)
DASHSCOPE = events({"output": {"text": "Hi", "finish_reason": "stop"}, "usage": {}, "request_id": "r"})
WORKERS_AI = events({"response": "Hi", "p": "ab"}) + chunked(b"data: [DONE]\n\n")
LLAMA_CPP = events({"content": "Hi", "stop": False}, {"content": "", "stop": True, "timings": {}})
KNOWN = {
    "cohere": ("/v2/chat", COHERE, "a Cohere v2 stream"),
    "mcp": ("/mcp", MCP, "an MCP stream"),
    "ai-sdk-ui": ("/api/chat", AI_SDK, "an AI SDK UI stream"),
    "dashscope": ("/api/v1/services/aigc/text-generation/generation", DASHSCOPE, "a DashScope native stream"),
    "workers-ai": ("/client/v4/accounts/a/ai/run/@cf/meta/llama-3.1-8b-instruct", WORKERS_AI, "a Workers AI stream"),
    "llama-cpp": ("/completion", LLAMA_CPP, "a llama.cpp completion stream"),
}
"""Path, answer and words of each dialect that is recognised and not read, by its name."""
HEALTHY = {
    "lines": ("/v1/chat", "application/x-ndjson", LINES),
    "eventstream": ("/endpoints/e/invocations-response-stream", "application/vnd.amazon.eventstream", chunked(b"\0\0")),
    "an error that only a reader would see": ("/v2/chat", EVENTS, ERROR_INSIDE),
    "chat lines of another type": ("/v1/chat/completions", "application/x-ndjson", LINES),
}


async def through(middle: Middle, path: str = "/v2/chat") -> ev.RunEnded:
    """Ask once, as a client that reads to the end, and forgives what is wrong there."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        try:
            async with http.stream("POST", f"{middle.origin}{path}", json={"model": "m", "stream": True}) as answer:
                async for _ in answer.aiter_raw():
                    pass
        except httpx.HTTPError:
            pass
    return await middle.watched.ended()


def accused(watched: Watched) -> list[ev.Event]:
    return [event for event in watched.events if isinstance(event, ev.StallStarted | ev.StallEnded | ev.Blamed)]


def is_silence(event: ev.Event) -> bool:
    return isinstance(event, ev.WireSilence) and not event.over


@pytest.mark.parametrize("name", HEALTHY)
async def test_a_healthy_stream_that_kmon_does_not_read_is_done_and_is_said_not_to_be_read(name: str) -> None:
    path, content_type, body = HEALTHY[name]

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(content_type) + body + END)

    async with serving(script) as url, proxying(url) as middle:
        ended = await through(middle, path)
        lines = [line(event, middle.watched.view) or "" for event in middle.watched.events]
    assert (ended.state, ended.signature, ended.error, ended.unread) == ("done", None, None, True)
    assert ended.evidence.startswith("a stream kmon does not read, judged by its transport alone; headers after")
    assert (ended.text, ended.ttft_ms, ended.stalls, ended.usage) == ("", None, (), None)
    assert not accused(middle.watched)
    assert any("a stream kmon does not read: its bytes are watched" in said for said in lines)
    assert "a stream kmon does not read" in table([ended])
    assert middle.watched.view.runs["p1"].main is not None and middle.watched.view.runs["p1"].main.unread


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("whole", [True, False], ids=["in one read", "byte by byte"])
async def test_a_dialect_that_is_recognised_is_named_and_judged_by_its_transport(name: str, whole: bool) -> None:
    path, body, words = KNOWN[name]

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        for at in range(0, len(body), len(body) if whole else 1):
            writer.write(body[at : at + (len(body) if whole else 1)])
            await writer.drain()
        writer.write(END)

    async with serving(script) as url, proxying(url) as middle:
        ended = await through(middle, path)
        told = [event.dialect for event in middle.watched.events if isinstance(event, ev.Unread) and event.stream]
        lines = [line(event, middle.watched.view) or "" for event in middle.watched.events]
    said = f"{words}, which kmon does not read"
    assert (ended.state, ended.signature, ended.unread, ended.unread_dialect) == ("done", None, True, name)
    assert ended.evidence.startswith(f"{said}, judged by its transport alone; headers after")
    assert told == ["", name], "once before its first event, and once when it is recognised"
    assert any(said in one for one in lines)
    assert said in table([ended])
    assert middle.watched.view.runs["p1"].main is not None
    assert middle.watched.view.runs["p1"].main.unread_dialect == name
    assert not accused(middle.watched)


async def test_its_events_are_counted_and_what_they_hold_is_shown_nowhere() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + MCP + COHERE + END)

    async with serving(script) as url, proxying(url) as middle:
        ended = await through(middle)
        raw = [event.raw for event in middle.watched.events if isinstance(event, ev.DeltaArrived)]
    assert (ended.chunks, ended.keepalives) == (5, 1)
    assert raw[0] == "comment, 6 bytes"
    assert raw[3].startswith("content-delta, ")
    assert not any("Hel" in said for said in raw)


def cut(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head() + COHERE)
    await writer.drain()
    await asyncio.sleep(0.1)  # what is on its way would be thrown away by the reset
    cut(writer)


async def no_last_chunk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head() + COHERE)


async def too_short(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head(more="content-length: 1000") + b"data: {}\n\n")


async def no_chunk_size(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head() + COHERE + b"no number\r\nx\r\n")


async def refused(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = b'{"error":{"message":"out of order"}}'
    more = f"content-length: {len(body)}"
    writer.write(head("application/json", "500 Internal Server Error", more) + body)


async def refused_as_a_stream(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head(status="429 Too Many Requests") + ERROR_INSIDE + END)


async def never_answered(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize(
    ("script", "signature"),
    [
        (reset, "reset-mid-stream"),
        (no_last_chunk, "cut-mid-body"),
        (too_short, "cut-mid-body"),
        (no_chunk_size, "protocol-error"),
        (refused, "http-server-error"),
        (refused_as_a_stream, "rate-limited"),
        (never_answered, "closed-before-headers"),
    ],
)
async def test_what_its_transport_did_wrong_keeps_its_name(script: Script, signature: str) -> None:
    async with serving(script) as url, proxying(url) as middle:
        ended = await through(middle)
    assert (ended.state, ended.signature) == ("failed", signature), ended.evidence
    assert not accused(middle.watched)


async def test_a_packed_body_that_cannot_be_unpacked_is_told_of() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packed = gzip.compress(b"data: {}\n\n" * 100)
        writer.write(head(more="content-encoding: gzip\r\ntransfer-encoding: chunked"))
        writer.write(chunked(packed[:20] + b"\xff\xff\xff" + packed[23:]) + END)

    async with serving(script) as url, proxying(url) as middle:
        ended = await through(middle)
        notices = [event.message for event in middle.watched.events if isinstance(event, ev.Notice)]
    assert ended.unread
    assert any("cannot be unpacked" in notice for notice in notices)


async def test_a_long_silence_is_a_gap_on_the_wire_and_accuses_nobody() -> None:
    go_on = asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + COHERE)
        await go_on.wait()
        writer.write(COHERE + END)

    async with serving(script) as url, proxying(url, stall_s=STALL_S) as middle:
        asking = asyncio.create_task(through(middle))
        silence = await middle.watched.until(
            lambda event: is_silence(event) and any(isinstance(e, ev.DeltaArrived) for e in middle.watched.events)
        )
        view, now_ns = middle.watched.view, time.monotonic_ns()
        seen = derive(view.runs["p1"], now_ns)
        said = line(silence, view)
        go_on.set()
        ended = await asking
        over = await middle.watched.until(lambda event: isinstance(event, ev.WireSilence) and event.over)
    assert (seen.state, seen.contradiction) == ("streaming", "")
    assert seen.open_gap_ns is not None and seen.open_gap_ns >= STALL_S * 1e9
    assert said is not None and "silent on the wire for" in said and "STALLED" not in said
    assert "provider" not in said and "beyond" not in said
    assert isinstance(over, ev.WireSilence) and over.gap_ms >= STALL_S * 1000
    assert (ended.state, ended.signature, ended.stalls) == ("done", None, ())
    assert ended.max_gap_ms is not None and ended.max_gap_ms >= STALL_S * 1000
    assert not accused(middle.watched)
    assert not any(known.by_phase for known in view.gap_histories.values()), (
        "nor does it teach what to expect of silences that can be read"
    )


async def test_a_request_that_is_not_answered_for_long_is_silent_on_the_wire_too() -> None:
    answer = asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer.wait()
        writer.write(head("application/json", more="content-length: 2") + b"{}")

    async with serving(script) as url, proxying(url, stall_s=STALL_S) as middle:
        asking = asyncio.create_task(through(middle))
        await middle.watched.until(is_silence)
        seen = derive(middle.watched.view.runs["p1"], time.monotonic_ns())
        answer.set()
        ended = await asking
    assert seen.state == "waiting"
    assert (ended.state, ended.unread) == ("done", False), "a whole body is not called a stream"
    assert not accused(middle.watched)


async def test_the_stall_of_a_request_that_could_be_read_ends_when_its_answer_cannot() -> None:
    answer = asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer.wait()
        writer.write(head("application/x-ndjson") + LINES + END)

    async with serving(script) as url, proxying(url, stall_s=STALL_S) as middle:
        asking = asyncio.create_task(through(middle, "/v1/chat/completions"))
        await middle.watched.until(lambda event: isinstance(event, ev.StallStarted))
        answer.set()
        ended = await asking
        (attempt,) = middle.watched.view.runs["p1"].attempts
    assert (ended.state, ended.signature, ended.unread) == ("done", None, True)
    assert [stall.phase for stall in ended.stalls] == ["before-first-token"]
    assert tuple(attempt.timeline.stalls) == ended.stalls
    assert sum(isinstance(event, ev.StallEnded) for event in middle.watched.events) == 1


async def test_what_can_be_read_is_judged_as_ever_even_where_another_protocol_is_offered() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + sse("half an ans") + END)

    offer = {"connection": "upgrade, http2-settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQAAP__"}
    async with serving(script) as url, proxying(url) as middle:
        for number, headers in enumerate(({}, offer), 1):
            async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
                await http.post(f"{middle.url}/v1/chat/completions", json={"model": "m", "stream": True})
            ended = await middle.watched.ended(number)
            assert (ended.state, ended.signature, ended.unread) == ("incomplete", "truncated-no-finish", False)
            assert ended.text == "half an ans"


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
TEXT, CLOSE = 1, 8


async def _tunnelled(middle: Middle, port: int) -> None:
    """Ask for a WebSocket and read until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    while await reader.read(1000):
        pass
    writer.close()


@pytest.mark.parametrize("closed", [True, False])
async def test_a_silent_websocket_is_no_stall_and_one_that_is_cut_is_named(closed: bool) -> None:
    go_on = asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SWITCHED + frame(TEXT, b"hello"))
        await go_on.wait()
        if closed:
            writer.write(frame(CLOSE, b"\x03\xe8"))

    async with serving(script) as url, proxying(url, stall_s=STALL_S) as middle:
        port = int(middle.url.rpartition(":")[2])
        asking = asyncio.create_task(_tunnelled(middle, port))
        await middle.watched.until(lambda event: isinstance(event, ev.DeltaArrived))
        await middle.watched.until(is_silence)
        go_on.set()
        await asking
        ended = await middle.watched.ended()
    assert (ended.state, ended.signature) == (("done", None) if closed else ("failed", "cut-mid-body"))
    assert (ended.unread, ended.text, ended.stalls) == (True, "hello\n", ())
    assert not accused(middle.watched)


async def test_of_a_stream_that_is_not_read_nobody_says_that_its_provider_sends_output() -> None:
    log, hold = CallLog(), asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + COHERE)
        await hold.wait()
        writer.write(END)

    async with serving(script) as url, proxying(url, on_call=log.record) as middle:
        asking = asyncio.create_task(through(middle))
        await middle.watched.until(lambda event: isinstance(event, ev.DeltaArrived))
        (call,) = middle.host.calls()
        hold.set()
        await asking
    assert call.unread
    assert call.last_progress_ns is not None
