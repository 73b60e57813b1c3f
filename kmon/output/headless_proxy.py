"""A watch without a screen and without an end of its own: lines or JSON for logs, until it is told to stop."""

from __future__ import annotations

import asyncio
import sys
from typing import TextIO

from kmon.catalog.errors import UsageError
from kmon.engine.api import Host
from kmon.engine.plan import Keys
from kmon.hosts import Plan, host
from kmon.interrupts import heeding
from kmon.output.headless import JsonReporter, LineReporter, Reporter
from kmon.stream import events as ev
from kmon.stream.view import RaceView


async def watch(hosted: Host, reporter: Reporter, out: TextIO, complaints: TextIO) -> RaceView:
    """Report what ``hosted`` tells until SIGINT, SIGTERM or SIGHUP; notices go to ``complaints`` as well as JSON.

    Raises :class:`UsageError` when the watch could not begin.
    """
    with heeding(lambda _: asyncio.ensure_future(hosted.close())):
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


def main(plan: Plan, keys: Keys, *, as_json: bool) -> int:
    """Run a proxy, alone or beside the gateway that uses it, on a fresh event loop; 0 when stopped on purpose."""

    async def run() -> None:
        reporter: Reporter = JsonReporter() if as_json else LineReporter()
        view = await watch(host(plan, keys), reporter, sys.stdout, sys.stderr)
        if not as_json and view.ended is not None:
            plural = "" if view.ended.ok == 1 else "s"
            print(f"{view.ended.ok} request{plural} ended well, {view.ended.failed} did not", flush=True)

    asyncio.run(run())
    return 0
