"""Promises of a gateway in a race: its answers are ordinary runs, and the chat's word is not taken for the truth."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from kmon.model import GATEWAY_KEY_ENV, Target
from kmon.stream import events as ev
from tests.race.gateways import TOKEN, Peer, forever, gateway
from tests.race.racing import outcome, plan, racing

KEYS = {"OPENCLAW_GATEWAY_TOKEN": TOKEN}


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def aim(url: str) -> Target:
    return Target(
        name="gateway", provider="openclaw", model="main", dialect="openclaw", base_url=url, key_env=GATEWAY_KEY_ENV
    )


async def one(url: str, keys: dict[str, str] = KEYS, **options: object) -> tuple[ev.RunEnded, list[ev.Event]]:
    ended, events = await outcome(plan(aim(url), **options), keys)
    return ended[0], events


@pytest.mark.parametrize("protocol", [3, 4])
async def test_an_answer_is_a_run_like_any_other(protocol: int) -> None:
    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        await peer.says(run, session, "one ", "two ", "three")
        await peer.event("tick", ts=1)
        await peer.final(run, session, "one two three")
        await peer.request("never")

    async with gateway(talk, protocol=protocol) as url:
        ended, events = await one(url)
    assert (ended.state, ended.signature, ended.text) == ("done", None, "one two three")
    assert ended.ttft_ms is not None and ended.finish_reason == "stop"
    texts = [event.text for event in events if isinstance(event, ev.DeltaArrived) and event.kind == "text"]
    assert texts == ["one ", "two ", "three"]
    phases = [event.phase for event in events if isinstance(event, ev.PhaseReached)]
    assert phases == ["dns", "connect", "request_sent"]
    assert TOKEN not in repr(events)


async def test_a_chat_error_is_not_the_end_when_the_gateway_tries_again_in_silence() -> None:
    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        await peer.says(run, session, "lost ")
        await peer.agent(run, session, "lifecycle", phase="error", error="terminated")
        await peer.event("chat", runId=run, sessionKey=session, state="error", errorMessage="terminated")
        await peer.event("agent", runId=run, stream="lifecycle", data={"phase": "start"}, ts=2)
        await peer.event("agent", runId=run, stream="assistant", data={"text": "good", "delta": "good"}, ts=3)
        await peer.event("agent", runId=run, stream="lifecycle", data={"phase": "end"}, ts=4)
        await peer.request("never")

    async with gateway(talk, protocol=3) as url:
        ended, _ = await one(url)
    assert (ended.state, ended.signature, ended.text) == ("done", "answer-after-chat-error", "good")
    assert "'terminated'" in ended.evidence


async def test_a_chat_error_that_stays_is_a_failed_run_however_often_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kmon.openclaw.attempt.GatewayAttempt.error_grace_s", 0.3)

    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        for said in ("LLM request timed out.", "Agent failed before reply"):
            await peer.event("chat", runId=run, sessionKey=session, state="error", errorMessage=said)
        await peer.request("never")

    async with gateway(talk) as url:
        ended, _ = await one(url)
    assert (ended.state, ended.signature) == ("failed", "error-in-stream")
    assert ended.error is not None and "timed out" in ended.error.message


async def test_an_empty_final_is_no_answer() -> None:
    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        await peer.final(run, session, None)
        await peer.request("never")

    async with gateway(talk) as url:
        ended, _ = await one(url)
    assert (ended.state, ended.signature, ended.text) == ("done", "empty-answer", "")


async def test_a_nudge_is_a_second_message_on_the_session_and_its_queued_turn_is_followed() -> None:
    nudged = asyncio.Event()
    first: dict[str, str] = {}
    turns = ["first", "second"]

    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        if turns.pop(0) == "first":
            first.update(run=run, session=session)
            await peer.says(run, session, "slow ")
            await nudged.wait()
            await peer.final(run, session, "slow answer")
        else:
            assert session == first["session"]
            await peer.agent(first["run"], session, "lifecycle", phase="start", startedAt=1)
            await peer.final(run, session, None)  # queued: the chat is told it is over
            await peer.says("another-run", session, "still here")
            await peer.final("another-run", session, "still here")
            nudged.set()
        await peer.request("never")

    async with gateway(talk, protocol=3) as url, racing(plan(aim(url)), KEYS) as watched:
        await watched.until(lambda event: isinstance(event, ev.DeltaArrived) and event.kind == "text")
        await watched.do("nudge")
        ended = await watched.ended()
        asked = await watched.until(lambda e: isinstance(e, ev.AttemptEnded) and e.role == "nudge")
    assert ended.text == "slow answer"
    claims = [event.claim for event in watched.events if isinstance(event, ev.ClaimChanged) and event.attempt == 1]
    assert claims and claims[0].partition(" | ")[0] in ("sending", "waiting", "running", "streaming")
    assert isinstance(asked, ev.AttemptEnded) and asked.state == "done"
    assert watched.view.runs["r1.1"].attempts[1].joined("text") == "still here"


async def test_an_answer_that_waited_for_the_next_message_is_called_held() -> None:
    nudged = asyncio.Event()
    turns = ["first", "second"]

    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        if turns.pop(0) == "first":
            await nudged.wait()
            await peer.says(run, session, "ready long ago")
            await peer.final(run, session, "ready long ago")
        else:
            nudged.set()
        await peer.request("never")

    async with gateway(talk) as url, racing(plan(aim(url), stall_s=0.3), KEYS) as watched:
        await watched.until(lambda event: isinstance(event, ev.StallStarted))
        await watched.do("nudge")
        ended = await watched.ended()
    assert (ended.state, ended.signature) == ("done", "delivery-held")
    assert "after the next message was sent" in ended.evidence


async def test_a_cancelled_run_is_aborted_at_the_gateway() -> None:
    aborted: list[dict[str, Any]] = []

    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        await peer.says(run, session, "one ")
        asked = await peer.request("chat.abort")
        aborted.append(asked["params"] | {"expected": run})
        await peer.respond(asked, {"ok": True, "aborted": True, "runIds": [run]})
        await peer.request("never")

    async with gateway(talk) as url, racing(plan(aim(url)), KEYS) as watched:
        await watched.until(lambda event: isinstance(event, ev.DeltaArrived) and event.kind == "text")
        await watched.do("cancel")
        ended = await watched.ended()
    assert ended.state == "cancelled"
    assert len(aborted) == 1 and aborted[0]["runId"] == aborted[0]["expected"]


@pytest.mark.parametrize("code", [1006, 1008, 1011, 1012, 1013])
async def test_a_connection_lost_in_the_middle_names_its_code(code: int) -> None:
    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        await peer.says(run, session, "one ")
        if code == 1006:
            assert peer.socket._req is not None and peer.socket._req.transport is not None
            peer.socket._req.transport.close()
        else:
            await peer.socket.close(code=code)

    async with gateway(talk) as url:
        ended, _ = await one(url)
    assert (ended.state, ended.signature) == ("failed", "websocket-closed")
    assert f"closed with {code}" in ended.evidence and ended.text == "one "


async def test_a_gateway_that_stops_ticking_is_dead_after_two_ticks() -> None:
    async def talk(peer: Peer) -> None:
        await peer.accept()
        await forever(peer)

    async with gateway(talk, tick_ms=200) as url:
        ended, _ = await one(url)
    assert ended.signature == "websocket-closed" and "4000 (tick timeout" in ended.evidence


async def test_a_gateway_that_is_starting_is_asked_again() -> None:
    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        await peer.says(run, session, "hi")
        await peer.final(run, session, "hi")
        await peer.request("never")

    async with gateway(talk, starting=2) as url:
        ended, _ = await one(url)
    assert ended.state == "done"


async def test_missing_events_are_named_when_nothing_worse_is_wrong() -> None:
    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        await peer.says(run, session, "hi")
        await peer.event("tick", skip=3, ts=1)
        await peer.final(run, session, "hi")
        await peer.request("never")

    async with gateway(talk) as url:
        ended, _ = await one(url)
    assert (ended.state, ended.signature) == ("done", "sequence-gap") and ended.evidence.startswith("3 event(s)")


async def test_a_frame_that_is_none_is_kept_and_the_answer_goes_on() -> None:
    async def talk(peer: Peer) -> None:
        run, session = await peer.accept()
        await peer.socket.send_str('{"type":"event"')
        await peer.says(run, session, "hi")
        await peer.final(run, session, "hi")
        await peer.request("never")

    async with gateway(talk) as url:
        ended, events = await one(url)
    assert (ended.state, ended.signature, ended.text) == ("done", "malformed-frame", "hi")
    errors = [event.error for event in events if isinstance(event, ev.DeltaArrived) and event.error]
    assert errors[0].frame == '{"type":"event"'


async def test_an_oversize_frame_is_one_sentence() -> None:
    async def talk(peer: Peer) -> None:
        await peer.accept()
        await peer.socket.send_str(json.dumps({"type": "event", "event": "x", "payload": {"a": "x" * (1 << 20)}}))
        await peer.request("never")

    async with gateway(talk) as url:
        ended, _ = await one(url)
    assert ended.signature == "websocket-closed" and "over the limit of 1048576" in ended.evidence


# -- kept out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "keys", "sentence"),
    [
        ({}, {"OPENCLAW_GATEWAY_TOKEN": "wrong-token-of-the-test"}, "refuses the token; put the one it uses into"),
        ({}, {}, "refuses the token"),
        ({"known": lambda _: False}, KEYS, "does not know this device yet; approve it"),
        ({"protocol": 7}, KEYS, "chose protocol 7; kmon speaks 3 and 4"),
    ],
)
async def test_who_is_not_let_in_is_told_why(options: dict[str, Any], keys: dict[str, str], sentence: str) -> None:
    async with gateway(forever, **options) as url:
        ended, events = await one(url, keys)
    assert ended.state == "failed" and ended.error is not None and sentence in ended.error.message
    assert ended.signature == "handshake-failed"
    assert all(value not in repr(events) for value in keys.values())


async def test_a_key_others_can_read_is_refused_in_a_sentence(tmp_path: Path) -> None:
    place = tmp_path / "kmon"
    place.mkdir()
    (place / "gateway-device.key").write_bytes(bytes(32))
    (place / "gateway-device.key").chmod(0o644)
    async with gateway(forever) as url:
        ended, _ = await one(url)
    assert ended.error is not None and "others may read the device key" in ended.error.message
