"""A watch without a screen and without an end of its own: lines or JSON for logs, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TextIO

from kmon.catalog.errors import UsageError
from kmon.probe import events as ev
from kmon.probe.view import RaceView
from kmon.race.proxy_plan import ProxyPlan
from kmon.race.proxy_watch import ProxyWatch
from kmon.race.source import Host
from kmon.report.headless import JsonReporter, LineReporter, Reporter


async def watch(host: Host, reporter: Reporter, out: TextIO, complaints: TextIO) -> RaceView:
    """Report what ``host`` tells until SIGINT, SIGTERM or SIGHUP; notices go to ``complaints`` as well as JSON.

    Raises :class:`UsageError` when the watch could not begin.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: asyncio.ensure_future(host.close()))
    view = RaceView()
    host.start()
    problem = ""
    try:
        async for batch in host.batches():
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
        await host.close()
    if problem and not view.runs:
        raise UsageError(problem)
    return view


def main(plan: ProxyPlan, *, as_json: bool) -> int:
    """Run a proxy on a fresh event loop, writing to stdout; 0 when it was stopped on purpose."""

    async def run() -> None:
        reporter: Reporter = JsonReporter() if as_json else LineReporter()
        view = await watch(ProxyWatch(plan), reporter, sys.stdout, sys.stderr)
        if not as_json and view.ended is not None:
            plural = "" if view.ended.ok == 1 else "s"
            print(f"{view.ended.ok} request{plural} ended well, {view.ended.failed} did not", flush=True)

    asyncio.run(run())
    return 0
