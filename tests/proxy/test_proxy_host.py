"""Promises of the watch over a proxy: every request is a run told in the usual events, and no key is ever told."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import httpx
import msgspec
import pytest
from aiohttp import web

from kmon.engine.plan import Keys
from kmon.engine.process import EngineProcess
from kmon.proxy.host import ProxyHost
from kmon.proxy.plan import ProxyPlan
from kmon.proxy.provider_call import ProviderCall
from kmon.proxy.request import said_hash
from kmon.stream import events as ev
from tests.support.aws import KIMI, NOVA, aio_stream, converse, names, user
from tests.support.loopback import END, HEAD, chunked, serving
from tests.support.racing import Watched
from tests.support.watching import before_simulator, proxying

KEY = "sk-test-0123456789abcdef"
ASK = [{"role": "user", "content": "Write a Python class that caches values."}]


def spoken(events: list[ev.Event]) -> str:
    return "\n".join(msgspec.json.encode(event).decode() for event in events)


@pytest.mark.references
async def test_openai_python_streams_through_and_is_a_run() -> None:
    import openai  # here, since every process of the tests imports all of them

    async with before_simulator() as middle:
        async with openai.AsyncOpenAI(base_url=middle.url, api_key=KEY, max_retries=0) as client:
            stream = await client.chat.completions.create(
                model="moonshotai/Kimi-K2.6",
                messages=ASK,
                stream=True,  # type: ignore[call-overload]
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        ended = await middle.watched.ended()
        kinds = [type(event).__name__ for event in middle.watched.events]
        assert (ended.state, ended.label, ended.scenario) == ("done", "test/moonshotai/Kimi-K2.6", "proxied")
        assert ended.text == text
        assert ended.ttft_ms is not None
        assert ended.signature is None
        for name in ("RunQueued", "AttemptStarted", "HeadersReceived", "DeltaArrived", "AttemptEnded", "RunEnded"):
            assert name in kinds
        queued = next(event for event in middle.watched.events if isinstance(event, ev.RunQueued))
        assert queued.note.startswith("AsyncOpenAI/Python")
        assert KEY not in spoken(middle.watched.events)
        assert middle.watched.view.runs["p1"].note == queued.note


@pytest.mark.references
async def test_an_answer_that_is_not_streamed_is_a_run_too_and_so_is_any_other_path() -> None:
    import openai

    async with before_simulator() as middle:
        async with openai.AsyncOpenAI(base_url=middle.url, api_key=KEY, max_retries=0) as client:
            answer = await client.chat.completions.create(model="m", messages=ASK)  # type: ignore[arg-type]
            ended = await middle.watched.ended()
            assert (ended.state, ended.text) == ("done", answer.choices[0].message.content)
            assert ended.finish_reason == "stop"
            await client.models.list()
            listed = await middle.watched.ended(2)
            assert (listed.state, listed.scenario, listed.label) == ("done", "GET /v1/models", "test")
            with pytest.raises(openai.RateLimitError):
                await client.chat.completions.create(model="sim/rate-limited", messages=ASK)  # type: ignore[arg-type]
        refused = await middle.watched.ended(3)
        assert (refused.state, refused.signature) == ("failed", "rate-limited")


async def test_messages_stream_through() -> None:
    head = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    body = {"model": "kimi-k2.6", "max_tokens": 5_000, "stream": True, "messages": ASK}
    async with before_simulator() as middle, httpx.AsyncClient(trust_env=False) as http:
        for stream in (True, False):
            answer = await http.post(f"{middle.origin}/v1/messages", json={**body, "stream": stream}, headers=head)
            assert answer.status_code == 200
        for number in (1, 2):
            ended = await middle.watched.ended(number)
            assert (ended.state, ended.finish_reason, bool(ended.text)) == ("done", "end_turn", True)
        assert KEY not in spoken(middle.watched.events)


async def test_bedrock_clients_work_with_the_proxy_as_their_endpoint() -> None:
    async with before_simulator() as middle:
        _, events = await converse(f"{middle.origin}/bedrock", [user("Write a Python class.")])
        assert names(events)[-1] == "metadata"
        async with aio_stream(f"{middle.origin}/bedrock", "smooth") as stream:
            assert [event async for event in stream]
        for number, model in ((1, KIMI), (2, NOVA)):
            ended = await middle.watched.ended(number)
            assert (ended.state, ended.finish_reason, ended.label) == ("done", "end_turn", f"test/{model}")
            assert ended.text
        assert "AWS4-HMAC" not in spoken(middle.watched.events)


async def test_a_key_that_the_upstream_repeats_is_taken_out() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for piece in ("your key is sk-test-0123", "456789abcdef, or ", KEY):
            delta = {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
            writer.write(chunked(b"data: " + json.dumps(delta).encode() + b"\n\n"))
        writer.write(END)

    async with serving(script) as url, proxying(f"{url}/v1") as middle:
        async with httpx.AsyncClient(trust_env=False) as http:
            head = {"Authorization": f"Bearer {KEY}", "User-Agent": f"tool/{KEY}"}
            answer = await http.post(
                f"{middle.url}/chat/completions?api_key={KEY}", json={"model": KEY, "stream": True}, headers=head
            )
        assert KEY in answer.text  # what is passed on is what came
        ended = await middle.watched.ended()
        assert ended.text == "your key is [key], or [key]"
        assert KEY not in spoken(middle.watched.events)


async def test_a_client_that_leaves_and_a_cancel_say_who_closed() -> None:
    body = {"model": "sim/hang-mid-stream", "stream": True, "messages": ASK}
    async with before_simulator(stall_s=0.1) as middle, httpx.AsyncClient(trust_env=False) as http:
        async with http.stream("POST", f"{middle.url}/chat/completions", json=body):
            await middle.watched.until(lambda event: isinstance(event, ev.StallStarted))
        ended = await middle.watched.ended()
        assert (ended.state, ended.signature) == ("cancelled", None)
        assert ended.evidence.startswith("the client closed the connection; headers after")
        assert len(ended.stalls) == 1

        async with http.stream("POST", f"{middle.url}/chat/completions", json=body) as answer:
            await middle.watched.until(lambda event: isinstance(event, ev.DeltaArrived) and event.run == "p2")
            await middle.watched.do("nudge", "p2")
            await middle.watched.do("cancel", "p2")
            with pytest.raises(httpx.HTTPError):
                await answer.aread()
        assert (await middle.watched.ended(2)).evidence.startswith("cancelled by the user of kmon")
        notices = [event.message for event in middle.watched.events if isinstance(event, ev.Notice)]
        assert any("nudge is not possible here" in notice for notice in notices)


async def test_an_upstream_that_cannot_be_reached_fails_the_run_by_name() -> None:
    async with proxying("http://no-such-host.invalid/v1") as middle, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{middle.url}/chat/completions", json={"model": "m"})
        assert answer.status_code == 502
        ended = await middle.watched.ended()
        assert (ended.state, ended.signature) == ("failed", "dns-failure")


async def test_a_signature_that_cannot_hold_is_said_once() -> None:
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA0123456789/x, SignedHeaders=host, Signature=0123abcd"}
    async with proxying("http://no-such-region.invalid.amazonaws.com") as middle:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            for _ in range(2):
                await http.post(f"{middle.url}/model/{KIMI}/converse-stream", json={}, headers=signed)
        await middle.watched.ended(2)
        said = [event.message for event in middle.watched.events if isinstance(event, ev.Notice)]
        assert sum("SigV4, which covers the Host header" in message for message in said) == 1
        assert "AKIA0123456789" not in spoken(middle.watched.events)


async def test_the_kept_runs_are_bounded_and_all_are_counted() -> None:
    async with before_simulator(keep=3) as middle, httpx.AsyncClient(trust_env=False) as http:
        for _ in range(40):
            await http.get(f"{middle.url}/models")
        await middle.watched.ended(40)
        await middle.watched.until(lambda event: isinstance(event, ev.RunForgotten), 37)
        assert list(middle.watched.view.runs) == ["p38", "p39", "p40"]
    assert middle.watched.view.ended is not None
    assert (middle.watched.view.ended.ok, middle.watched.view.ended.failed) == (40, 0)


async def test_a_websocket_is_a_run_with_its_messages() -> None:
    async def talk(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=True)
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(f"you said {message.data}")
            await ws.ping()
            if message.data == "bye":
                await ws.close(code=1001, message=b"going")
        return ws

    app = web.Application()
    app.router.add_get("/ws", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with proxying(f"http://127.0.0.1:{port}") as middle, aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{middle.url}/ws", compress=15) as ws:
                for said in ("hello", "hello", "bye"):
                    await ws.send_str(said)
                    assert (await ws.receive()).data == f"you said {said}"
                await ws.receive()
                assert ws.close_code == 1001
            ended = await middle.watched.ended()
            assert (ended.state, ended.text) == ("done", "you said hello\nyou said hello\nyou said bye\n")
            assert ended.finish_reason == "close 1001 going from upstream"
    finally:
        await runner.cleanup()


async def test_whoever_looks_from_another_side_is_told_of_every_call() -> None:
    calls: list[ProviderCall] = []
    async with before_simulator(on_call=calls.append) as middle, httpx.AsyncClient(trust_env=False) as http:
        body = {"model": "kimi", "stream": True, "messages": [*ASK, {"role": "tool", "content": "22"}]}
        async with http.stream("POST", f"{middle.url}/chat/completions", json=body) as answer:
            await middle.watched.until(lambda event: isinstance(event, ev.DeltaArrived) and event.kind == "text")
            (live,) = middle.host.calls()
            assert live.last_progress_ns is not None
            assert live.finished_ns is None
            await answer.aread()
        await middle.watched.ended()
        assert middle.host.calls() == []
    opened, *_, last = calls
    assert (opened.first_byte_ns, opened.said_sha256) == (None, said_hash(ASK[0]["content"]))
    assert (last.ending, last.model, last.path) == ("done", "kimi", "/v1/chat/completions")
    assert last.finished_ns is not None
    assert last.opened_ns < (last.first_byte_ns or 0) <= (last.last_progress_ns or 0) <= last.finished_ns


async def test_the_engine_hosts_a_proxy_in_its_own_process() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with serving(script) as url:
        engine = await EngineProcess.start(ProxyPlan(upstream="test", base_url=url), Keys({}))
        watched = Watched(engine)
        notice = await watched.until(lambda event: isinstance(event, ev.Notice))
        assert isinstance(notice, ev.Notice)
        here = notice.message.split()[2]
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{here}/anything")).text == "ok"
        assert (await watched.ended()).state == "done"
        await watched.finish()


async def test_a_web_page_that_tries_is_told_of_once_and_is_no_run() -> None:
    """Twelve tries of three pages are one notice, and so are requests for other hosts; the next program is a run."""
    async with before_simulator() as middle, httpx.AsyncClient(trust_env=False) as http:
        for number in range(12):
            page = {"Origin": f"https://page{number % 3}.example", "Authorization": f"Bearer {KEY}"}
            answer = await http.post(f"{middle.url}/chat/completions", headers=page, json={"model": "m"})
            assert answer.status_code == 403
            assert (await http.get(f"{middle.url}/models", headers={"Host": "rebound.example"})).status_code == 421
        assert (await http.get(f"{middle.url}/models")).status_code == 200
        await middle.watched.ended()
        said = [event.message for event in middle.watched.events if isinstance(event, ev.Notice)]
        assert len([one for one in said if "a web page on https://page0.example tried to use the proxy" in one]) == 1
        assert len([one for one in said if "rebound.example" in one]) == 1
        assert len([one for one in said if "refused" in one]) == 2
        assert len([event for event in middle.watched.events if isinstance(event, ev.RunQueued)]) == 1
        assert KEY not in spoken(middle.watched.events)


@pytest.mark.parametrize(
    ("base_url", "said"),
    [("http://192.0.2.7:8000/v1", True), ("http://127.0.0.1:8000/v1", False), ("https://192.0.2.7/v1", False)],
)
async def test_an_upstream_that_takes_keys_in_the_clear_is_told_of(base_url: str, said: bool) -> None:
    watched = Watched(host := ProxyHost(ProxyPlan(upstream="far", base_url=base_url)))
    host.start()
    await watched.finish()
    notices = [event.message for event in watched.events if isinstance(event, ev.Notice)]
    assert ("goes on to 192.0.2.7:8000 in the clear" in " ".join(notices)) == said
