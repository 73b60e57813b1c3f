"""Runs a plan without a screen: a reporter turns events into lines, which are printed as the events arrive."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import Iterable
from typing import Protocol, TextIO

import msgspec

from kmon.engine.alert_hooks import LIMIT_S, NOTHING, Alarm, AlarmPlan
from kmon.engine.api import Command, Host
from kmon.engine.plan import Keys
from kmon.errors import UsageError
from kmon.hosts import Plan, host
from kmon.output.lines import line
from kmon.output.summary import summary
from kmon.process.interrupts import INTERRUPTED, handle_interrupts
from kmon.stream import events as ev
from kmon.stream.view import RaceView

INTERRUPTED_PATIENCE_S = 1.0
"""How long an interrupted race waits for what an alert has set off; another waits for as long as that may take."""
NOT_IN_JSON = (ev.EngineHealth, ev.BytesArrived)
"""Events that concern the engine, not the race."""


class Reporter(Protocol):
    """What to print of a race. ``enough`` is asked after every batch: True starts no further round."""

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]: ...

    def closing(self, view: RaceView) -> str: ...

    def enough(self) -> bool: ...


class LineReporter:
    """Lines for people, and the table at the end."""

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
    """One JSON object per event; ``race_ended`` is the last."""

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        return () if isinstance(event, NOT_IN_JSON) else (msgspec.json.encode(event).decode(),)

    def closing(self, view: RaceView) -> str:
        return ""

    def enough(self) -> bool:
        return False


async def race(plan: Plan, keys: Keys, reporter: Reporter, out: TextIO, alarm_plan: AlarmPlan = NOTHING) -> RaceView:
    """Run the plan to its end, or until SIGINT, SIGTERM or SIGHUP; what was measured by then is returned."""
    hosted = host(plan, keys)
    with handle_interrupts(lambda _: asyncio.ensure_future(hosted.interrupt())):
        view = await _followed(hosted, reporter, out, alarm_plan)
    if closing := reporter.closing(view):
        print(closing, file=out, flush=True)
    return view


async def _followed(hosted: Host, reporter: Reporter, out: TextIO, alarm_plan: AlarmPlan) -> RaceView:
    view = RaceView()

    def tell(event: ev.Event) -> None:
        view.apply(event)
        for words in reporter.lines(event, view):
            print(words, file=out)

    alarm = Alarm(alarm_plan, tell)
    hosted.start()
    try:
        async for batch in hosted.batches():
            for event in batch:
                if isinstance(event, ev.RaceEnded):
                    # Nothing is measured any more, and race_ended is the last word.
                    await alarm.close(INTERRUPTED_PATIENCE_S if event.interrupted else LIMIT_S)
                tell(event)
                if isinstance(event, ev.Alert):
                    alarm.ring(event)
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
    """The width of the terminal ``out`` is, or None when it is none."""
    return shutil.get_terminal_size().columns if out.isatty() else None


def exit_code(view: RaceView) -> int:
    """0 when every run ended well, 1 when one did not (or never told), 130 when interrupted."""
    if view.ended is None or view.ended.interrupted:
        return INTERRUPTED
    return 1 if view.ended.failed or any(result.state != "done" for result in view.results) else 0


def main(plan: Plan, keys: Keys, alarm_plan: AlarmPlan = NOTHING, *, as_json: bool) -> int:
    """Run on a fresh event loop, writing to stdout."""
    reporter: Reporter = JsonReporter() if as_json else LineReporter(columns_of(sys.stdout))
    return exit_code(asyncio.run(race(plan, keys, reporter, sys.stdout, alarm_plan)))


async def watch(hosted: Host, reporter: Reporter, out: TextIO, complaints: TextIO) -> RaceView:
    """Report what ``hosted`` tells until SIGINT, SIGTERM or SIGHUP; notices go to ``complaints`` as well as JSON.

    Raises :class:`UsageError` when the watch could not begin.
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
