"""A race of many rounds: of a run that has ended the engine keeps next to nothing, and when all have it rests."""

from __future__ import annotations

import asyncio
import gc

import httpx

from kmon.engine.run import Run
from kmon.engine.supervisor import RETRIES_AT_ONCE
from kmon.probe.attempt import Attempt
from kmon.stream import events as ev
from kmon.stream.timeline import Timeline
from tests.support.loopback import END, HEAD, serving
from tests.support.racing import Held, good, is_text, plan, racing, sse, target
from tests.support.watching import Middle, proxying

ROUNDS = 30


def alive(*kinds: type) -> int:
    gc.collect()
    return sum(isinstance(found, kinds) for found in gc.get_objects())


def race_ended(event: ev.Event) -> bool:
    return isinstance(event, ev.RaceEnded)


async def test_no_run_attempt_or_task_of_an_ended_run_is_kept() -> None:
    before = alive(Run, Attempt)
    async with serving(good) as url, racing(plan(target(url), rounds=ROUNDS)) as race:
        await race.until(race_ended)
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) >= 15 or alive(Run, Attempt) != before:
                await asyncio.sleep(0.05)
        assert alive(Timeline) >= ROUNDS  # those of the view: the count finds what there is


async def test_an_old_run_can_be_tried_again_and_goes_on_counting_its_attempts() -> None:
    async with serving(good) as url, racing(plan(target(url), rounds=5)) as race:
        await race.until(race_ended)
        for n in (2, 3):
            await race.do("retry", "r2.1")
            await race.until(race_ended, n)
        run = race.view.runs["r2.1"]
        streams = race.view.targets["here"].streams
    assert [(a.number, a.role, a.ending) for a in run.attempts] == [
        (1, "first", "done"), (2, "retry", "done"), (3, "retry", "done"),
    ]  # fmt: skip
    assert len([e for e in race.events if isinstance(e, ev.RunQueued) and e.run == "r2.1"]) == 1
    ends = [event for event in race.events if isinstance(event, ev.RaceEnded)]
    assert [(end.ok, end.failed) for end in ends] == [(5, 0)] * 3
    assert streams == 7  # a second attempt is one more stream of its target


async def test_trying_everything_again_opens_no_more_at_once_than_there_is_room_for() -> None:
    held = Held()
    held.release.set()
    failing = True

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if failing:
            writer.write(HEAD + sse("cut") + END)
        else:
            await held(reader, writer)

    count = RETRIES_AT_ONCE + 20
    async with serving(script) as url, racing(plan(target(url), rounds=count)) as race:
        await race.until(race_ended)
        failing = False
        held.release.clear()
        for number in range(1, count + 1):
            await race.do("retry", f"r{number}.1")
        await race.until(lambda e: is_text(e) and getattr(e, "text", "") == "one ", RETRIES_AT_ONCE)
        assert held.open == RETRIES_AT_ONCE
        await race.do("cancel", f"r{count}.1")  # it waits for room: nothing was sent for it yet
        held.release.set()
        end = await race.until(race_ended, 2)
    assert isinstance(end, ev.RaceEnded) and (end.ok, end.failed) == (count - 1, 1)
    assert held.most_open == RETRIES_AT_ONCE


async def test_an_engine_whose_race_is_over_rests_until_something_is_tried_again() -> None:
    async with serving(good) as url, racing(plan(target(url))) as race:
        await race.until(race_ended)
        machine = race.source._shared.monitor  # type: ignore[attr-defined]
        async with asyncio.timeout(60):
            while not machine.paused:
                await asyncio.sleep(0.02)
        before = [e for e in race.events if isinstance(e, ev.EngineHealth)]
        await asyncio.sleep(1.7)  # in which there would be three reports; one may have been on its way
        assert len([e for e in race.events if isinstance(e, ev.EngineHealth)]) <= len(before) + 1
        assert machine.late_ns(0, 1) is None and machine.canary_overdue_ns(0, 1) is None
        await race.do("retry")
        await race.until(race_ended, 2)
        await race.until(lambda e: isinstance(e, ev.EngineHealth), len(before) + 1)


async def test_the_canary_goes_on_after_a_rest() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url))) as race:
        machine = race.source._shared.monitor  # type: ignore[attr-defined]
        await race.until(is_text)
        held.release.set()
        await race.until(race_ended)
        while not machine.paused:
            await asyncio.sleep(0.02)
        held.release.clear()
        await race.do("retry")
        await race.until(is_text, 3)
        async with asyncio.timeout(20):
            while machine.canary_overdue_ns(0, 1) is None:
                await asyncio.sleep(0.05)
        held.release.set()
        await race.until(race_ended, 2)


async def test_a_proxy_without_a_request_rests_and_watches_again_while_one_is_open() -> None:
    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("one "))
        await writer.drain()
        await reader.read()

    def reports(middle: Middle) -> int:
        return sum(isinstance(event, ev.EngineHealth) for event in middle.watched.events)

    async with serving(held) as url, proxying(f"{url}/v1") as middle:
        await asyncio.sleep(1.2)  # in which there would be two reports
        assert reports(middle) == 0
        async with httpx.AsyncClient(trust_env=False) as client:
            async with client.stream("POST", f"{middle.url}/chat/completions", json={"stream": True}):
                await middle.watched.until(lambda e: isinstance(e, ev.EngineHealth), 2)
        await middle.watched.ended()
        rested = reports(middle)
        await asyncio.sleep(1.8)
        assert reports(middle) <= rested + 1  # the half second that the request ended in
