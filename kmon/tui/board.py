"""The board as a value: one row per arm, one cell per round, and what the runs so far add up to.

Runs are classified and counted once, as they end; a frame only looks at those that are open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kmon.probe.events import RunEnded, State
from kmon.probe.state import ENDED, Observation, derive
from kmon.probe.view import RaceView, RunView
from kmon.race.plan import RacePlan
from kmon.verdict.compare import arm_names
from kmon.verdict.figures import ArmFigures, figures
from kmon.verdict.outcome import Outcome, classify
from kmon.verdict.trial import Arm, Trial, by_arm, trial_of


@dataclass(frozen=True, slots=True)
class BoardCell:
    """One run. ``outcome`` is how it came out, by the attempt that counts; None while it is open.

    ``retried`` is how a later attempt came out, which the user may look at but which does not count.
    """

    run: RunView
    seen: Observation
    outcome: Outcome | None = None
    retried: Outcome | None = None

    @property
    def state(self) -> State:
        """The state by which the header counts this run: an answer that is wrong has not ended well."""
        if self.outcome is None:
            return self.seen.state
        return "done" if self.outcome.passed else "failed" if self.outcome.counted else self.seen.state


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One arm; its cells by round, as far as it has come. ``figures`` is None until a run has ended."""

    name: str
    cells: Mapping[int, BoardCell]
    figures: ArmFigures | None


@dataclass(frozen=True, slots=True)
class Board:
    """All arms at one moment. ``newest`` is the latest round that has begun, 0 before the first."""

    rows: Sequence[BoardRow]
    rounds: int
    newest: int


@dataclass
class Tally:
    """Counts the runs of one race as they end."""

    plan: RacePlan
    _counted: int = 0
    _outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    _trials: list[Trial] = field(default_factory=list)
    _figures: dict[Arm, ArmFigures] = field(default_factory=dict)

    def board(self, race: RaceView, endings: Sequence[RunEnded], now_ns: int) -> Board:
        """The board at ``now_ns``. ``endings`` is every end of a run so far, in order; it only ever grows."""
        arms = list(dict.fromkeys(Arm(row.target.name, row.scenario.name) for row in self.plan.rows))
        names = arm_names(arms)
        self._count(endings, names)
        cells: dict[Arm, dict[int, BoardCell]] = {arm: {} for arm in arms}
        newest = 0
        for run in race.runs.values():
            of_arm = cells.get(Arm(run.target, run.scenario))
            if of_arm is not None and run.round not in of_arm:
                of_arm[run.round] = self._cell(run, now_ns)
                newest = max(newest, run.round)
        rows = [BoardRow(names[arm], of_arm, self._figures.get(arm)) for arm, of_arm in cells.items()]
        return Board(rows, max(self.plan.rounds, newest), newest)

    def _count(self, endings: Sequence[RunEnded], names: Mapping[Arm, str]) -> None:
        scenarios = {row.scenario.name: row.scenario for row in self.plan.rows}
        fresh = [ended for ended in endings[self._counted :] if Arm(ended.target, ended.scenario) in names]
        self._counted = len(endings)
        for ended in fresh:
            scenario = scenarios[ended.scenario]
            self._outcomes.setdefault(ended.run, []).append(classify(ended, scenario))
            self._trials.append(trial_of(ended, scenario))
        if fresh:
            rounds_of = by_arm(self._trials)
            for arm in {Arm(ended.target, ended.scenario) for ended in fresh}:
                self._figures[arm] = figures(names[arm], list(rounds_of[arm].values()))

    def _cell(self, run: RunView, now_ns: int) -> BoardCell:
        seen = derive(run, now_ns)
        outcomes = self._outcomes.get(run.run, [])
        if not outcomes or run.ended is None or seen.state not in ENDED | {"queued"}:
            return BoardCell(run, seen)
        # The rule of the verdict (kmon.verdict.trial.by_arm): a retry must not wash a failure away.
        standing = next((outcome for outcome in outcomes if outcome.counted), outcomes[0])
        return BoardCell(run, seen, standing, outcomes[-1] if outcomes[-1] is not standing else None)
