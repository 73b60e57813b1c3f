"""Peers that vanish, proxies that pack, narrow links: what is on the wire."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sys

import httpx
import pytest

from kmon.simulator import profile
from kmon.simulator.faults.path import BandwidthCap, GzipBuffered, GzipFlushed, Jitter
from kmon.simulator.script import EndBody, Script, SendChunk, SendHead, duration_s, offsets
from kmon.simulator.server import Simulator
from tests.support.talk import Body, answered, chunks, ended, events, raw_request

SCRIPT: Script = (
    SendHead(200, ()),
    *(SendChunk(b"data: %d\n\n" % number, "text", 0.1) for number in range(20)),
    EndBody(),
)
UNACKED_AT = 8 + 4 * 4


def struck(fault: object) -> Script:
    from random import Random

    from kmon.simulator.faults.base import Setting
    from kmon.simulator.script import Whole

    setting = Setting(tools=False, frames=None, whole=Whole(200, (), b""), rng=Random(1))  # type: ignore[arg-type]
    found: Script = fault.script(SCRIPT, setting)  # type: ignore[attr-defined]
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has filters on sockets")
async def test_a_half_open_peer_acknowledges_nothing(sim: Simulator, body: Body) -> None:
    async with raw_request(sim, body, "half-open") as (reader, writer):
        await reader.read(10)
        row = sim.request_log.newest[-1]
        async with asyncio.timeout(20):
            while row.chunks < 60:
                await asyncio.sleep(0.01)
        sock: socket.socket = writer.get_extra_info("socket")
        await asyncio.sleep(0.3)  # until the filter is there
        writer.write(b"x")
        await asyncio.sleep(0.3)  # in this time loopback acknowledges hundreds of times over
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        unacked = int.from_bytes(info[UNACKED_AT : UNACKED_AT + 4], sys.byteorder)
        assert unacked >= 1


async def test_a_half_open_peer_notices_when_its_client_leaves(
    sim: Simulator, body: Body, http: httpx.AsyncClient
) -> None:
    async with raw_request(sim, body, "half-open") as (reader, _):
        await reader.read(10)
        async with asyncio.timeout(20):
            while sim.request_log.newest[-1].chunks < 60:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
    assert (await ended(sim, http))["ended"] == "client"


async def test_packed_answers_unpack_to_the_plain_one(sim: Simulator, body: Body) -> None:
    plain = [event["choices"] for event in events(await answered(sim, body)) if event["choices"]]
    for fault in ("gzip-flushed", "gzip-buffered"):
        head, _, _ = (answer := await answered(sim, body, fault)).partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head
        lines = gzip.decompress(b"".join(chunks(answer))).split(b"\n\n")
        said = [json.loads(line[6:])["choices"] for line in lines if line.startswith(b"data: {")]
        assert len([choices for choices in said if choices]) == len(plain)
        assert lines[-2] == b"data: [DONE]"


def test_a_buffer_makes_few_pieces_and_loses_no_time() -> None:
    flushed, buffered = struck(GzipFlushed()), struck(GzipBuffered(buffer_bytes=50))
    assert len(buffered) < len(flushed)
    assert duration_s(buffered) == pytest.approx(duration_s(SCRIPT))


def test_a_capped_link_takes_as_long_as_its_bytes_need() -> None:
    size = sum(len(step.data) for step in SCRIPT if isinstance(step, SendChunk))
    assert duration_s(struck(BandwidthCap(bytes_per_s=10.0))) == pytest.approx(size / 10)
    assert duration_s(struck(BandwidthCap(bytes_per_s=1e9))) == pytest.approx(duration_s(SCRIPT))


def test_jitter_keeps_the_order_and_delays_nothing_for_longer_than_it_says() -> None:
    late = [a - b for a, b in zip(offsets(struck(Jitter(duration_s=0.0))), offsets(SCRIPT), strict=True)]
    assert late == pytest.approx([0.0] * len(late))
    wild = offsets(struck(Jitter()))
    assert list(wild) == sorted(wild)
    assert all(-1e-9 <= a - b <= 1.2 for a, b in zip(wild[:-1], offsets(SCRIPT)[:-1], strict=True))


async def test_a_cut_ends_without_the_end_of_the_body(sim: Simulator, body: Body) -> None:
    assert not (await answered(sim, body, "no-close-notify")).endswith(b"0\r\n\r\n")


async def test_a_loop_asks_for_the_same_call_whatever_the_tools_answered(
    sim: Simulator, body: Body, weather: Body
) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    asked = body | {
        "tools": [weather],
        "messages": [
            {"role": "user", "content": "The weather in Oslo?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": '{"temp":3}'},
        ],
    }
    assert b"get_weather" in await answered(sim, asked, "tool-call-loop")
    assert b"get_weather" not in await answered(sim, asked)


def test_a_rule_may_ask_for_long_conversations_and_for_usage() -> None:
    rule = profile.Match(prompt_chars=10, include_usage=True)
    facts = profile.Facts("p", "m", tools=False, tool_result=False, nudge=False, include_usage=True, prompt_chars=10)
    assert rule.holds(facts)
    assert not rule.holds(profile.Facts("p", "m", tools=False, tool_result=False, nudge=False, prompt_chars=10))
    assert not profile.Match(prompt_chars=11).holds(facts)
