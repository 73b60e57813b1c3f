"""What the bench says of its clients: took all, left, gave up, hangs, does not read, asks again."""

from __future__ import annotations

import asyncio

import httpx

from kmon.simulator.bench_report import lines_of, table
from kmon.simulator.client_behaviour import behaviour, in_words
from kmon.simulator.request_log import LoggedRequest
from kmon.simulator.server import Simulator
from tests.support.talk import Body, answered, ended, ledger, raw_request

S = 1_000_000_000


def exchange(ended_s: float | None = None, how: str = "client", sent_s: float | None = None) -> LoggedRequest:
    """Asked at 0 s; the last byte was sent at ``sent_s``."""
    made = LoggedRequest(1, 1, 0, 0, "POST", "/v1/chat/completions", fault="stall", user_agent="x/1")
    if sent_s is not None:
        made.sent(10, int(sent_s * S), chunk=True)
    if ended_s is not None:
        made.end(how)  # type: ignore[arg-type]
        made.t_ended_ns = int(ended_s * S)
    return made


def test_leaving_in_a_silence_is_told_from_leaving_a_stream() -> None:
    assert behaviour(exchange(9.0, sent_s=8.95), 0).did == "closed"
    assert behaviour(exchange(9.0, sent_s=2.0), 0).did == "gave-up"
    assert behaviour(exchange(0.2), 0).did == "gave-up"
    assert "gave up in the silence after 9.0 s, silent for 7.0 s" in in_words(exchange(9.0, sent_s=2.0), 0)


def test_an_open_exchange_is_a_client_that_waits_until_now() -> None:
    found = behaviour(exchange(sent_s=1.0), 61 * S)
    assert (found.did, found.took_ms, found.waited_ms) == ("hangs", 61_000, 60_000)


def test_what_the_bench_itself_ended_is_not_blamed_on_the_client() -> None:
    assert behaviour(exchange(1.0, "reset", 0.9), 0).did == "was-reset"
    assert behaviour(exchange(1.0, "stopped", 0.1), 0).did == "was-stopped"
    assert behaviour(exchange(1.0, "clean", 0.1), 0).did == "took-all"


def test_a_client_that_takes_nothing_is_told_by_the_longest_time_it_did_so() -> None:
    made = exchange(sent_s=1.0)
    made.blocked(1 * S, 70_000)
    made.unblocked(4 * S)
    made.blocked(5 * S, 80_000)
    assert made.blocked_ms(6 * S) == 3_000
    assert behaviour(made, 6 * S).did == "does-not-read"
    assert "took nothing for 5.0 s, 80000 bytes wait for it" in in_words(made, 10 * S)


async def test_asking_the_same_again_is_counted_per_client(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    url = f"{sim.base_url('groq')}/chat/completions"
    for agent in ("a/1", "a/1", "b/2"):
        await http.post(url, json=body | {"model": "truncated-no-finish"}, headers={"user-agent": agent})
    rows = (await ledger(sim, http))["requests"]
    assert [(row["user_agent"], row["tries"]) for row in rows] == [("a/1", 1), ("a/1", 2), ("b/2", 1)]
    assert rows[1]["again_ms"] >= 0
    first, second = lines_of(await ledger(sim, http))
    assert (first.client, first.fault, first.asked, first.retries) == ("a/1", "truncated-no-finish", 2, 1)
    assert (second.client, second.retries, second.did) == ("b/2", 0, {"took-all": 1})


async def test_a_client_that_never_reads_is_noticed(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    async with raw_request(sim, body, "padded-stream") as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            while (await ledger(sim, http))["requests"][-1]["client"]["did"] != "does-not-read":
                await asyncio.sleep(0.05)
        row = (await ledger(sim, http))["requests"][-1]
        assert row["client"]["blocked_ms"] >= 1_000
        assert row["unsent_bytes"] > 0
    assert (await ended(sim, http))["client"]["did"] == "does-not-read"


async def test_padding_is_harmless_to_who_reads(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    answer = await answered(sim, body, "padded-stream")
    row = await ended(sim, http)
    assert (row["ended"], row["client"]["did"]) == ("clean", "took-all")
    assert answer.endswith(b"0\r\n\r\n") and len(answer) > 5_000_000


def test_a_bench_that_nobody_asked_says_so() -> None:
    empty = {"requests": [], "connections": {"opened": 0, "closed": 0, "open": 0}}
    assert table(empty) == ["nobody has asked anything yet"]
