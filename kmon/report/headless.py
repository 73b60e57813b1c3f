"""``kmon run``: a race without a screen, as lines for people or one JSON object per event."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
from typing import TextIO

import msgspec

from kmon.probe import events as ev
from kmon.probe.view import RaceView
from kmon.race.plan import Keys, RacePlan
from kmon.race.supervisor import Supervisor
from kmon.report.lines import line
from kmon.report.summary import summary

NOT_IN_JSON = (ev.EngineHealth, ev.BytesArrived)
"""Events that concern the engine, not the race."""


async def race(plan: RacePlan, keys: Keys, *, as_json: bool, out: TextIO) -> int:
    """Run the plan to its end and return the exit code: 0, 1 when a run did not end well, 130 when interrupted."""
    supervisor = Supervisor(plan, keys)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: asyncio.ensure_future(supervisor.interrupt()))
    view = RaceView()
    supervisor.start()
    try:
        async for batch in supervisor.batches():
            for event in batch:
                view.apply(event)
                _print(event, view, as_json=as_json, out=out)
            out.flush()
            if view.ended is not None:
                break
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await supervisor.close()
    if not as_json:
        print(f"\n{summary(view, columns=columns_of(out))}", file=out, flush=True)
    return exit_code(view)


def columns_of(out: TextIO) -> int | None:
    """The width of the terminal ``out`` is, or None when it is none."""
    return shutil.get_terminal_size().columns if out.isatty() else None


def exit_code(view: RaceView) -> int:
    """0 when every run ended well, 1 when one did not, 130 when interrupted."""
    if view.ended is not None and view.ended.interrupted:
        return 130
    return 1 if any(result.state != "done" for result in view.results) else 0


def _print(event: ev.Event, view: RaceView, *, as_json: bool, out: TextIO) -> None:
    if as_json:
        if not isinstance(event, NOT_IN_JSON):
            out.write(msgspec.json.encode(event).decode() + "\n")
    elif (words := line(event, view)) is not None:
        print(words, file=out)


def main(plan: RacePlan, keys: Keys, *, as_json: bool) -> int:
    """Run on a fresh event loop, writing to stdout."""
    return asyncio.run(race(plan, keys, as_json=as_json, out=sys.stdout))
