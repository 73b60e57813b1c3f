"""A dialect that is registered, and in no other file, works wherever kmon has dialects.

The toy streams two kinds of events, ``{"say": TEXT}`` and ``{"over": REASON}``, is asked at ``/toy``, names its errors
under ``oops`` and has its models at ``/toys``.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from msgspec import Struct

from kmon.cli import main
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.dialect import SSE_HEADERS, Decoder, HttpDialect, Route, WireRequest
from kmon.dialects.fault import fault
from kmon.dialects.framing import JSON_LINES, SERVER_SENT_EVENTS, Framing
from kmon.dialects.json_access import items, members, text
from kmon.dialects.json_pieces import JSONPiecesDecoder, LinesDecoder
from kmon.dialects.registry import registered
from kmon.dialects.sse_deltas import JSONEventsDecoder
from kmon.model import PromptMessage, Scenario, Target
from kmon.output.selftest_bench import run_cases
from kmon.output.selftest_cases import Case
from kmon.probe.send import Shared
from kmon.recording import load
from kmon.simulator import profile
from kmon.simulator.answers import ModelAnswer
from kmon.simulator.dialects.registry import served
from kmon.simulator.http import Headers, ServerRequest
from kmon.simulator.replay import replay_scripts, replay_targets
from kmon.simulator.request import ChatMessage, ChatRequest, TokenUsage
from kmon.simulator.script import Script, SendChunk, Whole
from kmon.simulator.server import Simulator
from kmon.simulator.sse import JSON_HEADERS, event, to_json
from kmon.simulator.wire import ServerDialect, ServerRoute, Trait
from tests.support.watching import proxying

SPEED = 100.0
SPOKEN: frozenset[Trait] = frozenset({"text-framed", "stream-in-body"})
"""Traits of the toy in every framing."""


class Toy(HttpDialect):
    """The client's side."""

    name = "toy"
    base_path = "/playroom"
    models_path = "/toys"

    def __init__(self, framing: Framing) -> None:
        self._framing = framing

    @property
    def framings(self) -> tuple[Framing, ...]:
        return (self._framing,)

    def route(self, path: str) -> Route | None:
        return Route() if path.endswith("/toy") else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return "say" in value or "over" in value

    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
        body = {"model": target.model, "stream": True, "line": [message.content for message in messages]}
        return WireRequest("/toy", SSE_HEADERS | target.headers, json.dumps(body | target.body).encode())

    def decoder(self) -> Decoder:
        lines = self._framing is JSON_LINES
        return JSONPiecesDecoder(LinesDecoder(), toy_delta) if lines else JSONEventsDecoder(toy_delta)

    def whole(self, value: dict[str, Any]) -> Delta:
        return toy_delta(value)

    def error_in(self, value: object) -> object:
        return {"message": members(value)["oops"]} if "oops" in members(value) else value

    def turns(self, value: Mapping[str, Any]) -> Sequence[object]:
        return [{"role": "user", "content": line} for line in items(value.get("line"))]

    def models_in(self, value: object) -> list[str] | None:
        return [text(name) for name in items(members(value).get("toys"))]

    def unsupported(self, target: Target, scenario: Scenario) -> str | None:
        return f"toys have no tools, which {scenario.name} needs; leave {target.name} out" if scenario.tools else None


def toy_delta(value: dict[str, Any], raw: str = "", name: str = "") -> Delta:
    oops = value.get("oops")
    error: StreamError | None = fault(oops, frame=raw) if oops else None
    over = text(value.get("over")) or None
    return Delta(text=text(value.get("say")), finish_reason=over, done=over is not None, error=error, raw=raw)


