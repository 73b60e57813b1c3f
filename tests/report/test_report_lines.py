"""Promises of the lines: only progress is announced as the first token, and one chunk is one chunk."""

from __future__ import annotations

import asyncio

from kmon.probe import events as ev
from kmon.probe.blame import Blame
from kmon.probe.view import RaceView
from kmon.report.lines import line
from tests.race.racing import outcome, plan, sse, target
from tests.transport.loopback import END, HEAD, serving


async def lines(body: bytes) -> list[str]:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + body + END)
        await writer.drain()

    async with serving(script) as url:
        _, events = await outcome(plan(target(url)))
    view, said = RaceView(), []
    for event in events:
        view.apply(event)
        if (words := line(event, view)) is not None:
            said.append(words)
    return said


async def test_only_progress_is_announced_though_all_comes_in_one_read() -> None:
    said = await lines(sse("Hello", finish="stop", done=True))
    first = [words for words in said if "  first " in words]
    assert len(first) == 1 and "first text after" in first[0]
    assert "done, 2 chunks in" in said[-1]


async def test_one_chunk_is_one_chunk() -> None:
    assert "1 chunk in" in (await lines(sse(finish="stop", done=True)))[-1]


def test_a_stall_says_whose_it_is_and_corrects_itself() -> None:
    view = RaceView()
    asking = Blame("unknown", "cannot tell", "asking the peer", "cannot tell yet")
    ours = Blame("us", "certain", "kmon was late", "kmon late by 3.00 s: kmon itself stood still")
    view.apply(ev.RunQueued(0, "r1", "together", "together/m", "code", 1, "chat"))
    started = line(ev.StallStarted(0, "r1", 1, "mid-text", 5_000.0, blame=asking), view)
    corrected = line(ev.Blamed(0, "r1", 1, ours), view)
    ended = line(ev.StallEnded(0, "r1", 1, "mid-text", 6_000.0, blame=ours), view)
    assert started is not None and started.endswith("5.0 s and counting (cannot tell: asking the peer)")
    assert corrected is not None and "us: kmon was late; kmon late by 3.00 s" in corrected
    assert ended is not None and ended.endswith("(mid-text; us: kmon was late)")
