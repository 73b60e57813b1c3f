"""An isolation over real sockets: rounds follow each other, it ends by itself, and an interrupt sends no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.selection import in_dialect, simulated
from kmon.hosts import host
from kmon.isolate.experiment import Experiment
from kmon.isolate.fed_source import FedHost
from kmon.isolate.places import Places
from kmon.isolate.requests import chosen
from kmon.isolate.stages import Stages, StageSettings
from kmon.retry.policy import Policy
from kmon.simulator.profile import load
from kmon.simulator.server import Simulator
from kmon.stream import events as ev
from tests.support.isolating import tokyo
from tests.support.racing import Watched


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(load("smooth"), speed=100) as running:
        yield running


def isolation(simulator: Simulator, *only: str, max_requests: int = 40) -> tuple[RacePlan, Experiment]:
    asked = tokyo()
    target = simulated(asked.target, simulator.origin)
    spoken = replace(in_dialect(asked.target, "chat"), name="bedrock/kimi-k2.5:chat")
    reported, places = Row(target, asked.scenario), Places(other_dialect=simulated(spoken, simulator.origin))
    factors = chosen(reported, places, only)
    running = Experiment(
        lambda: Stages(reported, places, factors, StageSettings(seed=1, block=4)), max_requests=max_requests
    )
    rows = tuple(Row(each, asked.scenario) for each in running.targets)
    return RacePlan(rows=rows, fed=max_requests, nonce=True, policy=Policy(timeout_s=20)), running


async def test_rounds_follow_each_other_until_there_is_an_answer(simulator: Simulator) -> None:
    plan, running = isolation(simulator, "streaming", "dialect", "tool-result")
    fed = FedHost(host(plan, Keys({})), running)
    fed.start()
    watched = Watched(fed)
    end = await watched.until(lambda event: isinstance(event, ev.RaceEnded))
    await watched.finish()
    assert running.over and running.stopped and running.stage.conclusion is not None
    assert isinstance(end, ev.RaceEnded) and end.ok == running.requests == len(watched.view.runs) > 8
    logged = simulator.request_log.newest
    assert {each.dialect for each in logged} == {"chat", "converse"}
    assert {each.stream for each in logged} == {each.tool_result for each in logged} == {True, False}
    assert len({each.conversation for each in logged}) == len(logged), "each is unique, for the sake of caches"


async def test_an_interrupt_sends_no_further_round(simulator: Simulator) -> None:
    simulator.profile = simulator.profile.with_fault("no-headers")
    plan, running = isolation(simulator, "streaming")
    fed = FedHost(host(plan, Keys({})), running)
    fed.start()
    watched = Watched(fed)
    await watched.until(lambda event: isinstance(event, ev.AttemptStarted), 4)
    await asyncio.sleep(0)
    await fed.interrupt()
    end = await watched.until(lambda event: isinstance(event, ev.RaceEnded))
    await watched.finish()
    assert isinstance(end, ev.RaceEnded) and end.interrupted
    assert running.requests == 4 and len(running.rounds) == 1
