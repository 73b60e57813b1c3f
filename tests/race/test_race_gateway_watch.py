"""Promises of a passive watch: every run of every session, nothing sent but reads, and never a hang."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from kmon.catalog.credential import Credential, host_of
from kmon.engine.plan import Keys
from kmon.engine.process import EngineProcess
from kmon.model import GATEWAY_KEY_ENV
from kmon.openclaw.host import PANES_LIMIT, WARNINGS_LIMIT, GatewayHost
from kmon.openclaw.plan import GatewayPlan
from kmon.stream import events as ev
from tests.race.gateways import TOKEN, Peer, gateway, message
from tests.race.racing import Watched

A, B = "agent:main:a", "agent:main:b"


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def held(url: str, token: str) -> Keys:
    return Keys({"gateway": Credential({GATEWAY_KEY_ENV[0]: token}, (host_of(url),))})


@asynccontextmanager
async def watching(url: str, token: str = TOKEN, **options: float) -> AsyncIterator[Watched]:
    plan = GatewayPlan(name="gateway", url=url, **{"stall_s": 30.0, **options})  # type: ignore[arg-type]
    watch = GatewayHost(plan, held(url, token))
    watch.start()
    watched = Watched(watch)
    try:
        yield watched
    finally:
        await watched.finish()


async def test_every_run_of_every_session_is_a_pane_and_nothing_is_sent() -> None:
    peers: list[Peer] = []

    async def talk(peer: Peer) -> None:
        peers.append(peer)
        await peer.says("run-a", A, "one ", "two")
        await peer.says("run-b", B, "other")
        await peer.event("tick", ts=1)
        await peer.final("run-b", B, "other")
        await peer.final("run-a", A, "one two")
        await peer.request("never")

    async with gateway(talk) as url, watching(url) as watched:
        ended = [await watched.ended(1), await watched.ended(2)]
        await watched.do("cancel", "g1")
        await watched.do("nudge", "g1")
    assert [(run.target, run.state, run.text) for run in ended] == [("b", "done", "other"), ("a", "done", "one two")]
    assert ended[0].keepalives == 1
    assert peers[0].connect["scopes"] == ["operator.read"] and not peers[0].asked
    assert any("only watches" in notice.message for notice in watched.view.notices)


async def test_the_claim_of_the_chat_program_is_told_beside_what_is_seen() -> None:
    shown = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.says("run-a", A, "one ")
        await peer.final("follow-up", A, None)  # a second message, queued: the chat program believes it is over
        await shown.wait()
        await peer.final("run-a", A, "one two")
        await peer.request("never")

    async with gateway(talk, protocol=3) as url, watching(url) as watched:
        await watched.until(
            lambda e: isinstance(e, ev.ClaimChanged) and e.run == "g1" and e.claim == "connected | idle"
        )
        told = await watched.until(lambda e: isinstance(e, ev.Diagnosed) and e.name == "queued-follow-up")
        shown.set()
        await watched.until(lambda e: isinstance(e, ev.RunEnded) and e.run == "g1")
    assert isinstance(told, ev.Diagnosed) and "behind run run-a"[-4:] in told.sentence


async def test_a_lost_connection_is_made_again_and_the_history_tells_what_was_missed() -> None:
    connections = 0

    async def talk(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await peer.says("run-a", A, "one ")
            await peer.socket.close(code=1011)
            return
        asked = await peer.request("chat.history")
        assert asked["params"]["sessionKey"] == A
        await peer.respond(asked, {"sessionKey": A, "messages": [message("one two three")]})
        await peer.request("never")

    async with gateway(talk) as url, watching(url) as watched:
        ended = await watched.ended()
    assert (ended.state, ended.text) == ("done", "one two three")
    assert any("closed with 1011" in notice.message for notice in watched.view.notices)


async def test_a_gateway_that_stops_leaves_its_runs_incomplete() -> None:
    async def talk(peer: Peer) -> None:
        await peer.says("run-a", A, "one ")
        await peer.event("shutdown", reason="gateway stopping")
        await peer.socket.close(code=1012)

    async with gateway(talk, protocol=3) as url, watching(url) as watched:
        ended = await watched.ended()
    assert ended.state == "incomplete" and ended.error is not None and "1012" in ended.error.message


async def test_a_silent_retry_is_named_though_the_chat_was_told_of_an_error() -> None:
    async def talk(peer: Peer) -> None:
        await peer.says("run-a", A, "lost")
        await peer.agent("run-a", A, "lifecycle", phase="error", error="terminated")
        await peer.event("chat", runId="run-a", sessionKey=A, state="error", errorMessage="terminated")
        await peer.event("agent", runId="run-a", stream="lifecycle", data={"phase": "start"}, ts=2)
        await peer.event("agent", runId="run-a", stream="assistant", data={"text": "good", "delta": "good"}, ts=3)
        await peer.event("agent", runId="run-a", stream="lifecycle", data={"phase": "end"}, ts=4)
        await peer.request("never")

    async with gateway(talk, protocol=3) as url, watching(url) as watched:
        ended = await watched.ended()
    assert (ended.state, ended.signature) == ("done", "answer-after-chat-error")


async def test_who_is_not_let_in_is_told_once_and_the_watch_is_over() -> None:
    async def never(_: Peer) -> None:
        raise AssertionError("nobody is let in")

    async with gateway(never) as url, watching(url, token="wrong-token-of-the-test") as watched:
        over = await watched.until(lambda event: isinstance(event, ev.RaceEnded))
    assert isinstance(over, ev.RaceEnded) and over.failed == 1
    assert any("refuses the token" in notice.message for notice in watched.view.notices)


async def test_the_engine_hosts_a_watch_in_a_process_of_its_own() -> None:
    async def talk(peer: Peer) -> None:
        await peer.says("run-a", A, "one")
        await peer.final("run-a", A, "one")
        await peer.request("never")

    async with gateway(talk) as url:
        plan = GatewayPlan(name="gateway", url=url)
        watched = Watched(await EngineProcess.start(plan, held(url, TOKEN)))
        try:
            ended = await watched.ended()
        finally:
            await watched.finish()
    assert (ended.state, ended.text) == ("done", "one")


async def test_a_watch_ends_after_its_time() -> None:
    async def talk(peer: Peer) -> None:
        await peer.request("never")

    async with gateway(talk) as url, watching(url, watch_s=0.2) as watched:
        over = await watched.until(lambda event: isinstance(event, ev.RaceEnded))
    assert isinstance(over, ev.RaceEnded) and (over.ok, over.failed) == (0, 0)


async def test_a_gateway_that_says_the_token_back_anywhere_does_not_get_it_shown() -> None:
    async def talk(peer: Peer) -> None:
        session = f"agent:main:{TOKEN}"
        await peer.says(f"run-{TOKEN}", session, f"it is {TOKEN} ", TOKEN[:9], TOKEN[9:])
        await peer.agent(
            f"run-{TOKEN}", session, "tool", phase="start", name=TOKEN, toolCallId=TOKEN, args={"a": TOKEN}
        )
        await peer.agent(f"run-{TOKEN}", session, "lifecycle", phase="error", error=f"bad {TOKEN}")
        await peer.event("chat", runId=f"run-{TOKEN}", sessionKey=session, state="error", errorMessage=TOKEN)
        await peer.socket.send_str(f"no frame: {TOKEN}")
        await peer.socket.close(code=1011, message=TOKEN.encode())

    async with gateway(talk, protocol=3) as url, watching(url) as watched:
        await watched.until(lambda e: isinstance(e, ev.ClaimChanged) and "disconnected" in e.claim)
    told = b"".join(msgspec.json.encode(event) for event in watched.events).decode()
    assert "[key]" in told
    assert TOKEN not in told


async def test_runs_without_end_leave_a_bounded_number_of_panes_and_every_run_is_counted() -> None:
    runs = PANES_LIMIT + 20

    async def talk(peer: Peer) -> None:
        for number in range(runs):
            await peer.final(f"run-{number}", f"agent:main:{number}", "said")
        await peer.request("never")

    async with gateway(talk) as url, watching(url) as watched:
        await watched.ended(runs)
        await watched.source.interrupt()
        over = await watched.until(lambda event: isinstance(event, ev.RaceEnded))
    assert isinstance(over, ev.RaceEnded) and (over.ok, over.failed) == (runs, 0)
    assert len(watched.view.runs) == PANES_LIMIT


async def test_a_gateway_of_broken_frames_is_told_of_a_bounded_number_of_times() -> None:
    async def talk(peer: Peer) -> None:
        for _ in range(20 * WARNINGS_LIMIT):
            await peer.socket.send_str("[" * 2_000 + "\x1b[2J")
        await peer.says("run-a", A, "still heard")
        await peer.final("run-a", A, "still heard")
        await peer.request("never")

    async with gateway(talk) as url, watching(url) as watched:
        ended = await watched.ended()
    assert ended.text == "still heard"
    warnings = [notice for notice in watched.view.notices if notice.level == "warning"]
    assert 0 < len(warnings) <= WARNINGS_LIMIT + 1


async def test_a_gateway_that_loses_events_all_the_time_is_asked_for_one_history_at_a_time() -> None:
    asked: list[str] = []

    async def talk(peer: Peer) -> None:
        await peer.says("run-a", A, "one ")
        for _ in range(50):
            await peer.event("tick", skip=3, ts=1)
        await peer.request("chat.history")
        await peer.final("run-a", A, "one two")
        asked.extend(frame["method"] for frame in peer.asked)
        await peer.request("never")

    async with gateway(talk) as url, watching(url) as watched:
        await watched.ended()
    assert asked == ["chat.history"]
