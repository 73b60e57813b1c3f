"""The real probe at a provider that thinks without output: what is a stall, what is none, and what the screen says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kmon.dialects.registry import http_dialect
from kmon.engine.plan import RacePlan, Row
from kmon.model import PromptMessage, Scenario, Target
from kmon.retry.policy import Policy
from kmon.simulator import profile
from kmon.simulator.faults.registry import HEADER
from kmon.simulator.server import Simulator
from kmon.stream import events as ev
from tests.support.racing import outcome

ASK = Scenario(
    name="ask", messages=(PromptMessage(role="user", content="Tell me how rivers find the sea."),), max_tokens=60
)


@pytest.fixture
async def paced() -> AsyncIterator[Simulator]:
    """A provider whose durations are a fifth of what a fault says."""
    async with Simulator(profile.load("smooth"), speed=5.0) as simulator:
        yield simulator


async def asked(
    sim: Simulator, fault: str, *, timeout_s: float = 20.0, dialect: str = "responses"
) -> tuple[ev.RunEnded, list[ev.Event]]:
    base_url = f"{sim.origin}/p{http_dialect(dialect).base_path}"
    aimed = Target(
        name="r", provider="p", model="m", dialect=dialect, base_url=base_url, headers={HEADER: fault}, simulated=True
    )
    plan = RacePlan(rows=(Row(aimed, ASK),), stall_s=0.4, policy=Policy(timeout_s=timeout_s))
    results, events = await outcome(plan, {})
    return results[0], events


def stalled(events: list[ev.Event]) -> list[str]:
    return [event.phase for event in events if isinstance(event, ev.StallStarted)]


@pytest.mark.parametrize(
    ("dialect", "fault"),
    [("responses", "hidden-thinking"), ("responses", "server-tool-wait"), ("gemini", "server-tool-wait")],
)
async def test_a_silence_of_hidden_work_is_no_stall(paced: Simulator, dialect: str, fault: str) -> None:
    result, events = await asked(paced, f"{fault}:duration_s=10", dialect=dialect)
    assert (result.state, result.signature) == ("done", None)
    assert not {"mid-hidden-reasoning", "mid-server-tool", "before-first-token"} & set(stalled(events))
    work = [event.hidden_work for event in events if isinstance(event, ev.DeltaArrived) and event.hidden_work]
    assert work == ["reasoning" if fault == "hidden-thinking" else "server-tool", "none"]


@pytest.mark.parametrize("dialect", ["responses", "gemini"])
async def test_the_same_silence_of_a_text_is_one(paced: Simulator, dialect: str) -> None:
    result, events = await asked(paced, "stall:after_tokens=20,duration_s=10", dialect=dialect)
    assert result.signature == "stall-resumed"
    assert stalled(events) == ["mid-text"]


async def test_keepalives_that_stop_in_it_are_a_stall(paced: Simulator) -> None:
    result, events = await asked(paced, "hidden-thinking-hang:every_s=0.5,duration_s=4", timeout_s=2.5)
    assert (result.state, result.signature) == ("timed-out", "hang-mid-stream")
    assert stalled(events) == ["mid-hidden-reasoning"]


async def test_without_keepalives_a_hang_cannot_be_told_from_long_thinking(paced: Simulator) -> None:
    result, events = await asked(paced, "hidden-thinking-endless", timeout_s=1.5)
    assert (result.state, result.signature) == ("timed-out", "reasoning-without-end")
    assert "hidden reasoning for" in result.evidence
    assert stalled(events) == []
