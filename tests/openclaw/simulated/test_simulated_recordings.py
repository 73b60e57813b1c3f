"""For each recorded scenario the simulated gateway sends frames of the same kinds in the same order as the real one.

The client does what the recording's did, in compressed time.
Left out: health, ticks and presence, which come by the clock; and the last ``chat.history``, which was asked for
seconds after the end. In two recordings other sessions were busy; their frames are filtered out.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from msgspec import Struct

from kmon.openclaw.simulated.options import GatewayOptions, Mechanism
from kmon.openclaw.simulated.releases import Protocol
from kmon.openclaw.simulated.server import Gateway
from kmon.simulator import profile
from kmon.simulator.server import Simulator
from tests.support.gateway_client import Client, connected

Frame = dict[str, Any]
NOISE = ("health", "presence", "tick", "chat.metadata.changed")
TEXT = ("agent:assistant", "chat:delta")


def kind(frame: Frame) -> str:
    """The kind of an event or request, without the run it is about."""
    if frame["type"] == "req":
        return f"req:{frame['method']}"
    payload, event = frame["payload"], frame["event"]
    if event == "chat":
        phase = f".{payload['phase']}" if "phase" in payload else ""
        empty = "(empty)" if payload["state"] == "final" and "message" not in payload else ""
        return f"chat:{payload['state']}{phase}{empty}"
    if event == "agent":
        data = payload.get("data", {})
        marks = [data[name] for name in ("kind", "phase") if data.get(name)]
        return ".".join([f"agent:{payload['stream']}", *marks])
    return str(event)


def sequence(frames: Iterable[Frame], session: str) -> list[tuple[str, str]]:
    """Pairs of kind and run, a stretch of text as one, of one session; runs are numbered as they appear.

    How many pieces a text came in, and which of them made a chat event, is the provider's and the clock's affair:
    agent text and chat deltas are one kind, ``text``, unless there was no chat delta at all in the stretch.
    """
    runs: dict[str, str] = {}
    asked: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for frame in frames:
        if frame["type"] == "req":
            asked[frame["id"]] = frame["method"]
        if frame["type"] == "res":
            said, run = f"res:{asked[frame['id']]}:{'ok' if frame['ok'] else 'refused'}", ""
        else:
            said = kind(frame)
            run = (frame.get("payload") or {}).get("runId", "")
        if said in NOISE or not _of(frame, session, run, runs):
            continue
        name = runs.setdefault(run, f"run {len(runs)}") if run else ""
        _append(found, said, name)
    return found


def _of(frame: Frame, session: str, run: str, runs: dict[str, str]) -> bool:
    """Whether the frame is about the session; a run that has forgotten its session is known by its id."""
    if frame["type"] != "event" or frame["event"] not in ("chat", "agent"):
        return True
    key = frame["payload"].get("sessionKey")
    return key == session if key is not None else run in runs


def _append(found: list[tuple[str, str]], said: str, run: str) -> None:
    """A text that goes on after a request crossed it is the same text still."""
    place = next((i for i in reversed(range(len(found))) if not found[i][0].startswith(("req:", "res:"))), None)
    if said in TEXT and place is not None and found[place][1] == run:
        before = found[place][0]
        if before in TEXT and before != said:
            found[place] = ("text", run)
        if before in (*TEXT, "text"):
            return
    if not found or found[-1] != (said, run):
        found.append((said, run))


FOLDER = os.environ.get("KMON_GATEWAY_RECORDINGS")
SPEED = 100.0
SPEEDS = {"2026.2.17-ollama-slow": 25.0}
"""Slower where a follow-up must come while a run of the simulator's own length is open."""
NAMES = (
    *(f"2026.2.17-{name}" for name in (
        "normal", "tool", "multitool", "stall20", "reset", "flaky", "eof", "abort", "hang", "ollama-normal",
        "ollama-slow", "shutdown",
    )),
    *(f"2026.9.6-{name}" for name in (
        "normal", "tool", "stall20", "burst", "reset", "flaky", "eof", "http500", "empty", "abort", "hang", "shutdown",
    )),
)  # fmt: skip
UNFINISHED = ("2.17-reset", "hang", "shutdown")
"""Recordings that stop in the middle: of a silent retry, of a hang; and those whose connection is gone."""

pytestmark = pytest.mark.skipif(not FOLDER, reason="KMON_GATEWAY_RECORDINGS names no recordings")


class Line(Struct, frozen=True):
    """A line of a recording; ``rel`` is in seconds."""

    rel: float
    dir: str
    frame: Frame


