"""The server's account: connections, stamps, and who closed first."""

from __future__ import annotations

import asyncio
import time

import httpx

from kmon.simulator import profile
from kmon.simulator.server import Simulator
from tests.support.talk import Body, answered, ended, ledger, raw_bytes, raw_request


async def test_a_finished_answer_is_accounted_for_in_full(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    before_ns = time.monotonic_ns()
    answer = await answered(sim, body)
    row = await ended(sim, http)
    assert (row["provider"], row["model"], row["fault"]) == ("together", body["model"], "smooth")
    assert (row["ended"], row["status"], row["stream"], row["tools"]) == ("clean", 200, True, False)
    assert row["bytes"] == len(answer)
    assert f"x-request-id: {row['request_id']}\r\n".encode() in answer
    assert row["chunks"] == len(row["stamps_ns"]) > 500
    stamps = [before_ns, row["t_accept_ns"], row["t_request_ns"], *row["stamps_ns"], row["t_ended_ns"]]
    assert stamps == sorted(stamps)


async def test_stamps_are_left_out_unless_asked_for(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    await answered(sim, body)
    row = (await http.get(f"{sim.origin}/_kmon/ledger")).json()["requests"][-1]
    assert "stamps_ns" not in row


async def test_a_client_that_closes_mid_stream_is_noticed(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    url = f"{sim.base_url('groq')}/chat/completions"
    async with http.stream("POST", url, json=body | {"model": "hang-mid-stream"}) as answer:
        async for _ in answer.aiter_bytes():
            break
    assert (await ended(sim, http))["ended"] == "client"


async def test_a_client_that_closes_while_nothing_is_sent_is_noticed(
    sim: Simulator, body: Body, http: httpx.AsyncClient
) -> None:
    async with raw_request(sim, body, "no-headers"):
        while not (await ledger(sim, http))["requests"]:
            await asyncio.sleep(0.01)
    row = await ended(sim, http)
    assert (row["ended"], row["bytes"]) == ("client", 0)


async def test_our_own_reset_is_told_apart(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    await answered(sim, body, "reset-mid-chunk")
    assert (await ended(sim, http))["ended"] == "reset"


async def test_connections_are_counted_without_those_that_only_look(
    sim: Simulator, body: Body, http: httpx.AsyncClient
) -> None:
    await answered(sim, body)
    async with raw_request(sim, body, "no-headers"):
        while (await ledger(sim, http))["requests_total"] < 2:
            await asyncio.sleep(0.01)
        assert (await ledger(sim, http))["connections"] == {"opened": 2, "closed": 1, "open": 1}
    await ended(sim, http)
    async with asyncio.timeout(20):
        while (await ledger(sim, http))["connections"]["open"]:
            await asyncio.sleep(0.01)


async def test_one_connection_may_carry_many_requests(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await http.post(f"{sim.base_url('groq')}/chat/completions", json=body | {"model": "http-500"})
    report = await ledger(sim, http)
    assert report["connections"]["opened"] == 1
    assert [row["connection"] for row in report["requests"]] == [1, 1, 1]


async def test_stopping_ends_what_is_open_and_leaves_nothing_behind(body: Body) -> None:
    before = asyncio.all_tasks()
    async with (
        Simulator(profile.load("smooth"), speed=100) as sim,
        raw_request(sim, body, "hang-mid-stream") as streams,
    ):
        await streams[0].read(10)
        await sim.__aexit__()
        row = sim.request_log.report(stamps=False)["requests"][-1]
        assert row["ended"] == "stopped"
        assert sim.request_log.opened == sim.request_log.closed == 1
    assert asyncio.all_tasks() == before


async def test_abuse_leaves_the_server_serving(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n"
    for data in (
        b"",
        b"\r\n\r\n\r\n",
        b"\x00" * 5_000,
        head + b"{",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n",
        head[:-4] + b"\r\nx",
    ):
        async with raw_bytes(sim, data) as (_, writer):
            await writer.drain()
    async with raw_request(sim, body, "no-headers") as (_, writer):
        writer.write(b"GET /v1/models HTTP/1.1\r\n\r\n" * 60_000)  # more than is kept while an answer is open
    assert (await http.get(f"{sim.origin}/v1/models")).status_code == 200
    async with asyncio.timeout(20):
        while (await ledger(sim, http))["connections"]["open"] > 1:
            await asyncio.sleep(0.01)
