"""Promises about a test that the user interferes with, over real sockets: no silence is lost, none becomes a pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from kmon.engine.plan import RacePlan, Row
from kmon.model import PassLimits
from kmon.output.experiment import Design, Experiment
from kmon.stats.compare import Verdict
from kmon.stats.thresholds import Thresholds
from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.racing import ASK, Held, Watched, good, is_text, plan, racing, target


def limited(race: RacePlan, max_gap_s: float = 0.0) -> RacePlan:
    scenario = replace(ASK, limits=PassLimits(max_gap_s=max_gap_s))
    return replace(race, rows=tuple(Row(row.target, scenario) for row in race.rows))


async def judged(race_plan: RacePlan, interfere: Callable[[Watched], object]) -> Verdict:
    """The verdict of a race in which ``interfere`` happens."""
    experiment = Experiment(race_plan, Design(thresholds=Thresholds(fail_under=0.9)))
    async with racing(race_plan) as race:
        await interfere(race)  # type: ignore[misc]
        await race.until(lambda event: isinstance(event, ev.RaceEnded))
        for event in race.events:
            if isinstance(event, ev.RunEnded):
                experiment.add(event)
    return experiment.verdict()


async def test_cancelling_an_open_hang_over_the_limit_is_a_failure() -> None:
    async def cancel(race: Watched) -> None:
        await race.until(is_text)
        await asyncio.sleep(0.4)
        await race.do("cancel")

    async with serving(Held()) as url:
        (arm,) = (await judged(limited(plan(target(url)), 0.2), cancel)).arms
    assert (arm.n, arm.passes, arm.failures) == (1, 0, {"hang-mid-stream": 1})


async def test_cancelling_an_open_run_that_has_not_failed_yet_bounds_the_rate() -> None:
    async def cancel(race: Watched) -> None:
        await race.until(is_text)
        await race.do("cancel")

    async with serving(Held()) as url:
        verdict = await judged(limited(plan(target(url)), 30), cancel)
    (arm,) = verdict.arms
    assert (arm.n, arm.cut_short, arm.worst, arm.best) == (0, 1, 0.0, 1.0)
    assert verdict.thresholds[0].decision == "undecided"
    assert "1 run cut short by you" in verdict.conclusion


async def test_beginning_an_open_hang_again_does_not_wash_it_away() -> None:
    held = Held()

    async def restart(race: Watched) -> None:
        await race.until(is_text)
        await asyncio.sleep(0.4)
        await race.do("retry")
        await race.until(is_text, 2)
        held.release.set()

    for max_gap_s, expected in ((0.2, (1, 0, 0)), (30.0, (0, 0, 1))):
        held = Held()
        async with serving(held) as url:
            (arm,) = (await judged(limited(plan(target(url)), max_gap_s), restart)).arms
        assert (arm.n, arm.passes, arm.cut_short) == expected


async def test_interrupting_a_race_keeps_the_hangs_that_are_open() -> None:
    async def interrupt(race: Watched) -> None:
        await race.until(lambda event: isinstance(event, ev.RunEnded), 3)
        await race.until(is_text, 4)
        await asyncio.sleep(0.4)
        await race.source.interrupt()  # type: ignore[attr-defined]

    async with serving(good) as fine, serving(Held()) as hangs:
        race_plan = limited(plan(target(fine, "fine"), target(hangs, "hangs"), rounds=3, concurrency=6), 0.2)
        verdict = await judged(race_plan, interrupt)
    arms = {arm.name: arm for arm in verdict.arms}
    assert (arms["fine"].n, arms["fine"].passes) == (3, 3)
    assert (arms["hangs"].n, arms["hangs"].failures) == (3, {"hang-mid-stream": 3})
    assert {result.name: result.decision for result in verdict.thresholds}["hangs"] == "missed"


async def test_a_run_that_waits_for_its_turn_says_nothing() -> None:
    async def cancel(race: Watched) -> None:
        await race.until(is_text)
        await race.source.interrupt()  # type: ignore[attr-defined]

    async with serving(Held()) as url:
        race_plan = limited(plan(target(url, "a"), target(url, "b"), concurrency=1), 30)
        verdict = await judged(race_plan, cancel)
    arms = {arm.name: arm for arm in verdict.arms}
    assert (arms["a"].cut_short, arms["b"].cut_short, arms["b"].cancelled) == (1, 0, 1)
