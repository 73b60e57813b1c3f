"""Promises about the limits of an attempt: which is due next, and that the ending names it and the truth beside it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.probe.limits import Limits, next_due
from kmon.stream import events as ev
from kmon.stream.timeline import S, Timeline
from tests.race.racing import outcome, plan, sse, target
from tests.transport.loopback import HEAD, Script, chunked, serving

EVERY = Limits(1, 100, 10, header_s=5, first_token_s=20, byte_s=3, chunk_s=4, idle_s=10)


def due(timeline: Timeline, limits: Limits = EVERY) -> tuple[str, float] | None:
    found = next_due(timeline, limits)
    return None if found is None else (found.setting, found.at_ns / S)


def test_the_limits_follow_each_other_through_an_answer() -> None:
    timeline = Timeline(0, S)
    assert due(timeline) is None  # nothing was sent yet: that wait is the connection's
    timeline.on_phase("request_sent", 1 * S)
    assert due(timeline) == ("header_timeout_s", 6)
    timeline.on_phase("headers", 2 * S)
    assert due(timeline) == ("byte_timeout_s", 5)
    timeline.on_keepalive(4 * S)  # bytes are heard again, chunks are not
    assert due(timeline) == ("chunk_timeout_s", 6)
    timeline.on_chunk(5 * S)
    assert due(timeline) == ("byte_timeout_s", 8)
    timeline.on_chunk(6 * S, text=True)
    timeline.on_chunk(15 * S)
    assert due(timeline) == ("idle_timeout_s", 16)  # empty chunks are no tokens
    timeline.on_chunk(15 * S, finish=True)
    assert due(timeline) is None  # nothing is owed any more


def test_the_first_token_is_waited_for_from_the_request_whatever_else_comes() -> None:
    timeline = Timeline(0, S)
    timeline.on_phase("request_sent", 1 * S)
    timeline.on_phase("headers", 2 * S)
    for at_s in range(3, 20):
        timeline.on_keepalive(at_s * S)
    assert due(timeline, Limits(1, 100, 10, first_token_s=20, idle_s=10)) == ("first_token_timeout_s", 21)


def test_without_limits_nothing_is_ever_due() -> None:
    timeline = Timeline(0, S)
    timeline.on_phase("request_sent", 0)
    timeline.on_phase("headers", 0)
    timeline.on_chunk(1, text=True)
    assert due(timeline, Limits(1, 100, 10)) is None


@given(st.lists(st.sampled_from(["bytes", "keepalive", "empty", "token"]), max_size=30))
def test_a_limit_is_never_due_before_its_length_after_the_last_arrival_on_its_clock(kinds: list[str]) -> None:
    timeline = Timeline(0, S)
    timeline.on_phase("request_sent", 0)
    timeline.on_phase("headers", 0)
    for n, kind in enumerate(kinds, start=1):
        match kind:
            case "bytes":
                timeline.on_bytes(n * S)
            case "keepalive":
                timeline.on_keepalive(n * S)
            case "empty":
                timeline.on_chunk(n * S)
            case "token":
                timeline.on_chunk(n * S, text=True)
    found = next_due(timeline, Limits(1, 100, 10, byte_s=7))
    assert found is not None and found.at_ns == (len(kinds) + 7) * S
    found = next_due(timeline, Limits(1, 100, 10, idle_s=7))
    last = max((n for n, kind in enumerate(kinds, start=1) if kind == "token"), default=None)
    assert (found is None) if last is None else (found is not None and found.at_ns == (last + 7) * S)


def playing(*parts: bytes, again: bytes = b"") -> Script:
    """Writes ``parts``, then ``again`` every 50 ms until the client leaves."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        gone = asyncio.create_task(reader.read())
        while not (await asyncio.wait([gone], timeout=0.05))[0]:
            if again:
                writer.write(again)

    return script


WORD = sse("one ")
COMMENT = chunked(b": ping\n\n")
EMPTY = chunked(b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n')


NO_TOKEN = "first-token timeout: no token within 0.5 s"
NO_CHUNK = "chunk timeout: no chunk for 0.5 s"
IDLE = "idle timeout: no token for 0.5 s"


@pytest.mark.parametrize(
    ("script", "limit", "message", "signature"),
    [
        (playing(), "header_timeout_s", "header timeout: no response headers within 0.5 s", "no-headers"),
        (playing(HEAD), "first_token_timeout_s", NO_TOKEN, "no-first-token"),
        (playing(HEAD, again=COMMENT), "first_token_timeout_s", NO_TOKEN, "keep-alives-only"),
        (playing(HEAD, WORD), "idle_timeout_s", IDLE, "hang-mid-stream"),
        (playing(HEAD, WORD, again=EMPTY), "idle_timeout_s", IDLE, "empty-deltas-only"),
        (playing(HEAD, WORD, again=COMMENT), "chunk_timeout_s", NO_CHUNK, "keep-alives-only"),
        (playing(HEAD, WORD), "byte_timeout_s", "byte timeout: no byte for 0.5 s", "hang-mid-stream"),
    ],
)
async def test_a_passed_limit_ends_the_attempt_and_the_signature_stays_true(
    script: Script, limit: str, message: str, signature: str
) -> None:
    async with serving(script) as url:
        results, _ = await outcome(plan(target(url), stall_s=0.3, **{limit: 0.5}))
    (ended,) = results
    assert (ended.state, ended.signature) == ("timed-out", signature)
    assert ended.error is not None
    assert (ended.error.kind, ended.error.code, ended.error.message) == ("timeout", limit, message)
    assert ended.duration_ms >= 500
    assert ended.evidence


async def test_a_limit_that_is_kept_up_with_ends_nothing() -> None:
    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for _word in range(12):
            writer.write(WORD)
            await asyncio.sleep(0.1)
        writer.write(sse(finish="stop", done=True) + b"0\r\n\r\n")

    limits = {"header_timeout_s": 1.0, "first_token_timeout_s": 1.0, "idle_timeout_s": 1.0, "byte_timeout_s": 1.0}
    async with serving(slow) as url:
        results, _ = await outcome(plan(target(url), stall_s=0.9, **limits))
    assert (results[0].state, results[0].signature) == ("done", None)


async def test_a_server_that_lingers_after_the_finish_is_not_timed_out_by_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kmon.probe.attempt.FINISH_GRACE_S", 0.8)
    async with serving(playing(HEAD, sse("Hi", finish="stop"))) as url:
        results, _ = await outcome(plan(target(url), stall_s=0.1, idle_timeout_s=0.2, byte_timeout_s=0.2))
    assert results[0].state == "done"


async def test_the_total_limit_says_which_it_is() -> None:
    async with serving(playing(HEAD, again=WORD)) as url:
        results, events = await outcome(plan(target(url), timeout_s=0.5, idle_timeout_s=0.4, stall_s=0.3))
    assert results[0].error is not None
    assert (results[0].error.code, results[0].signature) == ("timeout_s", "total-timeout")
    assert not [e for e in events if isinstance(e, ev.RetryScheduled)]
