"""Promises of the blame on real conditions: each cause is made, over real sockets, and kmon names it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from kmon.engine.plan import Keys
from kmon.engine.process import EngineProcess
from kmon.engine.supervisor import Supervisor
from kmon.simulator.embedded import Embedded
from kmon.stream import events as ev
from kmon.stream.blame import Blame
from kmon.stream.state import derive
from kmon.stream.target_events import Alert
from tests.support.loopback import END, HEAD, chunked, serving
from tests.support.racing import Watched, plan, racing, sse, target

pytestmark = pytest.mark.xdist_group("measures")

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_INFO")


def blames(race: Watched) -> list[Blame]:
    """What was said of the open stall, one opinion after the other."""
    told = [event for event in race.events if isinstance(event, ev.StallStarted | ev.Blamed)]
    return [event.blame for event in told if event.blame is not None]


def names(race: Watched, name: str) -> bool:
    return any(blame.name == name for blame in blames(race))


async def until_named(race: Watched, name: str) -> Blame:
    def told(event: ev.Event) -> bool:
        is_blame = isinstance(event, ev.StallStarted | ev.Blamed)
        return is_blame and event.blame is not None and event.blame.name == name

    event = await race.until(told)
    assert isinstance(event, ev.StallStarted | ev.Blamed) and event.blame is not None
    return event.blame


async def words_then_silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + sse("some words"))
    await writer.drain()
    await asyncio.Event().wait()


async def steady(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    for number in range(150):
        writer.write(sse(f"word {number}, "))
        await writer.drain()
        await asyncio.sleep(0.02)
    writer.write(sse(finish="stop", done=True) + END)


def is_text(event: ev.Event) -> bool:
    return isinstance(event, ev.DeltaArrived) and event.kind == "text"


async def test_a_blocked_loop_is_us() -> None:
    async with serving(steady) as url, racing(plan(target(url), stall_s=0.6)) as race:
        await race.until(is_text, 3)
        time.sleep(1.0)  # what a program must not do on its event loop
        stall = await race.until(lambda event: isinstance(event, ev.StallEnded))
        ended = await race.ended()
        await race.until(lambda event: isinstance(event, ev.RaceEnded))
    assert isinstance(stall, ev.StallEnded) and stall.blame is not None
    assert (stall.blame.name, stall.blame.certainty) == ("us", "certain")
    assert "kmon itself stood still for" in stall.blame.evidence
    assert (ended.state, ended.signature) == ("done", "kmon-late")
    assert "made by this machine" in ended.evidence
    assert ended.stalls and all(stall.own for stall in ended.stalls)
    assert ended.others_gap_ms is not None and ended.max_gap_ms is not None
    assert ended.others_gap_ms < ended.max_gap_ms
    race_ended = race.events[-1]
    assert isinstance(race_ended, ev.RaceEnded) and (race_ended.ok, race_ended.disturbed) == (1, 1)
    assert race.view.disturbed == 1
    (attempt,) = race.view.runs["r1.1"].attempts
    assert tuple(attempt.timeline.stalls) == ended.stalls
    assert not race.view.targets, "it is no stream of the target's health"


@linux
async def test_a_reader_that_does_not_read_is_us_and_the_provider_is_not_accused() -> None:
    async with serving(steady) as url, racing(plan(target(url), stall_s=0.5, timeout_s=2.5)) as race:
        await race.until(is_text, 3)
        assert isinstance(race.source, Supervisor)
        (stream,) = race.source._shared.monitor.streams
        asyncio.get_running_loop().remove_reader(stream._tcp._sock.fileno())  # type: ignore[attr-defined]
        found = await until_named(race, "us")
        said = derive(race.view.runs["r1.1"], time.monotonic_ns()).contradiction
        ended = await race.ended()
    assert found.certainty == "certain"
    assert "kmon itself did not read what had come" in found.evidence
    assert "that is us" in said and "claims" not in said
    assert ended.blame is not None and ended.blame.name == "us"
    assert (ended.state, ended.signature) == ("timed-out", "kmon-late")
    assert not race.view.targets and not any(isinstance(event, Alert) for event in race.events)


async def test_a_silence_of_the_provider_beside_one_of_this_machine_keeps_the_provider_s_name() -> None:
    go_on = asyncio.Event()

    async def both(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("some "))
        await go_on.wait()
        for number in range(100):
            writer.write(sse(f"word {number}, "))
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(sse(finish="stop", done=True) + END)

    async with serving(both) as url, racing(plan(target(url), stall_s=1.0)) as race:
        await race.until(lambda event: isinstance(event, ev.StallStarted))
        await asyncio.sleep(2.0)  # so long that a busy machine does not explain it
        go_on.set()
        await race.until(is_text, 3)
        time.sleep(2.0)  # what a program must not do on its event loop
        ended = await race.ended()
    assert (ended.state, ended.signature) == ("done", "stall-resumed")
    assert [stall.own for stall in ended.stalls][:2] == [False, True]
    assert ended.evidence.startswith(f"longest silence {ended.stalls[0].duration_ms / 1000:.1f} s, then it went on")
    assert ended.others_gap_ms == pytest.approx(ended.stalls[0].duration_ms)
    assert race.view.disturbed == 0


async def test_an_engine_that_was_stopped_says_so_of_its_runs() -> None:
    async with serving(steady) as url:
        engine = await EngineProcess.start(plan(target(url), stall_s=0.6), Keys({}))
        race = Watched(engine)
        try:
            await race.until(is_text, 3)
            os.kill(engine.pid, signal.SIGSTOP)
            await asyncio.sleep(1.5)
            os.kill(engine.pid, signal.SIGCONT)
            ended = await race.ended()
        finally:
            await race.finish()
    assert (ended.state, ended.signature) == ("done", "kmon-late"), ended.evidence


@linux
async def test_a_stopped_provider_whose_kernel_answers_is_beyond_its_address() -> None:
    async with Embedded() as simulator:
        race_plan = plan(target(simulator.base_url("sim")), stall_s=1.6, timeout_s=3.0)
        async with racing(race_plan) as race:
            await race.until(is_text)
            os.kill(simulator.pid, signal.SIGSTOP)
            try:
                ended = await race.ended()
            finally:
                os.kill(simulator.pid, signal.SIGCONT)
    first = blames(race)[0]
    assert first.brief == f"beyond {urlsplit(simulator.base_url('sim')).netloc}: server or relay here"
    assert (first.name, first.certainty) == ("beyond", "likely")
    assert ended.signature == "hang-mid-stream"
    assert [stall.own for stall in ended.stalls] == [False]
    # a busy machine may have been late for a moment that explains none of the silence
    assert re.search(r"kmon (in time|late by 0\.\d+ s), canary on time: the silence is at 127", ended.evidence)


@linux
async def test_a_relay_that_holds_back_what_a_healthy_provider_sends_is_not_called_the_provider() -> None:
    """A plain TCP relay, such as a tunnel or a balancer: it passes on the first words, and reads no more."""
    sent = 0

    async def healthy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        while True:
            writer.write(sse(f"word {sent}, "))
            await writer.drain()
            sent += 1
            await asyncio.sleep(0.02)

    async with serving(healthy) as upstream:

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answer, asked = await asyncio.open_connection("127.0.0.1", urlsplit(upstream).port)
            asked.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
            writer.write(await answer.readuntil(sse("word 3, ")))
            await writer.drain()
            try:
                await asyncio.Event().wait()
            finally:
                asked.close()

        async with serving(relay) as url, racing(plan(target(url), stall_s=1.2)) as race:
            found = await until_named(race, "beyond")
            before = sent
            await asyncio.sleep(0.5)
            await race.do("cancel")
            ended = await race.ended()
    assert sent > before, "the provider sends on"
    assert not names(race, "provider")
    assert found.brief == f"beyond {urlsplit(url).netloc}: server or relay here"
    assert "a relay to one" in found.evidence
    assert ended.blame is not None and ended.blame.peer == urlsplit(url).netloc


async def test_a_program_that_sends_comments_in_the_silence_is_the_provider_for_certain() -> None:
    async def commenting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("some words"))
        while True:
            writer.write(chunked(b": still here\n\n"))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(commenting) as url, racing(plan(target(url), stall_s=1.2)) as race:
        found = await until_named(race, "provider")
    assert (found.certainty, found.brief) == ("certain", "provider: alive, no output")


async def test_streams_of_several_hosts_that_stop_in_one_instant_are_us() -> None:
    stop = asyncio.Event()

    async def until_stopped(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while not stop.is_set():
            writer.write(sse("word "))
            await asyncio.sleep(0.02)
        await asyncio.Event().wait()

    async with serving(until_stopped) as a, serving(until_stopped) as b, serving(until_stopped) as c:
        three = plan(target(a, "a"), target(b, "b"), target(c, "c"), stall_s=1.6)
        async with racing(three) as race:
            for run in ("r1.1", "r1.2", "r1.3"):
                await race.until(lambda event, run=run: is_text(event) and event.run == run)  # type: ignore[misc]
            stop.set()
            found = await until_named(race, "us")
    assert "all 3 streams stopped in the same instant" in found.evidence


NET = f"10.213.{os.getpid() % 256}"
"""Of the two hosts; a run that was killed may have left another one behind."""


@pytest.fixture
def far_away() -> Iterator[str]:
    """A network namespace that can be cut off; yields its name."""
    name = f"kmon{os.getpid()}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    if sys.platform != "linux" or shutil.which("ip") is None:
        pytest.skip("needs Linux and iproute2")
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError:
        pytest.skip("needs the right to make network namespaces")
    try:
        try:
            ip("link", "add", f"{name}a", "type", "veth", "peer", "name", "far", "netns", name)
        except subprocess.CalledProcessError:
            pytest.skip("this kernel has no veth")
        ip("addr", "add", f"{NET}.1/30", "dev", f"{name}a")
        ip("link", "set", f"{name}a", "up")
        ip("-n", name, "addr", "add", f"{NET}.2/30", "dev", "far")
        ip("-n", name, "link", "set", "far", "up")
        yield name
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", f"{name}a")
        ip("netns", "del", name)


FAR_SERVER = """
import asyncio
from tests.support.racing import sse
from tests.support.loopback import HEAD
async def words_then_silence(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(HEAD + sse("some words"))
    await asyncio.Event().wait()
async def main():
    server = await asyncio.start_server(words_then_silence, None, 8000)
    print("up", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


async def test_a_path_that_swallows_everything_is_the_path(far_away: str) -> None:
    serving_there = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", far_away, sys.executable, "-c", FAR_SERVER), stdout=subprocess.PIPE
    )
    try:
        assert serving_there.stdout is not None
        assert await serving_there.stdout.readline() == b"up\n"
        async with racing(plan(target(f"http://{NET}.2:8000"), stall_s=1.6)) as race:
            await race.until(is_text)
            await asyncio.sleep(0.3)  # the request is acknowledged; from here on only silence is on the wire
            subprocess.run(["ip", "-n", far_away, "link", "set", "far", "down"], check=True)
            found = await until_named(race, "path")
            await race.do("cancel")
            ended = await race.ended()
    finally:
        serving_there.kill()
        await serving_there.wait()
    assert found.why == "no TCP answer"
    assert not names(race, "provider") and not names(race, "beyond") and not names(race, "us")
    assert ended.blame is not None and ended.blame.name == "path"


async def test_the_canary_sings_beside_a_race_and_leaves_with_it() -> None:
    async with serving(words_then_silence) as url:
        async with racing(plan(target(url), stall_s=0.7)) as race:
            assert isinstance(race.source, Supervisor)
            machine = race.source._shared.monitor
            await race.until(lambda event: isinstance(event, ev.StallStarted))
            assert machine.canary_overdue_ns(0, time.monotonic_ns()) is not None
        assert machine.canary_overdue_ns(0, time.monotonic_ns()) is None
        assert not machine.streams
