"""A watch without a screen and without an end of its own: lines or JSON for logs, until it is told to stop."""

from __future__ import annotations

import asyncio
from typing import TextIO

from kmon.engine.api import Host
from kmon.errors import UsageError
from kmon.output.headless import JsonReporter, Reporter
from kmon.process.interrupts import handle_interrupts
from kmon.stream import events as ev
from kmon.stream.view import RaceView


async def watch(hosted: Host, reporter: Reporter, out: TextIO, complaints: TextIO) -> RaceView:
    """Report what ``hosted`` tells until SIGINT, SIGTERM or SIGHUP; notices go to ``complaints`` as well as JSON.

    Raises :class:`UsageError` when the watch could not begin.
    """
    with handle_interrupts(lambda _: asyncio.ensure_future(hosted.close())):
        return await _followed(hosted, reporter, out, complaints)


async def _followed(hosted: Host, reporter: Reporter, out: TextIO, complaints: TextIO) -> RaceView:
    view = RaceView()
    hosted.start()
    problem = ""
    try:
        async for batch in hosted.batches():
            for event in batch:
                view.apply(event)
                if isinstance(event, ev.Notice):
                    if event.level == "error":
                        problem = event.message
                    else:
                        print(f"kmon: {event.message}", file=complaints, flush=True)
                    if not isinstance(reporter, JsonReporter):
                        continue
                for words in reporter.lines(event, view):
                    print(words, file=out)
            out.flush()
            if view.ended is not None:
                break
    finally:
        await hosted.close()
    if problem and not view.runs:
        raise UsageError(problem)
    return view
