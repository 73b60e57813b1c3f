"""A run by HTTP/2, as ``kmon isolate`` sends it: it ends like one by HTTP/1.1, and what it cannot do says nothing."""

from __future__ import annotations

import pytest

from kmon.stats.outcome import classify
from kmon.stream import events as ev
from tests.support.racing import ASK, plan, racing, target

pytest.importorskip("h2")
pytestmark = pytest.mark.references

from tests.support.http2_server import Http2Server, Talk, serving_http2  # noqa: E402 - it needs h2

WORDS = b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}\n\n'
FINISH = b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


async def well(talk: Talk, stream: int) -> None:
    await talk.head(stream)
    await talk.data(stream, WORDS)
    await talk.data(stream, FINISH, end=True)


async def halfway(talk: Talk, stream: int) -> None:
    await talk.head(stream)
    await talk.data(stream, WORDS)
    talk.session.reset_stream(stream, 2)
    await talk.flush()


async def hanging(talk: Talk, stream: int) -> None:
    await talk.head(stream)
    await talk.data(stream, WORDS)


async def refusing(talk: Talk, stream: int) -> None:
    await talk.head(stream, (":status", "503"), ("content-type", "application/json"))
    await talk.data(stream, b'{"error": {"message": "busy"}}', end=True)


async def end_of(server: Http2Server, monkeypatch: pytest.MonkeyPatch) -> ev.RunEnded:
    monkeypatch.setattr("kmon.probe.send.authorities", lambda: server.trusting)
    async with racing(plan(target(server.url, http2=True), timeout_s=1.5)) as race:
        await race.ended(1)
    return next(event for event in race.events if isinstance(event, ev.RunEnded))


async def test_an_answer_by_http2_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving_http2(well) as server:
        ended = await end_of(server, monkeypatch)
    assert ended.state == "done" and ended.text == "hello" and not ended.reused and ended.ttft_ms is not None
    assert classify(ended, ASK).name == "pass"


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (halfway, "dropped", "RST_STREAM, INTERNAL_ERROR"),
        (hanging, "hang-mid-stream", ""),
        (refusing, "http-error", "busy"),
    ],
)
async def test_what_fails_by_http2_is_a_failure(
    answer: object, outcome: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_http2(answer) as server:  # type: ignore[arg-type]
        ended = await end_of(server, monkeypatch)
    assert classify(ended, ASK).name == outcome and words in str(ended.error)


async def test_a_server_without_http2_gets_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving_http2(well, protocols=("http/1.1",)) as server:
        ended = await end_of(server, monkeypatch)
    assert classify(ended, ASK).name == "not-asked" and server.by == []
