"""Promises of the engine process: the same events as in-process, commands obeyed, and an honest end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from kmon.engine.event_queue import EventQueue
from kmon.engine.plan import Keys
from kmon.engine.process import EngineProcess
from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.processes import all_gone, children, doomed, heard_of_all_ends, stopped
from tests.support.racing import Held, Watched, good, is_text, keys_of, plan, target

pytestmark = pytest.mark.slow

needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc, which only Linux has")


async def test_a_race_in_the_child_tells_what_a_race_in_process_tells() -> None:
    async with serving(good) as url:
        race = Watched(await EngineProcess.start(plan(target(url), rounds=2), Keys({})))
        result = await race.ended(2)
        await race.until(lambda e: isinstance(e, ev.RaceEnded))
        await race.finish()
    assert (result.state, result.text, result.round) == ("done", "Hello", 2)
    assert isinstance(race.events[0], ev.RaceStarted)


async def test_commands_reach_the_child_and_closing_it_closes_its_sockets() -> None:
    held = Held()
    async with serving(held) as url:
        race = Watched(await EngineProcess.start(plan(target(url, "a"), target(url, "b")), Keys({})))
        await race.until(is_text, 2)
        await race.do("cancel", "r1.1")
        assert (await race.ended()).state == "cancelled"
        held.closed.clear()
        await race.finish()
        async with asyncio.timeout(5):
            await held.closed.wait()


async def test_a_killed_engine_is_told_of_and_what_it_said_is_kept() -> None:
    held = Held()
    async with serving(held) as url:
        engine = await EngineProcess.start(plan(target(url)), Keys({}))
        race = Watched(engine)
        await race.until(is_text)
        os.kill(engine.pid, signal.SIGKILL)
        notice = await race.until(lambda e: isinstance(e, ev.Notice))
        await race.finish()
    assert isinstance(notice, ev.Notice) and "engine ended with code -9" in notice.message
    assert race.view.runs["r1.1"].attempts[0].joined("text") == "one "


@needs_proc
@pytest.mark.parametrize("cut_short", [False, True])
async def test_a_stopped_engine_is_killed_even_when_closing_it_is_cut_short(cut_short: bool) -> None:
    held = Held()
    async with serving(held) as url:
        engine = await EngineProcess.start(plan(target(url)), Keys({}))
        race = Watched(engine)
        await race.until(is_text)
        with doomed(engine.pid):
            os.kill(engine.pid, signal.SIGSTOP)
            assert stopped([engine.pid])
            closing = asyncio.create_task(engine.close())
            await asyncio.sleep(0)
            if cut_short:
                closing.cancel()
            await asyncio.wait([closing], timeout=20)
            assert closing.done() and closing.cancelled() == cut_short
            assert all_gone([engine.pid])
            await race.finish()
            await heard_of_all_ends()


@needs_proc
async def test_an_engine_that_never_takes_its_plan_is_killed_when_starting_it_is_given_up(tmp_path: Path) -> None:
    large = plan(*[target("http://127.0.0.1:9", f"t{number}") for number in range(20_000)])  # more than a pipe holds
    modules = tmp_path / "msgspec.py"
    modules.write_text("import signal\nwhile True:\n    signal.pause()\n")
    others = set(children(os.getpid()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        starting = asyncio.create_task(EngineProcess.start(large, Keys({})))
        async with asyncio.timeout(20):
            while not (found := sorted(set(children(os.getpid())) - others)):
                await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    with doomed(*found):
        starting.cancel()
        await asyncio.wait([starting], timeout=20)
        assert starting.cancelled()
        assert all_gone(found)
        await heard_of_all_ends()


@needs_proc
async def test_keys_travel_by_pipe_only() -> None:
    held = Held()
    async with serving(held) as url:
        aim = target(url, key_env=("TEST_KEY",))
        engine = await EngineProcess.start(plan(aim), keys_of(plan(aim), {"TEST_KEY": "sk-not-in-ps"}))
        race = Watched(engine)
        await race.until(is_text)
        process = Path(f"/proc/{engine.pid}")
        seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        await race.finish()
    assert b"sk-not-in-ps" not in seen


async def test_an_event_queue_that_is_not_read_drops_chunks_and_counts_them() -> None:
    outbox = EventQueue(limit_events=10)
    for i in range(25):
        outbox.put(ev.DeltaArrived(i, "r", 1, "text", "x"))
    outbox.put(ev.RaceEnded(99, 1, 0, 1.0))
    outbox.close()
    batches = [batch async for batch in outbox.batches()]
    assert (len(batches[0]), outbox.dropped, outbox.chunks) == (11, 15, 25)
    assert isinstance(batches[0][-1], ev.RaceEnded)
