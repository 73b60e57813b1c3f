"""Promises of the lines: only progress is announced as the first token, and one chunk is one chunk."""

from __future__ import annotations

import asyncio

from kmon.output.experiment import names
from kmon.output.lines import line
from kmon.output.summary import table
from kmon.stream import events as ev
from kmon.stream.blame import Blame
from kmon.stream.view import RaceView, RunView
from tests.support.loopback import END, HEAD, serving
from tests.support.racing import outcome, plan, sse, target


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


async def test_a_retry_and_a_fallback_are_said_before_they_are_made_and_in_the_table() -> None:
    refused = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"

    async def busy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(refused)

    async def well(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse("Hi", finish="stop", done=True) + END)

    async with serving(busy) as first, serving(well) as second:
        policy = {"retries": 1, "retry_base_s": 0.01, "fallback": (target(second, "other"),)}
        results, events = await outcome(plan(target(first), **policy))
    view, said = RaceView(), []
    for event in events:
        view.apply(event)
        if (words := line(event, view)) is not None:
            said.append(words.partition("here")[2].strip())
    assert [words.partition(" in 0.0 s")[0] for words in said[1:-2]] == [
        "started",
        "answered HTTP 503",
        "retry 1 of 1",
        "attempt 2 started",
        "answered HTTP 503",
        "falls back to other, 1 of 1 (HTTP 503)",
        "attempt 3 started, at other",
    ]
    assert said[-2].startswith("first text after")
    assert said[-1].startswith("done, answered by other, 2 chunks")
    assert "falls back to other before the first token" in said[0]
    assert table(results).endswith("finish stop; answered by other; attempt 3")


async def test_a_limit_that_passed_is_named_in_the_table() -> None:
    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(mute) as url:
        results, _ = await outcome(plan(target(url), header_timeout_s=0.2))
    assert table(results).endswith("header timeout: no response headers within 0.2 s")
    assert "no-headers: " in table(results)


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


def test_a_line_of_a_long_race_looks_at_no_other_run() -> None:
    class Counted(dict[str, RunView]):
        def values(self) -> object:  # type: ignore[override]
            raise AssertionError("a line was made from all runs")

    view = RaceView()
    for n, name in enumerate(["here", "elsewhere", "here"]):
        view.apply(ev.RunQueued(n, f"r{n}", name, f"{name}/m", "code", n, "chat"))
    view.apply(ev.AttemptStarted(5, "r2", 1, "first", "http://here"))
    view.runs = Counted(view.runs)
    assert line(ev.AttemptStarted(5, "r2", 1, "first", "http://here"), view) == "   0.00 s r2  here       started"
    assert names(view) == {("here", "code"): "here", ("elsewhere", "code"): "elsewhere"}
