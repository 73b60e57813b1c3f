"""Promises of the lines: only progress is announced as the first token, and one chunk is one chunk."""

from __future__ import annotations

import asyncio

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
