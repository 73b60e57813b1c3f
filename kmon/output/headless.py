"""Runs a plan without a screen: a reporter turns events into lines, which are printed as the events arrive."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import Iterable
from typing import Protocol, TextIO

import msgspec

from kmon.engine.alert_hooks import LIMIT_S, NO_HOOKS, AlertHookRunner, AlertHooks
from kmon.engine.api import Command, Host
from kmon.engine.plan import Keys
from kmon.errors import UsageError
from kmon.hosts import Plan, host
from kmon.output.lines import line
from kmon.output.summary import summary
from kmon.process.interrupts import INTERRUPTED, handle_interrupts
from kmon.stream import events as ev
from kmon.stream.target_events import Alert
from kmon.stream.view import RaceView

INTERRUPTED_PATIENCE_S = 1.0
"""How long an interrupted race waits for the programs of alerts; otherwise it waits up to their own limit."""
NOT_IN_JSON = (ev.EngineHealth, ev.BytesArrived)
"""Events about the engine, not the race."""


class Reporter(Protocol):
    """Chooses what is printed of a race. ``enough`` is called after every batch; True means: start no more rounds."""

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]: ...

    def closing(self, view: RaceView) -> str: ...

    def enough(self) -> bool: ...


class LineReporter:
    """Prints lines for people, and the table at the end."""

    def __init__(self, columns: int | None = None) -> None:
        self._columns = columns

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        words = line(event, view)
        return () if words is None else (words,)

    def closing(self, view: RaceView) -> str:
        return f"\n{summary(view, columns=self._columns)}"

    def enough(self) -> bool:
        return False


class JsonReporter:
    """Prints one JSON object per event; ``race_ended`` is the last."""

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        return () if isinstance(event, NOT_IN_JSON) else (msgspec.json.encode(event).decode(),)

    def closing(self, view: RaceView) -> str:
        return ""

    def enough(self) -> bool:
        return False


async def race(plan: Plan, keys: Keys, reporter: Reporter, out: TextIO, alarm_plan: AlertHooks = NO_HOOKS) -> RaceView:
    """Run the plan to its end, or until SIGINT, SIGTERM or SIGHUP. Return what was measured."""
    return await hosted_race(host(plan, keys), reporter, out, alarm_plan)


async def hosted_race(hosted: Host, reporter: Reporter, out: TextIO, alarm_plan: AlertHooks = NO_HOOKS) -> RaceView:
    """The same for a host that has not started."""
    with handle_interrupts(lambda _: asyncio.ensure_future(hosted.interrupt())):
        view = await _followed(hosted, reporter, out, alarm_plan)
    if closing := reporter.closing(view):
        print(closing, file=out, flush=True)
    return view


async def _followed(hosted: Host, reporter: Reporter, out: TextIO, alarm_plan: AlertHooks) -> RaceView:
    view = RaceView()

    def report(event: ev.Event) -> None:
        view.apply(event)
        for words in reporter.lines(event, view):
            print(words, file=out)

    alarm = AlertHookRunner(alarm_plan, report)
    hosted.start()
    try:
        async for batch in hosted.batches():
            for event in batch:
                if isinstance(event, ev.RaceEnded):
                    # Nothing is measured any more; race_ended must be the last line, after the alerts.
                    await alarm.close(INTERRUPTED_PATIENCE_S if event.interrupted else LIMIT_S)
                report(event)
                if isinstance(event, Alert):
                    alarm.start(event)
            out.flush()
            if view.ended is not None:
                break
            if reporter.enough():
                await hosted.command(Command("enough"))
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await hosted.close()
        await alarm.close(0)
    return view


def columns_of(out: TextIO) -> int | None:
    """The width of ``out`` in cells if it is a terminal, else None."""
    return shutil.get_terminal_size().columns if out.isatty() else None


def exit_code(view: RaceView) -> int:
    """0 if every run ended well, 1 if one did not or kmon failed between them, 130 if interrupted or ended early."""
    if view.ended is None or view.ended.interrupted:
        return INTERRUPTED
    return 1 if view.ended.broken or view.ended.failed or any(result.state != "done" for result in view.results) else 0


def main(plan: Plan, keys: Keys, alarm_plan: AlertHooks = NO_HOOKS, *, as_json: bool) -> int:
    """Run on a fresh event loop, writing to stdout."""
    reporter: Reporter = JsonReporter() if as_json else LineReporter(columns_of(sys.stdout))
    return exit_code(asyncio.run(race(plan, keys, reporter, sys.stdout, alarm_plan)))


async def watch(hosted: Host, reporter: Reporter, out: TextIO, complaints: TextIO) -> RaceView:
    """Print the events of ``hosted`` until SIGINT, SIGTERM or SIGHUP. Notices go to ``complaints``, and to JSON too.

    Raises :class:`UsageError` if the watch could not begin.
    """
    with handle_interrupts(lambda _: asyncio.ensure_future(hosted.close())):
        return await _watched(hosted, reporter, out, complaints)


async def _watched(hosted: Host, reporter: Reporter, out: TextIO, complaints: TextIO) -> RaceView:
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