class Scenario(Struct, frozen=True):
    """A recording, without the last chat.history and what came after it."""

    name: str
    lines: tuple[Line, ...]

    @classmethod
    def load(cls, name: str) -> Scenario:
        text = (Path(FOLDER or "") / f"openclaw-{name}.jsonl").read_text("utf-8")
        lines = [msgspec.json.decode(line, type=Line) for line in text.splitlines() if '"dir":"meta"' not in line]
        asked = (i for i, line in enumerate(lines) if line.frame.get("method") == "chat.history")
        return cls(name, tuple(lines[: max(asked, default=len(lines))]))

    @property
    def protocol(self) -> Protocol:
        return 4 if self.name.startswith("2026.9") else 3

    @property
    def speed(self) -> float:
        return SPEEDS.get(self.name, SPEED)

    @property
    def session(self) -> str:
        sent = (line.frame for line in self.lines if line.frame.get("method") == "chat.send")
        return str(next(sent)["params"]["sessionKey"])

    def kinds(self, count: int | None = None) -> list[tuple[str, str]]:
        """The kinds of the first ``count`` lines."""
        return sequence([line.frame for line in self.lines[:count]], self.session)

    def observed(self) -> list[tuple[str, str]] | None:
        """What a second client, which may only read, was told of the runs; None where that was not recorded."""
        if not (Path(FOLDER or "") / f"openclaw-{self.name}.observer.jsonl").is_file():
            return None
        lines = Scenario.load(f"{self.name}.observer").lines
        return [pair for pair in sequence([line.frame for line in lines], self.session) if pair[1]]

    @property
    def requests(self) -> list[tuple[int, Line]]:
        """What was sent after the handshake, each with its place among the lines."""
        return [(i, line) for i, line in enumerate(self.lines) if line.frame["type"] == "req"][1:]


async def hang_for_long(request: web.Request) -> web.StreamResponse:
    """The provider of one recorded hang: some words, silence, the end of the body after 170 s; then the same again."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for word in ("one", " two", " three"):
        event = {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
        await response.write(f"data: {json.dumps(event)}\n\n".encode())
    await asyncio.sleep(170 / SPEED)
    return response


@asynccontextmanager
async def provider(scenario: Scenario) -> AsyncIterator[str]:
    """The base URL of what the gateway asks: the simulator, but for the one recording whose provider gave up late."""
    if scenario.name == "2026.9.6-hang":
        app = web.Application()
        app.router.add_post("/v1/chat/completions", hang_for_long)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()
    else:
        async with Simulator(profile.load("smooth"), speed=scenario.speed) as simulator:
            yield simulator.base_url("gateway")


async def follow(scenario: Scenario, client: Client) -> None:
    """Send what the recorded client sent, no sooner than it did and not before all it had seen was seen here."""
    clock = asyncio.get_running_loop().time
    began_s = clock()
    for place, line in scenario.requests:
        seen = len(scenario.kinds(place))
        await client.until(lambda seen=seen: len(sequence(client.frames, scenario.session)) >= seen)
        await asyncio.sleep(max(0.0, line.rel / scenario.speed - (clock() - began_s)))
        await client.post(line.frame["method"], line.frame["params"])


@pytest.mark.parametrize("name", NAMES)
async def test_the_kinds_of_frames_come_in_the_recorded_order(name: str) -> None:
    scenario = Scenario.load(name)
    expected = scenario.kinds()

    def got() -> list[tuple[str, str]]:
        return sequence(client.frames, scenario.session)

    def watched() -> list[tuple[str, str]]:
        return [pair for pair in sequence(observer.frames, scenario.session) if pair[1]]

    async with provider(scenario) as url:
        mechanism: Mechanism | None = "a" if "ollama" in name else None
        options = GatewayOptions(url, protocol=scenario.protocol, speed=scenario.speed, mechanism=mechanism)
        async with (
            Gateway(options) as gateway,
            connected(gateway.url, scopes=["operator.read"]) as observer,
            connected(gateway.url) as client,
        ):
            await follow(scenario, client)
            if name.endswith("shutdown"):
                await client.until(lambda: "text" in [kind for kind, _ in got()])
                await gateway.shut_down()
                assert await client.closed() == 1012
            else:
                await client.until(lambda: len(got()) >= len(expected))
            assert got()[: len(expected)] == expected
            if (events := scenario.observed()) is not None:
                await observer.until(lambda: len(watched()) >= len(events))
                assert watched()[: len(events)] == events
            if not name.endswith(UNFINISHED):
                await client.ask("health")  # what came before its answer is all there is
                assert got()[len(expected) :] == [("req:health", ""), ("res:health:ok", "")]
