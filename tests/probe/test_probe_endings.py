"""Promises about how an attempt ends: what is done, what is incomplete, what failed, and what it is called."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct

import pytest

from kmon.dialects.delta import Delta
from kmon.probe.recorder import coalesced
from kmon.stream import events as ev
from tests.support.loopback import END, HEAD, Script, chunked, serving
from tests.support.racing import outcome, plan, racing, sse, target


async def ending(script: Script, **options: object) -> tuple[ev.RunEnded, list[ev.Event]]:
    async with serving(script) as url:
        results, events = await outcome(plan(target(url), **options))
    return results[0], events


def answering(*parts: bytes, pause_s: float = 0.0) -> Script:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return script


async def test_a_stream_with_finish_and_sentinel_is_done_and_has_no_signature() -> None:
    result, _ = await ending(answering(HEAD + sse("Hello", " there", finish="stop", done=True) + END))
    assert (result.state, result.signature, result.text, result.finish_reason) == ("done", None, "Hello there", "stop")
    assert result.error is None


async def test_a_clean_end_without_a_terminal_event_is_incomplete_not_done() -> None:
    result, _ = await ending(answering(HEAD + sse("Hel") + END))
    assert (result.state, result.signature, result.text) == ("incomplete", "truncated-no-finish", "Hel")


async def test_a_finish_reason_without_sentinel_is_done_and_says_so() -> None:
    result, _ = await ending(answering(HEAD + sse("Hi", finish="stop") + END))
    assert (result.state, result.signature) == ("done", "finish-without-done")


async def test_a_server_that_lingers_after_the_sentinel_is_left_after_a_short_grace() -> None:
    left = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("Hi", finish="stop", done=True))
        await writer.drain()
        while await reader.read(1024):
            pass
        left.set()

    async with serving(script) as url:
        results, _ = await outcome(plan(target(url)))
        async with asyncio.timeout(5):
            await left.wait()
    assert results[0].state == "done"


async def test_text_and_usage_after_the_finish_reason_still_count() -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
    late = answering(HEAD + sse("A", finish="stop"), sse(" late"), chunked(usage) + sse(done=True) + END, pause_s=0.05)
    result, _ = await ending(late)
    assert result.text == "A late"
    assert result.usage is not None and result.usage.total_tokens == 3


async def test_malformed_json_is_an_error_delta_and_decoding_goes_on() -> None:
    body = HEAD + sse("a") + chunked(b'data: {"choices": [{"delta"\n\n') + sse("b", finish="stop", done=True) + END
    result, events = await ending(answering(body))
    broken = [e for e in events if isinstance(e, ev.DeltaArrived) and e.kind == "error"]
    assert broken[0].error is not None and broken[0].error.frame == '{"choices": [{"delta"'
    assert (result.state, result.signature, result.text) == ("done", "malformed-frame", "ab")


async def test_an_error_object_inside_a_200_fails_the_run_with_the_providers_words() -> None:
    error = b'data: {"error":{"message":"engine overloaded","code":503}}\n\n'
    result, _ = await ending(answering(HEAD + sse("a") + chunked(error) + END))
    assert (result.state, result.signature) == ("failed", "error-in-stream")
    assert result.error is not None
    assert (result.error.message, result.error.status) == ("engine overloaded", 503)


async def test_a_reset_keeps_what_was_said_before_it() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("kept"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    result, _ = await ending(script)
    assert (result.state, result.signature, result.text) == ("failed", "reset-mid-stream", "kept")


@pytest.mark.parametrize(
    ("answer", "signature", "words"),
    [
        (b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", "rate-limited", "Retry-After 7 s"),
        (b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy", "http-server-error", "HTTP 503: busy"),
        (
            b"HTTP/1.1 404 No\r\ncontent-type: application/json\r\ncontent-length: 35\r\n\r\n"
            b'{"error":{"message":"no such one"}}',
            "http-error",
            "HTTP 404: no such one",
        ),
        (
            b"HTTP/1.1 404 No\r\ncontent-length: 99\r\n\r\ncut off",
            "http-error",
            "HTTP 404: cut off",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<h1>Hotel</h1",
            "not-a-stream",
            "text/html instead of a stream",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            "not-a-stream",
            "JSON instead of a stream",
        ),
    ],
)
async def test_an_answer_that_is_no_stream_says_what_it_is(answer: bytes, signature: str, words: str) -> None:
    result, _ = await ending(answering(answer))
    assert (result.state, result.signature) == ("failed", signature)
    assert result.error is not None and words in result.error.message


@pytest.mark.parametrize(
    ("status", "content_type"),
    [
        ("200 OK", "application/json"),
        ("200 OK", "text/html; charset=utf-8"),
        ("200 OK", "application/x-ndjson"),
        ("201 Created", "text/event-stream"),
        ("201 Created", "application/json"),
    ],
)
async def test_a_stream_under_another_type_or_another_success_is_read(status: str, content_type: str) -> None:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    body = sse("Hello", finish="stop", done=True)
    result, _ = await ending(answering(head, chunked(b"\n"), chunked(b": hi\n"), body + END, pause_s=0.01))
    assert (result.state, result.signature, result.text) == ("done", None, "Hello")


@pytest.mark.parametrize(
    ("coding", "body", "words"),
    [
        ("gzip", gzip.compress(b'{"error":{"message":"slow down"}}'), "HTTP 429: slow down"),
        ("gzip", b'{"error":{"message":"slow down"}}', "HTTP 429: slow down"),
        ("br", b"\x0b\x02\x80abc\x03", "HTTP 429: the body is encoded as 'br', although identity was asked for"),
    ],
    ids=["gzip", "plain under gzip", "br"],  # the bytes of gzip hold the time
)
async def test_a_refusal_is_told_whatever_its_coding(coding: str, body: bytes, words: str) -> None:
    head = f"HTTP/1.1 429 Slow\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\n".encode()
    result, _ = await ending(
        answering(head + b"transfer-encoding: chunked\r\n\r\n", chunked(body[:9]), chunked(body[9:]) + END)
    )
    assert result.error is not None and result.error.message == words


async def test_no_content_is_no_stream() -> None:
    result, _ = await ending(answering(b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert (result.state, result.signature) == ("failed", "http-error")


async def test_silence_is_a_stall_while_it_lasts_and_ends_with_the_next_progress() -> None:
    slow = answering(HEAD + sse("a"), sse("b", finish="stop", done=True) + END, pause_s=0.4)
    result, events = await ending(slow, stall_s=0.15)
    kinds = [type(event).__name__ for event in events]
    assert kinds.index("StallStarted") < kinds.index("StallEnded") < kinds.index("RunEnded")
    assert (result.state, result.signature, len(result.stalls)) == ("done", "stall-resumed", 1)
    assert (result.stalls[0].phase, result.stalls[0].ended) == ("mid-text", True)


async def test_a_hang_is_timed_out_with_its_gap_still_open() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("a"))
        await reader.read()

    result, events = await ending(script, stall_s=0.1, timeout_s=0.6)
    assert (result.state, result.signature) == ("timed-out", "hang-mid-stream")
    assert [stall.ended for stall in result.stalls] == [False]
    ended = [event for event in events if isinstance(event, ev.StallEnded)]
    assert [event.ended for event in ended] == [False]
    assert result.max_gap_ms is not None and result.max_gap_ms >= 100


async def test_keepalives_do_not_hide_a_silence() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("a"))
        while True:
            writer.write(chunked(b": keep-alive\n\n"))
            await writer.drain()
            await asyncio.sleep(0.05)

    result, events = await ending(script, stall_s=0.2, timeout_s=0.7)
    assert (result.state, result.signature) == ("timed-out", "keep-alives-only")
    assert any(isinstance(event, ev.StallStarted) for event in events)
    assert result.chunks == 1 and result.keepalives >= 3


async def test_no_headers_at_all_is_its_own_name() -> None:
    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    result, _ = await ending(script, stall_s=0.1, timeout_s=0.4)
    assert (result.state, result.signature, result.ttft_ms) == ("timed-out", "no-headers", None)


async def test_every_chunk_is_one_delta_and_role_only_ones_are_other() -> None:
    role = chunked(b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n')
    result, events = await ending(answering(HEAD + role + sse("a", "b", finish="stop", done=True) + END))
    deltas = [e for e in events if isinstance(e, ev.DeltaArrived) and e.chunk]
    assert [delta.kind for delta in deltas] == ["other", "text", "text", "finish"]
    assert result.chunks == 4


async def test_hostile_text_is_harmless_before_it_becomes_an_event() -> None:
    words = ("\x1b]52;c;aGk=\x07", "\x1b", "[31mred", "\u202eevil", "\x9b2J", "[@click=app.quit]x[/]")
    result, events = await ending(answering(HEAD + sse(*words, finish="stop", done=True) + END))
    shown = result.text + "".join(e.text + e.raw for e in events if isinstance(e, ev.DeltaArrived))
    assert not set(shown) & set("\x1b\x07\x9b\u202e")
    assert "[@click=app.quit]x[/]" in result.text


async def test_a_key_that_is_echoed_back_appears_nowhere() -> None:
    key = "sk-very-secret-0123456789"
    echo = b'data: {"error":{"message":"Incorrect API key: %s"}}\n\n' % key.encode()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = HEAD.replace(b"\r\n\r\n", b"\r\nx-request-id: %s\r\n\r\n" % key.encode())
        writer.write(head + sse(f"you sent {key}") + chunked(echo) + END)

    async with serving(script) as url:
        _, events = await outcome(plan(target(url, key_env=("KEY",))), {"KEY": key})
    assert key not in repr(events)
    assert "[key]" in repr(events)


async def test_a_key_that_is_echoed_in_pieces_appears_nowhere_either() -> None:
    key = "sk-very-secret-0123456789"
    async with serving(
        answering(HEAD + sse("it is sk-very-secret-01", "23456789, isn't it", finish="stop") + END)
    ) as url:
        results, events = await outcome(plan(target(url, key_env=("KEY",))), {"KEY": key})
    said = "".join(e.text for e in events if isinstance(e, ev.DeltaArrived))
    assert said == results[0].text == "it is [key], isn't it"
    assert not any(part in repr(events) for part in ("secret-01", "23456789"))


async def test_a_server_that_talks_on_after_its_end_is_left_and_not_listened_to() -> None:
    gone = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("all of it", finish="stop", done=True))
        try:
            while True:
                writer.write(sse(" and more"))
                await writer.drain()
                await asyncio.sleep(0.02)
        finally:
            gone.set()

    async with serving(script) as url:
        results, _ = await outcome(plan(target(url)))
        async with asyncio.timeout(10):
            await gone.wait()
    assert (results[0].state, results[0].text) == ("done", "all of it")


async def test_comments_do_not_renew_the_grace_after_a_finish_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmon.probe.attempt.FINISH_GRACE_S", 0.4)

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("a", finish="stop"))
        while True:
            writer.write(chunked(b": still here\n\n"))
            await writer.drain()
            await asyncio.sleep(0.05)

    result, _ = await ending(script)
    assert (result.state, result.signature) == ("done", "finish-without-done")


async def test_an_http_error_whose_body_drips_keeps_its_status() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\nbroken")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.1)

    result, _ = await ending(script, timeout_s=1.0)
    assert result.error is not None
    assert (result.state, result.error.kind, result.error.status) == ("failed", "http", 500)


async def test_a_bomb_of_two_layers_is_no_answer() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 30_000_000))
    head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip, gzip\r\n\r\n")
    result, _ = await ending(answering(head + chunked(bomb) + END))
    assert (result.state, result.signature) == ("incomplete", "malformed-frame")


async def test_a_flood_of_comments_delays_no_other_stream_and_counts_once_per_read() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while True:
            writer.write(chunked(b": k\n" * 4_000))
            await writer.drain()

    async def steady(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for _ in range(20):
            writer.write(sse("x"))
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(sse(finish="stop", done=True) + END)

    async with serving(flood) as loud, serving(steady) as quiet:
        async with racing(plan(target(quiet, "quiet"), target(loud, "loud"), stall_s=1.0)) as race:
            await race.ended()
            await race.do("cancel", "r1.2")
            await race.ended(2)
    events = race.events
    ended = {event.target: event for event in events if isinstance(event, ev.RunEnded)}
    assert (ended["quiet"].state, ended["quiet"].stalls) == ("done", ())
    comments = sum(isinstance(e, ev.DeltaArrived) and e.kind == "keepalive" for e in events)
    assert comments == ended["loud"].keepalives < 60_000


def test_keepalives_in_a_row_within_one_read_are_one() -> None:
    comment, word = Delta(keepalive=True, chunk=False, raw="k"), Delta(text="a")
    assert coalesced([comment, comment, word, comment, comment, comment]) == [comment, word, comment]
    assert coalesced([word, word]) == [word, word]
    assert coalesced([]) == []
