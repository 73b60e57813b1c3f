"""Promises of a race that is fed: rounds only when they are sent, the pace per target, the limit, and the same end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from kmon.engine.api import Command
from kmon.engine.plan import Keys, Row
from kmon.engine.process import EngineProcess
from kmon.model import Target
from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.racing import ASK, Held, Watched, good, is_text, plan, racing, target


def rows(targets: Sequence[Target]) -> Command:
    return Command("round", rows=tuple(Row(aimed, ASK) for aimed in targets))


def is_end(event: ev.Event) -> bool:
    return isinstance(event, ev.RaceEnded)


async def test_rounds_begin_when_they_are_sent_and_the_race_ends_with_enough() -> None:
    async with serving(good) as url, racing(plan(target(url, "a"), target(url, "b"), fed=9)) as race:
        await asyncio.sleep(0.05)
        assert not race.view.runs
        await race.source.command(rows([target(url, "b"), target(url, "a"), target(url, "b")]))
        await race.ended(3)
        await race.source.command(rows([target(url, "a")]))
        last = await race.ended(4)
        assert race.view.ended is None
        await race.do("enough")
        end = await race.until(is_end)
    queued = [(event.run, event.target, event.round) for event in race.events if isinstance(event, ev.RunQueued)]
    assert queued == [("r1.1", "b", 1), ("r1.2", "a", 1), ("r1.3", "b", 1), ("r2.1", "a", 2)]
    assert last.round == 2 and isinstance(end, ev.RaceEnded) and (end.ok, end.failed) == (4, 0)


async def test_no_more_runs_than_the_plan_allows() -> None:
    async with serving(good) as url, racing(plan(target(url, "a"), fed=3)) as race:
        await race.source.command(rows([target(url, "a")] * 2))
        await race.source.command(rows([target(url, "a")] * 5))
        await race.until(is_end)
    assert len(race.view.runs) == 3


async def test_one_slow_target_does_not_hold_the_others_of_the_round() -> None:
    held = Held()
    async with serving(held) as slow, serving(good) as fast:
        async with racing(plan(target(slow, "slow"), target(fast, "fast"), fed=9, per_target=1)) as race:
            order = [target(slow, "slow"), target(slow, "slow"), target(fast, "fast"), target(fast, "fast")]
            await race.source.command(rows(order))
            await race.ended(2)
            assert held.requests == 1
            held.release.set()
            await race.ended(4)
    assert held.most_open == 1


async def test_spacing_is_kept_at_each_target() -> None:
    async with serving(good) as url, racing(plan(target(url, "a"), target(url, "b"), fed=9, spacing_s=0.3)) as race:
        await race.source.command(rows([target(url, "a"), target(url, "b"), target(url, "a"), target(url, "a")]))
        await race.ended(4)
    begun: dict[str, list[int]] = {}
    for event in race.events:
        if isinstance(event, ev.AttemptStarted):
            begun.setdefault(race.view.runs[event.run].target, []).append(event.t_ns)
    assert all(later - earlier > 0.25e9 for earlier, later in pairwise(begun["a"]))


async def test_concurrency_bounds_a_round_that_was_sent() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url, "a"), fed=9, concurrency=2)) as race:
        await race.source.command(rows([target(url, "a")] * 5))
        await race.until(is_text, 2)
        held.release.set()
        await race.ended(5)
    assert held.most_open == 2


async def test_an_interrupt_cancels_what_is_open_and_skips_what_waits() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url, "a"), fed=9, per_target=1)) as race:
        await race.source.command(rows([target(url, "a")] * 3))
        await race.until(is_text)
        await race.source.interrupt()  # type: ignore[attr-defined]
        end = await race.until(is_end)
        states = [run.ended.state for run in race.view.runs.values() if run.ended is not None]
    assert isinstance(end, ev.RaceEnded) and end.interrupted and states == ["cancelled"] * 3 and held.requests == 1


async def test_an_ended_run_of_a_round_is_retried_with_its_own_row() -> None:
    async with serving(good) as url, racing(plan(target(url, "a"), target(url, "b"), fed=9)) as race:
        await race.source.command(rows([target(url, "b")]))
        await race.ended()
        await race.do("retry", "r1.1")
        again = await race.ended(2)
    assert (again.target, again.attempts) == ("b", 2)


@pytest.mark.slow
async def test_rounds_cross_the_pipe_to_the_engine_process() -> None:
    async with serving(good) as url:
        race = Watched(await EngineProcess.start(plan(target(url, "a"), fed=5), Keys({})))
        await race.source.command(rows([target(url, "a")] * 2))
        result = await race.ended(2)
        await race.do("enough")
        await race.until(is_end)
        await race.finish()
    assert (result.state, result.text) == ("done", "Hello")
