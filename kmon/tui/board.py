"""The board as a value: one row per arm, one cell per round, and the figures of each arm.

Runs are classified and counted once, as they end; a frame only looks at those that are open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kmon.engine.plan import RacePlan
from kmon.stats.outcome import OutcomeName, RunOutcome, classify
from kmon.stats.statistics import rate_words
from kmon.stats.survival import Percentile, SurvivalSample
from kmon.stats.trial import Arm, Trial, arm_names, trial_of
from kmon.stream.events import RunEnded
from kmon.stream.state import ENDED, ObservedState, State
from kmon.stream.view import RaceView, RunView
from kmon.tui.standings import Follower, Standings

MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class BoardCell:
    """One run. ``outcome`` is how it came out, by the attempt that counts; None while it is open.

    ``retried`` is how a later attempt came out, which the user may look at but which does not count.
    """

    run: RunView
    seen: ObservedState
    outcome: RunOutcome | None = None
    retried: RunOutcome | None = None

    @property
    def state(self) -> State:
        """The state by which the header counts this run: an answer that is wrong has not ended well."""
        if self.outcome is None:
            return self.seen.state
        return "done" if self.outcome.passed else "failed" if self.outcome.counted else self.seen.state


@dataclass(frozen=True, slots=True)
class RowFigures:
    """The runs of one arm that count: how many passed, that as a rate in words, and the median TTFT of all."""

    passes: int
    n: int
    words: str
    ttft_s: Percentile


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One arm; its cells by round, as far as it has come. ``figures`` is None until a run has ended."""

    name: str
    cells: Mapping[int, BoardCell]
    figures: RowFigures | None


@dataclass(frozen=True, slots=True)
class Board:
    """All arms at one moment. ``newest`` is the latest round that has begun, 0 before the first."""

    rows: Sequence[BoardRow]
    rounds: int
    newest: int
    states: Mapping[State, int] = field(default_factory=Counter)
    """How many cells there are of each state, as the header counts them."""
    outcomes: Mapping[OutcomeName, int] = field(default_factory=Counter)
    live: Sequence[State] = ()
    """The states of the cells that are open, each once."""


class _ArmTally:
    """The runs of one arm that ended. Of several in one round the rule of the verdict decides which one stands
    (kmon.stats.trial.by_arm): a retry must not wash a failure away."""

    def __init__(self) -> None:
        self._standing: dict[int, Trial] = {}
        self._passes = self._n = self._cut_short = 0
        self._waits = SurvivalSample()
        self._figures: RowFigures | None = None

    def add(self, trial: Trial) -> None:
        before = self._standing.get(trial.round)
        if before is not None and (before.stands or not trial.stands):
            return
        if before is not None and (wait := before.first_token()) is not None:
            self._waits.remove(wait)
        self._standing[trial.round] = trial
        self._n += trial.counted
        self._passes += trial.outcome == "pass"
        self._cut_short += trial.outcome == "cut-short"
        if (wait := trial.first_token()) is not None:
            self._waits.add(wait)
        self._figures = None

    @property
    def figures(self) -> RowFigures | None:
        if self._figures is None and self._standing:
            words = rate_words(self._passes, self._n)
            if self._cut_short:
                words += f", {self._cut_short} cut short"
            self._figures = RowFigures(self._passes, self._n, words, self._waits.percentile(MEDIAN))
        return self._figures


class Tally:
    """Counts the runs of one race as they end (:meth:`add`), and shows where all of them stand (:meth:`board`)."""

    def __init__(self, plan: RacePlan, earlier: Iterable[Trial] = ()) -> None:
        self.plan = plan
        arms = [Arm(row.target.name, row.scenario.name) for row in plan.rows]
        self._names = arm_names(list(dict.fromkeys(arms)))
        self._scenarios = {row.scenario.name: row.scenario for row in plan.rows}
        self._arms = {arm: _ArmTally() for arm in self._names}
        self._cells: dict[Arm, dict[int, BoardCell]] = {arm: {} for arm in self._names}
        self._outcomes: dict[str, tuple[RunOutcome, RunOutcome]] = {}
        """Of each run the outcome that counts and the latest."""
        self._states: Counter[State] = Counter()
        self._settled: Counter[OutcomeName] = Counter()
        self._follower = Follower()
        self._newest = 0
        for trial in earlier:
            if trial.arm in self._arms:
                self._arms[trial.arm].add(trial)

    def add(self, ended: RunEnded) -> None:
        """Count a run that ended, or ended again after a retry."""
        arm = Arm(ended.target, ended.scenario)
        if arm not in self._arms:
            return
        scenario = self._scenarios[ended.scenario]
        outcome = classify(ended, scenario)
        standing, _ = self._outcomes.get(ended.run, (outcome, outcome))
        self._outcomes[ended.run] = (
            standing if standing.stands or not outcome.stands else outcome,
            outcome,
        )
        self._arms[arm].add(trial_of(ended, scenario))

    def board(self, race: RaceView, standings: Standings) -> Board:
        """The board at the moment of ``standings``."""
        moves = self._follower.look(race)
        for run in moves.reopened:
            self._uncount(run)
        for run in moves.settled:
            cell = self._place(run, standings.of(run))
            if cell is not None:
                self._states[cell.state] += 1
                if cell.outcome is not None:
                    self._settled[cell.outcome.name] += 1
        opened = [cell for run in race.open.values() if (cell := self._place(run, standings.of(run))) is not None]
        outcomes = self._settled + Counter(cell.outcome.name for cell in opened if cell.outcome is not None)
        rows = [BoardRow(name, self._cells[arm], self._arms[arm].figures) for arm, name in self._names.items()]
        return Board(
            rows,
            max(self.plan.first_round + self.plan.rounds - 1, self._newest),
            self._newest,
            self._states + Counter(cell.state for cell in opened),
            outcomes,
            list(dict.fromkeys(cell.seen.state for cell in opened if cell.outcome is None)),
        )

    def _uncount(self, run: RunView) -> None:
        """A run that had settled is open again."""
        cell = self._cells.get(Arm(run.target, run.scenario), {}).get(run.round)
        if cell is not None and cell.run is run:
            self._states[cell.state] -= 1
            if cell.outcome is not None:
                self._settled[cell.outcome.name] -= 1

    def _place(self, run: RunView, seen: ObservedState) -> BoardCell | None:
        """Put a run into its cell, unless that is another's."""
        cells = self._cells.get(Arm(run.target, run.scenario))
        if cells is None or ((owner := cells.get(run.round)) is not None and owner.run is not run):
            return None
        self._newest = max(self._newest, run.round)
        cells[run.round] = cell = self._cell(run, seen)
        return cell

    def _cell(self, run: RunView, seen: ObservedState) -> BoardCell:
        outcomes = self._outcomes.get(run.run)
        if outcomes is None or run.ended is None or seen.state not in ENDED | {"queued"}:
            return BoardCell(run, seen)
        standing, latest = outcomes
        return BoardCell(run, seen, standing, latest if latest is not standing else None)
