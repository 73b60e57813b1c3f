"""Used and new connections in a fed race, by the log of the server: which connection served which request."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import resolve_scenario, resolve_target
from kmon.engine.api import Command
from kmon.engine.plan import RacePlan, Row
from kmon.engine.selection import simulated
from kmon.model import Target
from kmon.simulator import profile
from kmon.simulator.server import Simulator
from kmon.stream import events as ev
from tests.support.loopback import read_request, serving
from tests.support.racing import ASK, Watched, plan, racing, sse, target

CATALOG = load_catalog()
MINIMAL = resolve_scenario(CATALOG, "minimal")


def used(aimed: Target) -> Target:
    return replace(aimed, reuse_connection=True)


def fed(aimed: Target, *, keep: bool = True) -> RacePlan:
    return plan(aimed, fed=20, keep_connections=keep)


async def ask(race: Watched, *targets: Target, asked: object = MINIMAL) -> list[bool]:
    """Whether each request of a round was sent over a used connection."""
    before = sum(isinstance(event, ev.RunEnded) for event in race.events)
    await race.source.command(Command("round", rows=tuple(Row(aimed, asked) for aimed in targets)))  # type: ignore[arg-type]
    await race.ended(before + len(targets))
    ends = [event for event in race.events if isinstance(event, ev.RunEnded)][before:]
    return [event.reused for event in sorted(ends, key=lambda event: event.run)]


def served_by(sim: Simulator) -> list[int]:
    return [logged.connection for logged in sim.request_log.newest]


@pytest.mark.parametrize("name", ["together", "anthropic", "gemini", "ollama", "bedrock/kimi-k2.5"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_used_connection_serves_a_later_request_in_every_dialect_over_http(name: str, stream: bool) -> None:
    async with Simulator(profile.load("smooth"), speed=200) as sim:
        aimed = simulated(resolve_target(CATALOG, name), sim.origin)
        asked = replace(MINIMAL, stream=stream)
        async with racing(fed(aimed)) as race:
            assert await ask(race, aimed, asked=asked) == [False]
            assert await ask(race, used(aimed), asked=asked) == [True]
            assert await ask(race, aimed, asked=asked) == [False]
        first, second, third = served_by(sim)
    assert first == second != third


async def test_requests_that_are_open_together_never_share_a_connection() -> None:
    async with Simulator(profile.load("smooth"), speed=50) as sim:
        aimed = simulated(resolve_target(CATALOG, "together"), sim.origin)
        async with racing(fed(aimed)) as race:
            assert await ask(race, aimed, used(aimed), aimed, used(aimed)) == [False] * 4
            assert await ask(race, used(aimed), aimed, used(aimed), aimed) == [True, False, True, False]
        first, second = served_by(sim)[:4], served_by(sim)[4:]
    assert len(set(first)) == len(set(second)) == 4 and len(set(first) & set(second)) == 2


async def test_a_race_that_keeps_none_opens_one_for_every_request() -> None:
    async with Simulator(profile.load("smooth"), speed=200) as sim:
        aimed = simulated(resolve_target(CATALOG, "together"), sim.origin)
        async with racing(fed(aimed, keep=False)) as race:
            assert await ask(race, aimed) + await ask(race, used(aimed)) == [False, False]
        assert len(set(served_by(sim))) == 2


async def test_kept_connections_are_closed_with_the_race() -> None:
    async with Simulator(profile.load("smooth"), speed=200) as sim:
        aimed = simulated(resolve_target(CATALOG, "together"), sim.origin)
        async with racing(fed(aimed)) as race:
            await ask(race, aimed, aimed, aimed)
            assert sim.request_log.opened - sim.request_log.closed == 3
        async with asyncio.timeout(10):
            while sim.request_log.opened != sim.request_log.closed:
                await asyncio.sleep(0.01)


async def test_a_hang_on_a_used_connection_says_so_and_the_connection_is_not_used_again() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(sse("fine", finish="stop", done=True) + b"0\r\n\r\n")
        await read_request(reader)
        await reader.read()

    async with serving(script) as url:
        aimed = target(url)
        race_plan = plan(aimed, fed=20, keep_connections=True, timeout_s=1.0)
        async with racing(race_plan) as race:
            assert await ask(race, aimed, asked=ASK) == [False]
            assert await ask(race, used(aimed), asked=ASK) == [True]
            assert await ask(race, used(aimed), asked=ASK) == [False]
    states = [event.state for event in race.events if isinstance(event, ev.RunEnded)]
    assert states == ["done", "timed-out", "done"]


async def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(sse("fine", finish="stop", done=True) + b"0\r\n\r\n")
        await writer.drain()

    async with serving(script) as url:
        aimed = target(url)
        async with racing(fed(aimed)) as race:
            assert await ask(race, aimed, asked=ASK) == [False]
            await asyncio.sleep(0.1)
            assert await ask(race, used(aimed), asked=ASK) == [False]
    assert all(event.state == "done" for event in race.events if isinstance(event, ev.RunEnded))
