"""Promises of the supervisor: rounds together, a limit kept, cancel at once, retry in the same run, nudge beside it."""

from __future__ import annotations

import asyncio

from kmon.engine.plan import Keys, Row
from kmon.engine.run import PlannedRun, Run, RunSettings
from kmon.probe.send import Shared
from kmon.retry.policy import Policy
from kmon.retry.sequence import Endpoint
from kmon.stream import events as ev
from kmon.stream.target_events import TargetHealth
from tests.support.loopback import serving
from tests.support.racing import ASK, GOOD, Held, good, is_text, outcome, plan, racing, target


async def test_a_round_has_one_run_per_row_and_rounds_follow_each_other() -> None:
    async with serving(good) as url:
        results, events = await outcome(plan(target(url, "a"), target(url, "b"), rounds=3))
    assert [(r.round, r.target) for r in results if r.target == "a"] == [(1, "a"), (2, "a"), (3, "a")]
    assert len(results) == 6
    queued = [i for i, e in enumerate(events) if isinstance(e, ev.RunQueued) and e.round == 2]
    ended = [i for i, e in enumerate(events) if isinstance(e, ev.RunEnded) and e.round == 1]
    assert max(ended) < min(queued)
    assert isinstance(events[0], ev.RaceStarted)
    last = [e for e in events if not isinstance(e, ev.EngineHealth)][-1]
    assert isinstance(last, ev.RaceEnded) and (last.ok, last.failed) == (6, 0)


async def test_the_concurrency_limit_is_kept_on_the_wire() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(*[target(url, f"t{i}") for i in range(5)], concurrency=2)) as race:
        await race.until(is_text, 2)
        held.release.set()
        await race.until(lambda e: isinstance(e, ev.RaceEnded))
    assert (held.requests, held.most_open) == (5, 2)


async def test_a_wider_limit_lets_rounds_overlap() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url), rounds=3, concurrency=3)) as race:
        await race.until(is_text, 3)
        assert held.open == 3
        held.release.set()
        await race.until(lambda e: isinstance(e, ev.RaceEnded))


async def test_cancel_closes_the_socket_and_ends_the_run_as_cancelled() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url))) as race:
        await race.until(is_text)
        await race.do("cancel")
        result = await race.ended()
        async with asyncio.timeout(5):
            await held.closed.wait()
    assert (result.state, result.text, result.error and result.error.kind) == ("cancelled", "one ", "cancelled")


async def test_cancelling_a_queued_run_sends_nothing() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url, "a"), target(url, "b"), concurrency=1)) as race:
        await race.until(is_text)
        await race.do("cancel", "r1.2")
        result = await race.ended()
        assert (result.run, result.state) == ("r1.2", "cancelled")
        held.release.set()
        end = await race.until(lambda e: isinstance(e, ev.RaceEnded))
    assert held.requests == 1
    assert isinstance(end, ev.RaceEnded) and (end.ok, end.failed) == (1, 1)


async def test_a_run_that_is_cancelled_before_its_first_step_sends_nothing() -> None:
    held = Held()
    async with serving(held) as url:
        aim = target(url)
        emitted: list[ev.Event] = []
        run = Run(
            PlannedRun("r1.1", Row(aim, ASK), 0, 1),
            [Endpoint(aim, Keys({}).for_target(aim.name))],
            RunSettings(Policy(), Policy().limits(30.0)),
            shared=Shared(),
            emit=emitted.append,
        )
        going = asyncio.create_task(run.go())
        run.cancel()
        async with asyncio.timeout(10):
            ended = await going
    assert (ended.state, held.requests) == ("cancelled", 0)
    assert emitted[-1] == ended


async def test_a_run_that_was_cancelled_when_it_had_ended_can_be_retried() -> None:
    async with serving(good) as url, racing(plan(target(url))) as race:
        await race.until(lambda e: isinstance(e, ev.RaceEnded))
        await race.do("cancel")
        await race.do("retry")
        assert (await race.ended(2)).state == "done"


async def test_retry_of_an_open_run_is_a_new_attempt_in_the_same_run() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url))) as race:
        await race.until(is_text)
        await race.do("retry")
        await race.until(is_text, 2)
        held.release.set()
        first, result = await race.ended(), await race.ended(2)
        run = race.view.runs["r1.1"]
        healths = [event for event in race.events if isinstance(event, TargetHealth)]
    assert (first.attempts, first.state, first.text) == (1, "cancelled", "one ")
    assert [health.streams for health in healths] == [1]  # the second attempt still belongs to its target
    assert (result.attempts, result.state, held.requests) == (2, "done", 2)
    assert [(a.role, a.ending) for a in run.attempts] == [("first", "cancelled"), ("retry", "done")]


async def test_retry_of_an_ended_run_reopens_the_race_and_it_ends_once_more() -> None:
    async with serving(good) as url, racing(plan(target(url))) as race:
        await race.until(lambda e: isinstance(e, ev.RaceEnded))
        await race.do("retry")
        result = await race.ended(2)
        await race.until(lambda e: isinstance(e, ev.RaceEnded), 2)
    assert (result.run, result.attempts) == ("r1.1", 2)


async def test_a_nudge_that_releases_the_first_is_told_with_its_delay() -> None:
    held = Held()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if held.requests == 0:
            await held(reader, writer)
        else:
            held.requests += 1
            held.release.set()
            writer.write(GOOD)

    async with serving(script) as url, racing(plan(target(url), stall_s=0.1)) as race:
        await race.until(lambda e: isinstance(e, ev.StallStarted))
        await race.do("nudge")
        sentence = await race.until(lambda e: isinstance(e, ev.NudgeResult))
        result = await race.ended()
    assert held.requests == 2
    assert isinstance(sentence, ev.NudgeResult) and sentence.sentence.startswith("first resumed 0.")
    assert (result.state, result.text) == ("done", "one two")


async def test_a_nudge_answered_beside_a_silent_first_says_so_and_the_first_stays_open() -> None:
    held = Held()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if held.requests == 0:
            await held(reader, writer)
        else:
            writer.write(GOOD)

    async with serving(script) as url, racing(plan(target(url), stall_s=0.1)) as race:
        await race.until(lambda e: isinstance(e, ev.StallStarted))
        await race.do("nudge")
        told = await race.until(lambda e: isinstance(e, ev.NudgeResult))
        assert held.open == 1
        await race.do("cancel")
        await race.ended()
    assert isinstance(told, ev.NudgeResult)
    assert told.sentence == "nudge answered, first still silent"


async def test_nudging_an_ended_run_is_explained_not_sent() -> None:
    async with serving(good) as url, racing(plan(target(url))) as race:
        await race.until(lambda e: isinstance(e, ev.RaceEnded))
        await race.do("nudge")
        notice = await race.until(lambda e: isinstance(e, ev.Notice))
    assert isinstance(notice, ev.Notice) and "nothing to nudge" in notice.message


async def test_closing_ends_every_stream_and_the_events() -> None:
    held = Held()
    async with serving(held) as url:
        async with racing(plan(target(url), target(url, "b"))) as race:
            await race.until(is_text, 2)
        async with asyncio.timeout(5):
            await held.closed.wait()
    assert [r.state for r in race.events if isinstance(r, ev.RunEnded)] == ["cancelled", "cancelled"]
