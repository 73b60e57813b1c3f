"""Toasts: messages gathered from events and merged into one toast at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.notifications import SeverityLevel

from kmon.stream.blame import NEARER
from kmon.stream.events import RunEnded
from kmon.tui.event_reader import EventReader
from kmon.tui.spans import wrap

TOAST_S = 3.0
_SMALL_CELLS, _SMALL_ROWS = 54, 3
"""Cells and rows of a toast. It never covers a title, since a pane has at least five lines."""
_BY_WEIGHT: tuple[SeverityLevel, ...] = ("information", "warning", "error")


class Told(NamedTuple):
    """One message. It may quote what came from outside, so it is never markup."""

    message: str
    severity: SeverityLevel = "information"


class Toasts:
    """The queue of messages. Time is counted in calls of :meth:`due`, one per second."""

    def __init__(self) -> None:
        self.told_enough = self._told_engine_gone = False
        self._untold: list[Told] = []
        self._ticks = self._until_tick = 0

    def begin_anew(self) -> None:
        """Reset for another race."""
        self.told_enough = self._told_engine_gone = False

    def shown(self, ticks: int) -> None:
        """A toast was shown, for so many seconds."""
        self._until_tick = self._ticks + ticks

    @property
    def nothing_left(self) -> bool:
        """Whether no message waits and no toast is shown."""
        return not self._untold and self._ticks >= self._until_tick

    def due(self, feed: EventReader, *, runs_are_told: bool) -> Told | None:
        """Call once a second. All messages as one, unless a toast is still shown."""
        self._ticks += 1
        self._untold += gather(feed, runs_are_told=runs_are_told)
        if feed.engine_error and not self._told_engine_gone:
            self._told_engine_gone = True
            self._untold.append(Told(f"{feed.engine_error}; kmon kept what it had", "error"))
        if feed.enough and not self.told_enough:
            self.told_enough = True
            self._untold.append(Told(f"enough: {feed.enough}"))
        if not self._untold or self._ticks < self._until_tick:
            return None
        told = merged(self._untold)
        self._untold.clear()
        return told


def gather(feed: EventReader, *, runs_are_told: bool) -> list[Told]:
    """Take the events since the last call: one message for all stalls, one for all failures, one per alert and notice.

    ``runs_are_told`` leaves the first two out: the board shows them already.
    """
    runs = feed.race.runs
    told: list[Told] = []
    if feed.stalls and not runs_are_told:
        # A pane with a chat program's claim shows both sides already, and a toast would cover them.
        known = [s for s in feed.stalls if (run := runs.get(s.run)) and (run.main is None or run.main.claim is None)]
        if theirs := [f"{runs[s.run].target} ({s.phase})" for s in known if s.blame is None or not s.blame.nearer]:
            told.append(Told(f"stalled: {enumerate_names(theirs)}", "warning"))
        for party, whose in NEARER.items():
            named = [(runs[s.run].target, s.blame) for s in known if s.blame is not None and s.blame.name == party]
            if near := [f"{target} ({blame.why})" for target, blame in named]:
                told.append(Told(f"silent, but that is {whose}: {enumerate_names(near)}", "warning"))
    if feed.failures and not runs_are_told:
        ended = [f"{e.target} {e.state}{_why(e)}" for e in feed.failures]
        told.append(Told(enumerate_names(ended), "error"))
    told += [Told(alert.sentence, "error") for alert in feed.alerts]
    for notice in feed.notices:
        told.append(Told(notice.message, "information" if notice.level == "info" else notice.level))
    for news in (feed.stalls, feed.failures, feed.alerts, feed.notices):
        news.clear()
    return told


def _why(ended: RunEnded) -> str:
    if ended.blame is not None and (whose := ended.blame.nearer):
        return f", but that is {whose} ({ended.blame.why})"
    return f", {ended.signature}" if ended.signature else ""


def merged(told: Sequence[Told]) -> Told:
    """Several messages as one, with the highest severity."""
    worst = max((t.severity for t in told), key=_BY_WEIGHT.index)
    return Told("; ".join(t.message for t in told), worst)


def small(message: str) -> str:
    """A message in the few lines that the panes can spare."""
    return "\n".join(wrap(message, _SMALL_CELLS, _SMALL_ROWS))


def enumerate_names(names: Sequence[str]) -> str:
    """``a, b, c and 4 more``."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