class ToyWire(Struct, frozen=True):
    """Writes the answers of :class:`ToyServer`."""

    framing: Framing

    @property
    def head(self) -> Headers:
        return (("content-type", self.framing.media_types[0]),)

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        for piece in answer.pieces:
            yield SendChunk(written(self.framing, {"say": piece.text}), "text", text=piece.text)
        yield SendChunk(written(self.framing, {"over": answer.finish}), "finish")

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        return Whole(200, JSON_HEADERS, to_json({"say": answer.joined("text"), "over": answer.finish}))

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        return script

    def keepalive(self) -> bytes | None:
        return None if self.framing is JSON_LINES else b": still here\n\n"

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        return written(self.framing, {"oops": message})

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        return Whole(status, JSON_HEADERS, to_json({"oops": message}))


class ToyServer(ServerDialect):
    """The server's side."""

    name = "toy"

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        lines = framing is JSON_LINES
        self.traits: frozenset[Trait] = SPOKEN if lines else SPOKEN | {"keepalives", "comments"}

    def route(self, path: str) -> ServerRoute | None:
        return ServerRoute(self, "toys") if path.endswith("/toy") else None

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        asked = json.loads(request.body)
        return ChatRequest(asked["model"], [ChatMessage("user", line) for line in asked["line"]], asked.get("stream"))

    def wire(self, request: ChatRequest, rng: Random) -> ToyWire:
        return ToyWire(self._framing)

    def refusal(self, status: int, message: str) -> Whole:
        return Whole(status, JSON_HEADERS, to_json({"oops": message}))

    def models(self, path: str, models: tuple[str, ...], owner: str) -> bytes | None:
        return to_json({"toys": ["bear", *models]}) if path.endswith("/toys") else None


def written(framing: Framing, value: dict[str, Any]) -> bytes:
    return to_json(value) + b"\n" if framing is JSON_LINES else event(value)


@pytest.fixture(autouse=True, params=[SERVER_SENT_EVENTS, JSON_LINES], ids=["sse", "lines"])
def framing(request: pytest.FixtureRequest) -> Iterator[Framing]:
    """The toy is there, with events in this framing."""
    with registered(Toy(request.param)), served(ToyServer(request.param)):
        yield request.param


