"""Promises against a hostile peer: control characters, the key in any form and a long text in every place it may write
to; and no control character, no key and no string beyond its bound in anything that is told."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from kmon.catalog.aws import BEARER
from kmon.catalog.credential import Credential, host_of
from kmon.dialects.registry import http_dialect
from kmon.engine.plan import Keys
from kmon.engine.process import EngineProcess
from kmon.model import GATEWAY_KEY_ENV, Target
from kmon.openclaw.host import GatewayHost
from kmon.openclaw.plan import GatewayPlan
from kmon.stream import events as ev
from tests.support.gateways import Peer, gateway
from tests.support.hostile import CONTROL, KEY, MANY_CHARS, STREAMS, Hostile, dumped, sse_events, wrong_with
from tests.support.key_spellings import spellings
from tests.support.loopback import Script, serving
from tests.support.racing import Watched, outcome, plan
from tests.support.simulated_streams import ASK, target
from tests.support.sockets import socket_server
from tests.support.watching import proxying


def kind(dialect: str) -> bytes:
    return http_dialect(dialect).framings[0].media_types[0].encode()


def path(dialect: str) -> str:
    """The path of a request below the base URL."""
    return http_dialect(dialect).request(target(dialect, ""), ASK, ASK.messages).path


def variable(dialect: str) -> str:
    return BEARER if http_dialect(dialect).auth == "aws" else "KEY"


@pytest.fixture(autouse=True)
def own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def answering(head: bytes, body: bytes) -> Script:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head + body)
        await writer.drain()

    return script


def aimed(dialect: str, url: str) -> Target:
    auth = http_dialect(dialect).auth
    region = "eu-west-3" if auth == "aws" else None
    here = replace(target(dialect, url), name="here", auth=auth, region=region)
    return replace(here, key_env=(variable(dialect),))


async def told_of(dialect: str, head: bytes, body: bytes) -> list[ev.Event]:
    async with serving(answering(head, body)) as url:
        _, events = await outcome(plan(aimed(dialect, url), timeout_s=60.0), {variable(dialect): KEY})
    assert any(isinstance(event, ev.RunEnded) for event in events)
    return events


@pytest.mark.slow
@pytest.mark.parametrize("dialect", sorted(STREAMS))
async def test_a_hostile_stream_is_told_clean_without_the_key_and_bounded(dialect: str) -> None:
    hostile = Hostile()
    events = await told_of(dialect, hostile.head(kind=kind(dialect)), STREAMS[dialect](hostile))
    assert wrong_with(events) == []
    (ended,) = [event for event in events if isinstance(event, ev.RunEnded)]
    assert len(ended.text) > MANY_CHARS, "a long answer stays whole"
    assert any(tuple(event.request_ids) for event in events if isinstance(event, ev.HeadersReceived))


@pytest.mark.parametrize("dialect", sorted(STREAMS))
@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"401 No", b"429 Wait", b"500 Broken"])
async def test_a_hostile_refusal_is_told_clean_without_the_key_and_bounded(dialect: str, status: bytes) -> None:
    hostile = Hostile()
    for body in (
        dumped({"error": {"message": hostile(), "code": hostile(), "type": hostile()}, "message": hostile(9)}),
        hostile(90_000).encode("utf-8", "replace"),
    ):
        head = hostile.head(status, b"text/html " + hostile.header())
        head = head[:-2] + b"location: https://" + hostile.header(900).strip().replace(b" ", b"") + b"/\r\n\r\n"
        assert wrong_with(await told_of(dialect, head, body)) == []


async def test_what_is_no_http_at_all_is_told_clean_without_the_key_and_bounded() -> None:
    hostile = Hostile()
    broken_line = b"HTTP/1.1 200 OK\r\nbroken " + hostile.header() + b"\r\n\r\n"
    for head in (broken_line, hostile.header(), b"HTTP/1.1 9 " + hostile.header() + b"\r\n\r\n"):
        assert wrong_with(await told_of("chat", head, b"")) == []


@pytest.mark.parametrize("form", sorted(spellings(KEY)))
async def test_a_key_that_is_split_over_header_values_and_fields_is_told_nowhere(form: str) -> None:
    said = spellings(KEY)[form].replace("\n", " ").encode("utf-8").decode("latin-1").encode("latin-1").decode("utf-8")
    a, b, c = said[: len(said) // 3], said[len(said) // 3 : 2 * len(said) // 3], said[2 * len(said) // 3 :]
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: {a}{b}\r\ncf-ray: {c}\r\n\r\n"
    call = [{"index": 0, "id": "c1", "function": {"name": a, "arguments": b}}]
    body = sse_events(
        {"choices": [{"index": 0, "delta": {"content": a}}]},
        {"choices": [{"index": 0, "delta": {"reasoning_content": b}}]},
        {"choices": [{"index": 0, "delta": {"content": c}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": call}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"name": "n", "arguments": c}}]}}]},
        {"error": {"code": a + b, "message": c}},
    )
    events = await told_of("chat", head.encode("utf-8"), body)
    assert wrong_with(events) == []
    for event in events:
        match event:
            case ev.HeadersReceived():
                assert wrong_with({"text": "".join(event.request_ids.values())}) == []
            case ev.RunEnded():
                called = "".join(call.name + call.arguments for call in event.tool_calls)
                assert wrong_with({"text": event.text + event.reasoning}) == wrong_with({"text": called}) == []
    shown = [event for event in events if isinstance(event, ev.DeltaArrived)]
    assert wrong_with({"text": "".join(event.text for event in shown if event.kind == "text")}) == []
    assert wrong_with({"text": "".join(event.text or event.reasoning for event in shown)}) == []


async def test_the_same_stream_without_a_key_to_hide_is_told_as_it_came() -> None:
    words = ["such keys begin with ", "sk-AbCdef", "-", " or not", ", and end in sk-AbCdef-0"]
    body = sse_events(*({"choices": [{"index": 0, "delta": {"content": word}}]} for word in words))
    body += sse_events({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"
    long_id = "chatcmpl-" + "a" * 200
    body = body.replace(b'{"choices"', b'{"id": "' + long_id.encode() + b'", "choices"')
    events = await told_of("chat", b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", body)
    deltas = [event for event in events if isinstance(event, ev.DeltaArrived)]
    assert "".join(event.text for event in deltas) == "".join(words)
    (ended,) = [event for event in events if isinstance(event, ev.RunEnded)]
    assert (ended.text, ended.response_id, ended.finish_reason) == ("".join(words), long_id, "stop")
    assert [event.raw for event in deltas if event.chunk and event.raw] == [
        json.dumps(json.loads(line.removeprefix("data: "))) for line in body.decode().split("\n\n") if "id" in line
    ]


async def test_a_hostile_websocket_is_told_clean_and_bounded() -> None:
    hostile = Hostile()

    async def script(socket: web.WebSocketResponse) -> None:
        await socket.send_str(hostile().encode("utf-8", "replace").decode())
        session = {"id": hostile(), "name": hostile(), "provider": hostile(), "model": hostile()}
        await socket.send_str(json.dumps({"type": "init", "session": session}))
        await socket.send_bytes(hostile().encode("utf-8", "replace"))
        await socket.close(code=4242, message=b"\x1b]0;x\x07" + KEY[::-1].encode() + "\u202e".encode())

    async with socket_server(script) as url:
        with_key = {"Authorization": f"Bearer {KEY}"}
        target = Target(name="ws", provider="here", model="m", dialect="ws", base_url=url, headers=with_key)
        _, events = await outcome(plan(target))
    assert wrong_with(events) == []


async def hostile_talk(peer: Peer, hostile: Hostile, run: str, session: str) -> None:
    await peer.event("agent", runId=CONTROL, sessionKey=CONTROL, stream=CONTROL, data=CONTROL)
    await peer.agent(run, session, "lifecycle", phase="start", startedAt=1)
    await peer.agent(run, session, "lifecycle", phase="model", model=hostile(900), provider=hostile(900))
    await peer.agent(run, session, "run_status", phase=hostile(900))
    await peer.agent(run, session, "assistant", text=hostile(50_000), delta=hostile(9))
    called = {"toolCallId": hostile(900), "name": hostile(900), "args": {"a": hostile(9)}}
    await peer.agent(run, session, "tool", phase="start", **called)
    await peer.agent(run, session, "usage", outputTokens=-7)
    failed = {"state": "error", "errorMessage": hostile(9_000), "errorKind": hostile(900)}
    await peer.event("chat", runId=run, sessionKey=session, **failed)
    await peer.agent(run, session, "lifecycle", phase="error", error=hostile(9_000), stopReason=hostile(900))
    await peer.socket.close(code=4242, message=b"\x1b]0;x\x07" + KEY[::-1].encode() + "\u202e".encode())


async def test_a_hostile_gateway_is_told_clean_without_the_token_and_bounded() -> None:
    hostile = Hostile(control=CONTROL.replace("\ud800", ""))

    async def talk(peer: Peer) -> None:
        await hostile_talk(peer, hostile, *await peer.accept())

    async with gateway(talk, token=KEY) as url:
        target = Target(
            name="gateway", provider="g", model="m", dialect="openclaw", base_url=url, key_env=GATEWAY_KEY_ENV
        )
        _, events = await outcome(plan(target), {GATEWAY_KEY_ENV[0]: KEY})
    assert any(isinstance(event, ev.RunEnded) and event.state == "failed" for event in events)
    assert wrong_with(events) == []


async def test_a_gateway_that_refuses_with_hostile_words_is_told_clean_and_bounded() -> None:
    hostile = Hostile(control=CONTROL.replace("\ud800", ""))

    async def talk(peer: Peer) -> None:
        asked = await peer.request("chat.send")
        await peer.respond(asked, error={"code": hostile(), "message": hostile()})

    async with gateway(talk, token=KEY) as url:
        target = Target(
            name="gateway", provider="g", model="m", dialect="openclaw", base_url=url, key_env=GATEWAY_KEY_ENV
        )
        _, events = await outcome(plan(target), {GATEWAY_KEY_ENV[0]: KEY})
    assert wrong_with(events) == []


async def test_a_watch_of_a_hostile_gateway_is_told_clean_without_the_token_and_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kmon.openclaw.watched_run.RETRY_GRACE_S", 0.2)
    hostile = Hostile(control=CONTROL.replace("\ud800", ""))

    async def talk(peer: Peer) -> None:
        await peer.socket.send_str(hostile(9_000).encode("utf-8", "replace").decode())
        await hostile_talk(peer, hostile, hostile(900), "agent:main:" + hostile(900))

    async with gateway(talk, token=KEY) as url:
        watch = GatewayHost(
            GatewayPlan(name="gateway", url=url, stall_s=30.0),
            Keys({"gateway": Credential({GATEWAY_KEY_ENV[0]: KEY}, (host_of(url),))}),
        )
        watch.start()
        watched = Watched(watch)
        await watched.until(lambda event: isinstance(event, ev.Notice) and "connecting again" in event.message)
        await watched.ended()
        await watched.finish()
    assert wrong_with(watched.events) == []


@pytest.mark.slow
@pytest.mark.parametrize("dialect", sorted(STREAMS))
async def test_a_proxy_between_hostile_ends_tells_clean_without_the_key_and_bounded(dialect: str) -> None:
    hostile = Hostile()
    answers = iter([
        hostile.head(kind=kind(dialect)) + STREAMS[dialect](hostile),
        hostile.head(b"429 Wait", b"application/json " + hostile.header()) + dumped({"error": {"message": hostile()}}),
        hostile.head(kind=kind(dialect))[:-2] + b"content-encoding: " + hostile.header(90) + b"\r\n\r\nwhat",
        hostile.header(),
    ])  # fmt: skip

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))
        await writer.drain()

    async with serving(script) as url, proxying(f"{url}/v1") as middle:
        for number in range(1, 5):
            port = int(middle.origin.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            body = dumped({"model": hostile(), "stream": True, "messages": [{"role": "user", "content": hostile()}]})
            lines = [f"POST /v1{path(dialect)}/..{KEY[::-1]}?key={KEY} HTTP/1.1".encode()] if number == 2 else [
                f"POST /v1{path(dialect)} HTTP/1.1".encode()
            ]  # fmt: skip
            lines += [b"host: localhost", b"authorization: Bearer " + KEY.encode(), b"user-agent: " + hostile.header()]
            lines += [b"content-type: application/json", b"content-length: %d" % len(body), b"", body]
            writer.write(b"\r\n".join(lines))
            await writer.drain()
            await reader.read()
            writer.close()
            await middle.watched.ended(number)
    assert wrong_with(middle.watched.events) == []


async def test_the_last_words_of_an_engine_that_died_are_told_clean_without_the_key_and_bounded() -> None:
    words = f"\x1b]0;owned\x07 {KEY[::-1]} {'x' * 2_000}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import sys; sys.stderr.write({words!r}); sys.exit(7)",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    watched = Watched(EngineProcess(process, Keys({"here": Credential({"KEY": KEY})})))
    notice = await watched.until(lambda event: isinstance(event, ev.Notice))
    await watched.finish()
    assert isinstance(notice, ev.Notice) and "code 7: ]0;owned [key] xxx" in notice.message
    assert len(notice.message) < 500
    assert wrong_with(notice, KEY, {"message": 500}) == []
