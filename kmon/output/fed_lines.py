"""Prints an experiment that decides by its results what it sends next: what is asked, a line per round, the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence

from kmon.engine.plan import Keys, RacePlan
from kmon.hosts import host
from kmon.isolate.fed_source import FedHost
from kmon.isolate.rounds import Feeder, Round
from kmon.output.headless import Reporter, hosted_race
from kmon.process.interrupts import INTERRUPTED
from kmon.stats.outcome import SIGNS
from kmon.stream import events as ev
from kmon.stream.view import RaceView

UNDECIDED = 4
"""Exit code of an experiment without an answer: not explained, or given up."""


class RoundLines:
    """``rounds`` gives those so far, ``opening`` the lines before the first, ``closing`` the text after the last."""

    def __init__(
        self, rounds: Callable[[], Sequence[Round]], opening: Iterable[str], closing: Callable[[], str]
    ) -> None:
        self._rounds, self._opening, self._closing = rounds, opening, closing
        self._told = 0

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        if isinstance(event, ev.RaceStarted):
            yield from self._opening
            yield ""
        if isinstance(event, ev.Notice):
            yield f"{event.level}: {event.message}"
        rounds = self._rounds()
        while self._told < len(rounds) and rounds[self._told].over:
            yield round_line(rounds[self._told])
            self._told += 1

    def closing(self, view: RaceView) -> str:
        return f"\n{self._closing()}"

    def enough(self) -> bool:
        return False


def round_line(done: Round) -> str:
    """``round  3: -tools ✔, -result -stream ✖ TIMEOUT``."""
    runs = []
    for sent in done.sent:
        sign = "➖" if sent.failed is None else "✖" if sent.failed else "✔"
        label = "" if sent.failed is False or sent.outcome is None else f" {SIGNS[sent.outcome.name].label}"
        runs.append(f"{sent.label} {sign}{label}")
    return f"round {done.number:>2}: {', '.join(runs)}"


def exit_code(has_answer: bool, view: RaceView) -> int:
    """0 if there is an answer, 4 if there is none, 130 if interrupted, 1 if kmon failed between the runs."""
    if view.ended is None or view.ended.interrupted:
        return INTERRUPTED
    if view.ended.broken:
        return 1
    return 0 if has_answer else UNDECIDED


def fed_race(plan: RacePlan, keys: Keys, feeder: Feeder, reporter: Reporter) -> RaceView:
    """Run the experiment on a fresh event loop, writing to stdout."""

    async def run() -> RaceView:
        return await hosted_race(FedHost(host(plan, keys), feeder), reporter, sys.stdout)

    return asyncio.run(run())
