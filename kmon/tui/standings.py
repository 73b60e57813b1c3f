"""The observation of every run at the moment that is shown. A settled run is observed once, when it settles.

A frame costs what is open and what is new, whatever number of runs has ended.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import NamedTuple

from kmon.stream.state import ObservedState, State, derive
from kmon.stream.view import RaceView, RunView


class Moves(NamedTuple):
    """The runs that settled since the last call, and those that are open again."""

    settled: list[RunView]
    reopened: list[RunView]
    anew: bool
    """Runs were forgotten: ``settled`` holds all settled runs, and earlier results are invalid."""


class Follower:
    """Follows which runs of a race settle. ``open`` holds those that have not."""

    def __init__(self) -> None:
        self.open: dict[str, RunView] = {}
        self._queued = self._forgotten = 0

    def look(self, race: RaceView) -> Moves:
        """What changed since the last call."""
        anew = race.forgotten != self._forgotten
        if anew:  # only in a watch, which keeps a few runs
            self.open, self._queued, self._forgotten = {}, race.forgotten, race.forgotten
        fresh = race.queued - self._queued
        self._queued = race.queued
        was_open = self.open
        new = list(islice(reversed(race.runs.values()), min(fresh, len(race.runs))))[::-1]
        self.open = dict(race.open)
        settled = [run for name, run in was_open.items() if name not in race.open]
        settled += [run for run in new if run.run not in race.open]
        known = {run.run for run in new}
        reopened = [run for name, run in race.open.items() if name not in was_open and name not in known]
        return Moves(settled, reopened, anew)


class Standings:
    """The observations of a race's runs. :meth:`look` comes first in every frame."""

    def __init__(self) -> None:
        self._follower = Follower()
        self._settled: dict[str, ObservedState] = {}
        self._settled_states: Counter[State] = Counter()
        self._open: dict[str, ObservedState] = {}

    def look(self, race: RaceView, now_ns: int) -> None:
        """Observe open runs at ``now_ns``, and runs that settled since the last call for the last time."""
        moves = self._follower.look(race)
        if moves.anew:
            self._settled.clear()
            self._settled_states.clear()
        for run in moves.reopened:
            if (before := self._settled.pop(run.run, None)) is not None:
                self._settled_states[before.state] -= 1
        for run in moves.settled:
            self._settled[run.run] = seen = derive(run, now_ns)
            self._settled_states[seen.state] += 1
        self._open = {name: derive(run, now_ns) for name, run in race.open.items()}

    def of(self, run: RunView) -> ObservedState:
        """How a run stands."""
        return self._open.get(run.run) or self._settled[run.run]

    @property
    def states(self) -> Counter[State]:
        """How many runs are in each state."""
        return self._settled_states + Counter(seen.state for seen in self._open.values())
