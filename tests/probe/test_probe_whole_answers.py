"""Promises about answers that are asked for in one piece: every dialect, on real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import resolve_scenario
from kmon.dialects.registry import http_dialect
from kmon.engine.plan import RacePlan, Row
from kmon.engine.selection import in_dialect, simulated
from kmon.model import Scenario, Target
from kmon.retry.policy import Policy
from kmon.simulator.profile import load
from kmon.simulator.server import Simulator
from kmon.stream import events as ev
from tests.support.loopback import END, chunked
from tests.support.racing import GOOD, outcome
from tests.support.scripted_provider import provider, writing

CATALOG = load_catalog()
DIALECTS = ("chat", "converse", "messages", "responses", "gemini", "deepinfra", "ollama")


def whole(name: str) -> Scenario:
    return replace(resolve_scenario(CATALOG, name), stream=False)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(load("smooth"), speed=50) as running:
        yield running


async def asked(target: Target, scenario: Scenario) -> ev.RunEnded:
    plan = RacePlan(rows=(Row(target, scenario),), stall_s=10, policy=Policy(timeout_s=20))
    results, _ = await outcome(plan)
    return results[0]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_whole_answer_is_one_chunk_and_a_healthy_run(dialect: str, simulator: Simulator) -> None:
    target = simulated(in_dialect(CATALOG.targets["together"], dialect), simulator.origin)
    result = await asked(target, whole("minimal"))
    assert (result.state, result.signature, result.error) == ("done", None, None)
    assert result.text and result.chunks == 1 and result.ttft_ms is not None
    assert not simulator.request_log.newest[-1].stream


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "deepinfra"])
async def test_tool_calls_arrive_whole(dialect: str, simulator: Simulator) -> None:
    target = simulated(in_dialect(CATALOG.targets["together"], dialect), simulator.origin)
    result = await asked(target, whole("tool-call"))
    assert (result.state, result.signature) == ("done", None)
    assert [call.name for call in result.tool_calls] == ["get_weather"]


async def test_an_answer_that_is_streamed_all_the_same_is_read_as_a_stream() -> None:
    async with provider(writing(GOOD)) as seen:
        result = await asked(Target(name="t", provider="p", model="m", base_url=seen.url), whole("minimal"))
    assert (result.state, result.text) == ("done", "Hello")
    assert seen.asked[0].body["stream"] is False and "stream_options" not in seen.asked[0].body


@pytest.mark.parametrize("body", [b"[1]", b'{"choices": [', b"", b"<html>"])
async def test_a_body_that_is_no_whole_answer_is_a_failure(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with provider(writing(head + (chunked(body) if body else b"") + END)) as seen:
        result = await asked(Target(name="t", provider="p", model="m", base_url=seen.url), whole("minimal"))
    assert result.state == "failed" and result.error is not None and result.error.kind == "protocol"


def test_streamed_and_whole_requests_differ_in_nothing_but_the_stream() -> None:
    target, scenario = CATALOG.targets["together"], resolve_scenario(CATALOG, "tool-result")
    wire = http_dialect("chat")
    streamed = wire.request(target, scenario, scenario.messages)
    ours, theirs = json.loads(streamed.body), json.loads(wire.unstreamed(streamed).body)
    assert theirs == {**{k: v for k, v in ours.items() if k != "stream_options"}, "stream": False}
