"""What becomes of messages: runs over real provider requests, queues, mechanisms, faults, and the end."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import aiohttp
import pytest

from tests.support.gateway_client import Client, Start, connected

SESSION = "agent:main:test"


def text(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["content"])


def kinds(client: Client, run: str) -> list[str]:
    """States of chat events and phases of lifecycle events of a run, text left out."""
    found = []
    for frame in client.frames:
        payload = frame.get("payload") or {}
        if frame["type"] == "event" and payload.get("runId") == run:
            if frame["event"] == "chat" and payload["state"] != "delta":
                found.append(f"chat {payload['state']}")
            elif payload.get("stream") == "lifecycle":
                found.append(payload["data"]["phase"])
    return found


@pytest.mark.parametrize("protocol", [3, 4])
async def test_a_run_is_a_real_request_and_its_texts_agree(start: Start, protocol: int) -> None:
    gateway = await start(protocol=protocol)
    async with connected(gateway.url) as client:
        assert (await client.send("hello there", "run-1"))["payload"] == {"runId": "run-1", "status": "started"}
        final = await client.event("chat", runId="run-1", state="final")
        deltas = client.events("chat", runId="run-1", state="delta")
        assert text(final["message"]).startswith(text(deltas[-1]["message"]))
        if protocol == 4:
            assert "".join(delta["deltaText"] for delta in deltas) == text(deltas[-1]["message"])
        agent = client.events("agent", runId="run-1", stream="assistant")
        assert "".join(event["data"]["delta"] for event in agent) == agent[-1]["data"]["text"]
        rows = (await client.ask("chat.history", sessionKey=SESSION, limit=10))["payload"]["messages"]
        assert [row["role"] for row in rows] == ["user", "assistant"]
        assert text(rows[1]).strip() == text(final["message"])
        waited = await client.ask("agent.wait", runId="run-1", timeoutMs=1000)
        assert waited["payload"] == {"runId": "run-1", "status": "ok"}
        again = await client.send("hello there", "run-1")
        assert again["payload"] == {"runId": "run-1", "status": "ok"}
    report = gateway.ledger.report()
    assert report["runs"] == [{"run": "run-1", "session": SESSION, "state": "ok", "provider_requests": 1}]
    assert report["requests"] == {"agent.wait": 1, "chat.history": 1, "chat.send": 2, "connect": 1}


@pytest.mark.parametrize("protocol", [3, 4])
async def test_numbers_of_events_have_no_gap_until_one_is_asked_for(start: Start, protocol: int) -> None:
    gateway = await start(protocol=protocol)

    def gaps(client: Client) -> list[int]:
        numbers = [frame["seq"] for frame in client.frames if "seq" in frame]
        return [after - before for before, after in itertools.pairwise(numbers) if after != before + 1]

    async with connected(gateway.url) as client:
        await client.send("go [[tool]]", "run-1")
        await client.event("chat", runId="run-1", state="final")
        assert gaps(client) == []
        await client.send("go [[seq-gap]]", "run-2")
        await client.event("chat", runId="run-2", state="final")
        assert gaps(client) == [4]


async def test_tool_frames_go_to_the_owner_only_and_protocol_4_shows_others_the_items(start: Start) -> None:
    for protocol in (3, 4):
        gateway = await start(protocol=protocol)
        async with connected(gateway.url) as owner, connected(gateway.url, scopes=["operator.read"]) as observer:
            await owner.send("go [[tool]]", "run-1")
            final = await observer.event("chat", runId="run-1", state="final")
            await owner.event("chat", runId="run-1", state="final")
            phases = [event["data"]["phase"] for event in owner.events("agent", stream="tool")]
            assert phases == ["start", "update", "result"]
            assert observer.events("agent", stream="tool") == []
            assert bool(observer.events("agent", stream="item")) is (protocol == 4)
            assert text(final["message"])
            assert (await observer.send("may I", "run-2"))["error"]["message"] == "missing scope: operator.write"


async def test_mechanism_a_tells_nothing_until_the_provider_has_ended(start: Start) -> None:
    gateway = await start(mechanism="a")
    async with connected(gateway.url) as client:
        await client.send("write a python function", "run-1")
        await client.event("chat", runId="run-1", state="final")
        assert len(client.events("chat", runId="run-1", state="delta")) == 1
        assert len(client.events("agent", runId="run-1", stream="assistant")) == 1


async def test_mechanism_b_ends_a_follow_up_at_once_and_answers_it_later_under_a_new_run(start: Start) -> None:
    gateway = await start(mechanism="b", protocol=4)
    async with connected(gateway.url) as client:
        await client.send("write a python function [[drip]]", "run-1")  # a long answer: it must be open below
        await client.event("chat", runId="run-1", state="delta")
        await client.send("are you still there?", "run-2")
        empty = await client.event("chat", runId="run-2", state="final")
        assert "message" not in empty
        assert not client.events("chat", runId="run-1", state="final")
        await client.event("chat", runId="run-1", state="final")

        def later() -> list[dict[str, Any]]:
            finals = client.events("chat", state="final")
            return [final for final in finals if final["runId"] not in ("run-1", "run-2")]

        assert "still here" in text((await client.until(later))[0]["message"])


@pytest.mark.parametrize("protocol", [3, 4])
async def test_mechanism_c_tells_an_error_and_keeps_the_answer_to_itself(start: Start, protocol: int) -> None:
    gateway = await start(mechanism="c", protocol=protocol)
    async with connected(gateway.url) as client:
        await client.send("write a python function", "run-1")
        await client.event("chat", runId="run-1", state="error")
        waited = await client.ask("agent.wait", runId="run-1", timeoutMs=20_000)
        assert waited["payload"]["status"] == "ok"
        assert kinds(client, "run-1")[-2:][1] == "end"
        assert not client.events("chat", runId="run-1", state="final")
        gap = client.events("agent", stream="error")[0]
        assert gap["data"]["reason"] == "seq gap"
        rows = (await client.ask("chat.history", sessionKey=SESSION))["payload"]["messages"]
        said = client.events("agent", runId="run-1", stream="assistant")[-1]["data"]["text"]
        assert text(rows[-1]).strip() == said


async def test_steer_answers_a_follow_up_inside_the_open_run(start: Start) -> None:
    gateway = await start(protocol=4)
    async with connected(gateway.url) as client:
        await client.send("write a python function [[drip]]", "run-1")
        await client.event("chat", runId="run-1", state="delta")
        await client.send("are you still there?", "run-2")
        await client.event("chat", runId="run-1", state="final")
        assert "message" not in client.events("chat", runId="run-2", state="final")[0]
        assert gateway.ledger.report()["runs"][0]["provider_requests"] == 2
        assert len(gateway.ledger.report()["runs"]) == 1


async def test_interrupt_aborts_the_open_run_and_followup_keeps_messages_apart(start: Start) -> None:
    gateway = await start(protocol=3)
    async with connected(gateway.url) as client:
        await client.send("go [[hang]]", "run-1")
        await client.event("chat", runId="run-1", state="delta")
        await client.send("hello", "run-2", queueMode="interrupt")
        await client.event("chat", runId="run-1", state="aborted")
        await client.event("chat", runId="run-2", state="final")
    gateway = await start(protocol=3, queue="followup")
    async with connected(gateway.url) as client:
        await client.send("go [[drip]]", "run-1")
        await client.event("chat", runId="run-1", state="delta")
        await client.send("one", "run-2")
        await client.send("two", "run-3")
        await client.until(lambda: len(gateway.ledger.report()["runs"]) == 3 or None)


@pytest.mark.parametrize("protocol", [3, 4])
async def test_an_abort_ends_the_run_with_what_it_had_and_the_provider_request_too(start: Start, protocol: int) -> None:
    gateway = await start(protocol=protocol)
    async with connected(gateway.url) as client:
        await client.send("go [[hang]]", "run-1")
        await client.event("chat", runId="run-1", state="delta")
        answer = await client.ask("chat.abort", sessionKey=SESSION, runId="run-1")
        assert answer["payload"] == {"ok": True, "aborted": True, "runIds": ["run-1"]}
        assert text((await client.event("chat", runId="run-1", state="aborted"))["message"])
        assert gateway.sessions.open_runs == []
        async with aiohttp.ClientSession() as http, asyncio.timeout(20):
            ended = None
            while ended != "client":
                async with http.get(gateway.options.provider_url.replace("gateway/v1", "_kmon/ledger")) as answered:
                    ended = (await answered.json())["requests"][0]["ended"]
        idle = await client.ask("chat.abort", sessionKey=SESSION)
        assert idle["payload"]["aborted"] is False


async def test_protocol_4_tells_of_an_open_run_in_history_and_list(start: Start) -> None:
    gateway = await start(protocol=4)
    async with connected(gateway.url) as client:
        await client.send("go [[hang]]", "run-1")
        await client.event("chat", runId="run-1", state="delta")
        history = (await client.ask("chat.history", sessionKey=SESSION))["payload"]
        assert history["inFlightRun"]["runId"] == "run-1"
        assert history["inFlightRun"]["text"]
        row = (await client.ask("sessions.list", limit=5))["payload"]["sessions"][0]
        assert row["hasActiveRun"] is True
        assert row["effectiveQueueMode"] == "steer"


async def test_a_stuck_run_never_ends_though_all_was_said_and_ticks_go_on(start: Start) -> None:
    gateway = await start(fault="stuck")
    async with connected(gateway.url) as client:
        await client.send("hello", "run-1")
        await client.event("chat", runId="run-1", state="delta")
        await client.event("tick")
        waited = await client.ask("agent.wait", runId="run-1", timeoutMs=100)
        assert waited["payload"]["status"] == "timeout"
        assert kinds(client, "run-1") == ["start"]


async def test_held_delivery_shows_the_reply_only_with_the_next_message(start: Start) -> None:
    gateway = await start()
    async with connected(gateway.url) as client:
        await client.send("hello [[held]]", "run-1")
        assert (await client.ask("agent.wait", runId="run-1"))["payload"]["status"] == "ok"
        assert kinds(client, "run-1") == []
        await client.send("are you still there?", "run-2")
        await client.event("chat", runId="run-2", state="final")
        assert kinds(client, "run-1") == ["start", "end", "chat final"]


async def test_ticks_are_lost_and_answers_too_when_it_freezes(start: Start) -> None:
    gateway = await start(tick_s=4.0)
    async with connected(gateway.url) as client:
        await client.event("tick")
        await client.send("hello [[tick-loss]]", "run-1")
        await client.event("chat", runId="run-1", state="final")
        before = len(client.events("tick"))
        await asyncio.sleep(10 * 4.0 / 200)
        assert len(client.events("tick")) == before
        await client.send("hello [[frozen]]", "run-2")
        await client.event("agent", runId="run-2", stream="assistant")
        await client.post("health", {})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.answer("4")


async def test_a_slow_consumer_is_closed_with_1008(start: Start) -> None:
    gateway = await start()
    async with connected(gateway.url) as client:
        await client.send("hello [[slow-consumer]]", "run-1")
        assert await client.closed() == 1008
    assert gateway.ledger.report()["close_codes"] == {"1008": 1}


@pytest.mark.parametrize(("protocol", "ending"), [(3, []), (4, ["final"])])
async def test_a_shutdown_kills_the_run_in_protocol_3_and_drains_it_in_4(
    start: Start, protocol: int, ending: list[str]
) -> None:
    gateway = await start(protocol=protocol)
    async with connected(gateway.url) as client:
        await client.send("hello [[shutdown]]", "run-1")
        assert await client.closed() == 1012
        assert client.events("shutdown")[0]["reason"] == "gateway stopping"
        states = [event["state"] for event in client.events("chat", runId="run-1")]
        assert [state for state in states if state not in ("delta", "status")] == ending
    async with connected(gateway.url) as client:
        assert (await client.ask("health"))["ok"]


async def test_the_same_seed_says_the_same(start: Start) -> None:
    said = []
    for seed in (1, 1, 2):
        gateway = await start(seed=seed)
        async with connected(gateway.url) as client:
            said.append(client.events("connect.challenge")[0]["nonce"])
    assert said[0] == said[1] != said[2]


async def test_bad_requests_are_refused_and_the_connection_stays(start: Start) -> None:
    gateway = await start()
    async with connected(gateway.url) as client:
        assert "unknown method" in (await client.ask("no.such"))["error"]["message"]
        assert (
            "at /message"
            in (await client.ask("chat.send", sessionKey="s", message=3, idempotencyKey="k"))["error"]["message"]
        )
        assert (await client.ask("chat.history", sessionKey="s", limit=0))["ok"] is False
        assert (await client.ask("health"))["ok"]