@contextmanager
def simulator(fault: str = "smooth") -> Iterator[str]:
    """A simulator in a thread of this process, which knows the toy; gives its origin."""
    up, stop = threading.Event(), asyncio.Event()
    found: list[tuple[str, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with Simulator(profile.load("smooth").with_fault(fault), speed=SPEED) as server:
            found.append((server.origin, asyncio.get_running_loop()))
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert up.wait(60)
        yield found[0][0]
    finally:
        found[0][1].call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def run(origin: str, *flags: str) -> int:
    base_url = f"{origin}/toys/playroom"
    return main(["run", "--base-url", base_url, "--model", "bear", "--dialect", "toy", "--json", *flags])


@pytest.mark.parametrize(
    ("fault", "signature", "said"),
    [
        ("smooth", None, None),
        ("truncated-no-finish", "truncated-no-finish", None),
        ("error-in-200", "error-in-stream", "Provider returned error: upstream overloaded"),
        ("http-500", "http-server-error", "HTTP 500: The server had an error while processing your request"),
    ],
)
def test_it_is_run(
    fault: str, signature: str | None, said: str | None, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulator(fault) as origin:
        code = run(origin, "--scenario", "minimal")
    (ended,) = (line for line in lines(capsys) if line["type"] == "run_ended")
    assert ended["signature"] == signature
    assert (ended["error"] and ended["error"]["message"]) == said
    if signature is None:
        assert (code, ended["state"], ended["finish_reason"]) == (0, "done", "stop")
        assert ended["text"]


def test_what_it_cannot_carry_is_refused_before_anything_is_sent(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("http://127.0.0.1:1", "--scenario", "tool-call") == 2
    assert "toys have no tools" in capsys.readouterr().err


def test_the_help_and_the_refusal_of_another_name_list_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert (
        "toy" in " ".join(capsys.readouterr().out.split()).partition("rows of --demo: chat")[2].partition("(default")[0]
    )
    assert main(["run", "--base-url", "http://localhost", "--model", "m", "--dialect", "grpc"]) == 2
    assert "ws, toy" in capsys.readouterr().err


def test_a_recording_of_it_is_decoded(project: Path, framing: Framing, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording(project, framing)
    assert main(["decode", str(file), "--json"]) == 0
    (decoded,) = lines(capsys)
    assert (decoded["dialect"], decoded["text"], decoded["finish_reason"]) == ("toy", "teddy", "stop")
    assert (decoded["done"], decoded["chunks"], decoded["signature"]) == (True, 3, None)


async def test_a_recording_of_it_is_replayed(project: Path, framing: Framing) -> None:
    file = recording(project, framing)
    files = {str(file): load(file)}
    async with Simulator(profile.load("smooth"), replays=replay_scripts(files, speed=SPEED)) as server:
        ((target, scenario),) = replay_targets(files, server.origin)
        assert (target.dialect, scenario.name) == ("toy", "recorded")
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{target.base_url}/toy")
    assert (answer.content, answer.headers["content-type"]) == (file.read_bytes(), framing.media_types[0])


def recording(project: Path, framing: Framing) -> Path:
    file = project / "toy.body"
    said: list[dict[str, Any]] = [{"say": "ted"}, {"say": "dy"}, {"over": "stop"}]
    file.write_bytes(b"".join(written(framing, value) for value in said))
    return file


@pytest.mark.parametrize("stream", [True, False])
async def test_it_is_read_where_it_passes_the_proxy(stream: bool) -> None:
    body = {"model": "bear", "stream": stream, "line": ["Say hello."]}
    async with (
        Simulator(profile.load("smooth"), speed=SPEED) as server,
        proxying(f"{server.origin}/v1") as middle,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        assert (await http.post(f"{middle.origin}/toy", json=body)).status_code == 200
        ended = await middle.watched.ended()
    assert (ended.label, ended.scenario, ended.state, ended.finish_reason) == ("test/bear", "proxied", "done", "stop")
    assert ended.text
    assert ended.signature is None


def test_the_doctor_and_the_list_of_targets_ask_for_its_models(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulator() as origin:
        target = f'[targets.teddy]\nmodel = "bear"\ndialect = "toy"\nbase_url = "{origin}/toys/playroom"\n'
        (project / "kmon.toml").write_text(target)
        assert main(["targets", "--check", "--json", "teddy"]) == 0
        (checked,) = lines(capsys)
        main(["doctor", "--json", "teddy"])
        examined = capsys.readouterr().out
    assert checked["check"]["state"] == "ok", checked
    assert "bear among them" in checked["check"]["sentence"]
    assert "bear among them" in examined


async def test_the_self_test_names_its_faults(framing: Framing) -> None:
    cases = [
        Case("smooth", dialect="toy"),
        Case("truncated-no-finish", "truncated-no-finish", dialect="toy"),
    ]
    if framing is SERVER_SENT_EVENTS:  # lines have no keep-alives
        cases.append(Case("keepalives-only", "keep-alives-only", dialect="toy", timeout_s=20))
    async with Simulator(profile.load("smooth"), speed=10) as server:
        bench = await run_cases(cases, {"": server.origin}, Shared(), seeds=2, speed=10, concurrency=8)
    assert [(row.case.name, row.right, row.evidence) for row in bench.rows] == [
        (f"{case.fault} toy", 2, {}) for case in cases
    ]


def test_a_fault_that_it_cannot_have_is_refused_with_those_that_can(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulator() as origin:
        headers = {"x-kmon-fault": "crc-error"}
        answer = httpx.post(f"{origin}/toy", json={"model": "m", "line": []}, headers=headers, trust_env=False)
    assert answer.status_code == 400
    assert answer.json() == {"oops": "toy cannot have the fault crc-error; converse can"}
