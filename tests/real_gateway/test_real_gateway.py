"""Promises against the real gateway: what kmon races, nudges and cancels there ends as it says, on both sides."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from kmon.engine.plan import RacePlan, Row
from kmon.model import PromptMessage, Scenario, Target
from kmon.openclaw.plan import GatewayWithProxyPlan, ProviderProxy
from kmon.openclaw.with_proxy import GatewayWithProxyHost
from kmon.proxy.plan import ProxyPlan
from kmon.retry.policy import Policy
from kmon.simulator.embedded import Embedded
from kmon.stream import events as ev
from tests.support.racing import Watched, keys_of
from tests.support.real_gateway import TOKEN, TOOLED, free_port, installed, running

WANTED = os.environ.get("KMON_REAL_GATEWAY", "")
pytestmark = [
    pytest.mark.skipif(not WANTED, reason="set KMON_REAL_GATEWAY=2026.9.6,2026.2.17 to run the real gateway"),
    pytest.mark.timeout(1_800),
]
AGENTS = {
    "main": "normal",
    TOOLED: "normal",
    "stall": "stall20",
    "hang": "hanging",
    "reset": "resetting",
    "slow": "slow",
}
"""Per agent, the model that makes the provider behave so."""
QUESTION = "Write a Python class for a bounded queue, with comments."
TOOL_QUESTION = "Please execute the shell command for me."
PATIENCE_S = 150.0


class Place(NamedTuple):
    """A gateway that runs, and the port where it expects its provider: kmon's proxy."""

    release: str
    url: str
    proxy: ProxyPlan


@pytest.fixture(scope="module", params=WANTED.split(",") if WANTED else [])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    release = installed(request.param)
    with Embedded(profile=str(Path(__file__).with_name("provider.toml"))).running() as simulator:
        proxy = ProxyPlan(upstream="provider", base_url=simulator.base_url("sim"), port=free_port(), simulated=True)
        provider_url = f"http://127.0.0.1:{proxy.port}/sim/v1"
        with running(release, provider_url, AGENTS, tmp_path_factory.mktemp("gateway")) as url:
            yield Place(request.param, url, proxy)


@contextlib.asynccontextmanager
async def asking(place: Place, agent: str, question: str = QUESTION, *, timeout_s: float) -> AsyncIterator[Watched]:
    aim = Target(
        name="real", provider="openclaw", model=place.release, dialect="openclaw", base_url=place.url, key_env=("T",)
    )
    scenario = Scenario(name="real", messages=(PromptMessage(role="user", content=question),))
    race = RacePlan(
        rows=(Row(aim, scenario),),
        session=f"agent:{agent}:kmon-{os.urandom(3).hex()}",
        policy=Policy(timeout_s=timeout_s),
    )
    plan = GatewayWithProxyPlan(gateways=race, proxies=(ProviderProxy("real", place.proxy),))
    sides = GatewayWithProxyHost(plan, keys_of(race, {"T": TOKEN}))
    sides.start()
    watched = Watched(sides, patience_s=PATIENCE_S)
    try:
        yield watched
    finally:
        await watched.finish()


def kinds(watched: Watched) -> list[str]:
    """The diagnoses in the order in which they were told."""
    return [event.name for event in watched.events if isinstance(event, ev.Diagnosed) and event.name]


def is_text(event: ev.Event) -> bool:
    return isinstance(event, ev.DeltaArrived) and event.kind == "text" and bool(event.text)


def diagnosed(name: str) -> Callable[[ev.Event], bool]:
    return lambda event: isinstance(event, ev.Diagnosed) and event.name == name


async def test_an_answer_comes_whole(place: Place) -> None:
    async with asking(place, "main", timeout_s=90) as watched:
        ended = await watched.ended()
    assert (ended.state, ended.signature) == ("done", None), ended.evidence
    assert "class" in ended.text
    # The first turn of a cold 2026.9.6 was seen to take 5 s from the provider's first token to a token of its own.
    assert not set(kinds(watched)) - {"adapter-buffering"}


async def test_a_tool_runs_and_the_answer_follows(place: Place) -> None:
    async with asking(place, TOOLED, TOOL_QUESTION, timeout_s=120) as watched:
        ended = await watched.ended()
    assert ended.state == "done", ended.evidence
    assert ended.tool_calls, "no tool was seen"
    assert ended.text


async def test_a_provider_that_stalls_for_20_s_is_named_and_goes_on(place: Place) -> None:
    async with asking(place, "stall", timeout_s=120) as watched:
        ended = await watched.ended()
    assert ended.state == "done", ended.evidence
    assert "provider-stall" in kinds(watched)
    assert max(stall.duration_ms for stall in ended.stalls) > 15_000


async def test_a_provider_that_hangs_is_named_while_it_hangs(place: Place) -> None:
    async with asking(place, "hang", timeout_s=30) as watched:
        ended = await watched.ended()
    assert ended.state == "timed-out"
    assert "provider-stall" in kinds(watched)


async def test_a_provider_that_resets_is_no_clean_answer(place: Place) -> None:
    async with asking(place, "reset", timeout_s=60) as watched:
        ended = await watched.ended()
    assert ended.state in ("failed", "timed-out"), (ended.state, ended.signature)
    assert set(kinds(watched)) & {"gateway-retrying", "chat-link-lost"}, kinds(watched)


async def test_a_cancelled_run_is_aborted_at_the_gateway(place: Place) -> None:
    async with asking(place, "main", timeout_s=90) as watched:
        await watched.until(is_text)
        await watched.do("cancel")
        ended = await watched.ended()
        await watched.finish()
    assert ended.state == "cancelled"


async def test_a_follow_up_waits_or_is_steered_and_both_get_their_answer(place: Place) -> None:
    async with asking(place, "slow", timeout_s=120) as watched:
        await watched.until(diagnosed("provider-stall"))
        await watched.do("nudge")
        nudged = await watched.until(lambda e: isinstance(e, ev.AttemptStarted) and e.role == "nudge")
        assert isinstance(nudged, ev.AttemptStarted)
        if place.release.startswith("2026.2."):
            await watched.until(diagnosed("queued-follow-up"))
        ended = await watched.ended()
    assert ended.state == "done", ended.evidence
    assert ended.text
