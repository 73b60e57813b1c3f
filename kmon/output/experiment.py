"""Runs ``kmon test``: repeated identical requests, a line per run as it ends, then the verdict."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kmon.engine.alert_hooks import AlertHooks
from kmon.engine.plan import Keys, RacePlan
from kmon.format import TextLine
from kmon.output.headless import JsonReporter, Reporter, race
from kmon.output.saved_test import TestFile, printed, test_plan
from kmon.output.verdict_text import verdict_lines
from kmon.stats.budget import Budget
from kmon.stats.compare import Verdict, compare
from kmon.stats.outcome import SIGNS
from kmon.stats.question import Question
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.thresholds import Thresholds, decide, worst
from kmon.stats.trial import Arm, Trial, by_arm, trial_of
from kmon.stream import events as ev
from kmon.stream.target_events import Alert
from kmon.stream.view import RaceView

UNDECIDED = 4
"""The exit code when a threshold is neither met nor missed."""
CONTINUED = "the test was continued after a look at it, and its interval does not allow for that"


class Design(Struct, frozen=True, kw_only=True):
    """What a test is held against, and what it goes on with.

    ``new_watch`` makes the sequential test; with ``stops`` it ends the race when enough was measured. ``earlier`` are
    the runs of a test that is continued, which began ``earlier_s`` seconds before. ``question`` says which comparisons
    come first, ``budget`` what the rounds can prove.
    """

    thresholds: Thresholds = Thresholds()
    new_watch: Callable[[], SequentialTest] | None = None
    stops: bool = True
    earlier: Sequence[Trial] = ()
    earlier_s: float = 0.0
    question: Question | None = None
    budget: Budget | None = None


class Experiment:
    """Collects the trials of a test, and saves them to ``file`` as they come."""

    def __init__(self, plan: RacePlan, design: Design, *, file: TestFile | None = None) -> None:
        self._plan, self._design, self._file = plan, design, file
        self.plan_line = test_plan(plan, time.time() - design.earlier_s, design.question, design.budget)
        self._scenarios = {row.scenario.name: row.scenario for row in plan.rows}
        self._begun = False
        self._reset()

    def begin(self) -> None:
        """Drop the trials of this race; a race that is started again is a new experiment."""
        self._reset()
        if self._file is not None and (self._begun or not self._design.earlier):
            self._file.write(self.plan_line)
            for trial in self._design.earlier:
                self._file.write(printed("", trial))
        self._begun = True

    def _reset(self) -> None:
        self.trials: list[Trial] = list(self._design.earlier)
        self._watch = None if self._design.new_watch is None else self._design.new_watch()
        if self._watch is not None:
            for trial in completed(self.trials, [Arm(row.target.name, row.scenario.name) for row in self._plan.rows]):
                self._watch.add(trial)

    def add(self, result: ev.RunEnded) -> Trial:
        """Add a run."""
        scenario = self._scenarios[result.scenario]
        trial = trial_of(result, scenario, result.tool_results if scenario.chain is not None else None)
        trial = replace(trial, started_s=trial.started_s + self._design.earlier_s)
        self.trials.append(trial)
        if self._file is not None:
            self._file.write(printed(result.run, trial))
        if self._watch is not None:
            self._watch.add(trial)
        return trial

    @property
    def earlier(self) -> Sequence[Trial]:
        """The runs of the test that is continued."""
        return self._design.earlier

    def judge(self, result: ev.RunEnded) -> str | None:
        """Add a run; return the sentence with the result once enough was measured, else None."""
        self.add(result)
        return self.enough()

    def enough(self) -> str | None:
        """The sentence with the result once enough was measured, else None."""
        return None if self._watch is None or not self._design.stops else self._watch.decided()

    def verdict(self) -> Verdict:
        """The verdict on the runs so far."""
        targets = list({row.target.name: row.target for row in self._plan.rows}.values())
        watched = "" if self._watch is None else self._watch.summary()
        question = self._design.question
        verdict = compare(self.trials, targets, list(self._scenarios.values()), watched=watched, question=question)
        if self._design.earlier and not watched:
            verdict = replace(verdict, watched=True, conclusion=f"{verdict.conclusion}; {CONTINUED}")
        standing = [trial for rounds in by_arm(self.trials).values() for trial in rounds.values()]
        results = decide(self._design.thresholds, verdict.arms, standing, watched=verdict.watched)
        return replace(verdict, thresholds=results)

    def conclusion_lines(self) -> list[TextLine]:
        """The summary of the runs so far, then the thresholds."""
        return verdict_lines(self.verdict())

    def conclusion(self) -> str:
        """The summary as text."""
        return "\n".join(line.text for line in self.conclusion_lines())

    def exit_code(self, view: RaceView) -> int:
        """130 if interrupted; 1 if kmon failed between the runs. With thresholds 0 if all are met, 1 if one is missed
        and ``UNDECIDED`` otherwise; without them 1 if a run failed or none passed, else 0."""
        if view.ended is not None and view.ended.interrupted:
            return 130
        if view.ended is not None and view.ended.broken:
            return 1
        if self._design.thresholds.any:
            return {"met": 0, "missed": 1, "undecided": UNDECIDED}[worst(self.verdict().thresholds)]
        outcomes = {trial.outcome for trial in self.trials}
        return 0 if not self.trials or ("pass" in outcomes and outcomes <= {"pass", "disturbed"}) else 1


class TrialLines:
    """Prints ``Test  1: ✅ OK``, one line per run as it ends, and the verdict."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._enough = False

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        if isinstance(event, ev.RaceStarted):
            yield f"Running {event.count} identical {event.scenario} requests at each of {', '.join(event.targets)}"
            yield ""
        if isinstance(event, ev.Notice):
            yield f"{event.level}: {event.message}"
        if isinstance(event, Alert):
            yield f"ALERT {event.sentence}"
        if isinstance(event, ev.RunEnded):
            yield trial_line(self._experiment.add(event), names(view))
            if self._experiment.enough() and not self._enough:
                self._enough = True
                yield "\nenough was measured, no more is sent; the conclusion follows when the open runs have ended\n"

    def closing(self, view: RaceView) -> str:
        return f"\n{self._experiment.conclusion()}"

    def enough(self) -> bool:
        return self._enough


class TrialJson(JsonReporter):
    """Prints the events of ``kmon run``, an outcome after each run, and the verdict before ``race_ended``."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._enough = False

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        if isinstance(event, ev.RaceEnded):
            yield msgspec.json.encode(self._experiment.verdict()).decode()
        yield from super().lines(event, view)
        if isinstance(event, ev.RaceStarted):
            yield msgspec.json.encode(self._experiment.plan_line).decode()
        if isinstance(event, ev.RunEnded):
            trial = self._experiment.add(event)
            self._enough = self._enough or bool(self._experiment.enough())
            yield msgspec.json.encode(printed(event.run, trial)).decode()

    def enough(self) -> bool:
        return self._enough


def trial_line(trial: Trial, named: Mapping[tuple[str, str], str]) -> str:
    """``together  Test  1: ✅ OK         It's 22 °C in Tokyo.``, names padded to one width."""
    signs = SIGNS[trial.outcome]
    sentence = " ".join(trial.sentence.split())[:100]
    name = named[trial.target, trial.scenario].ljust(max(map(len, named.values())))
    return f"{name}  Test {trial.round:>2}: {signs.symbol} {signs.label.ljust(13)} {sentence}"


def names(view: RaceView) -> dict[tuple[str, str], str]:
    """The name of each arm: its target, and its scenario if there are several."""
    several = len({scenario for _, scenario in view.arms}) > 1
    return {arm: f"{arm[0]} ({arm[1]})" if several else arm[0] for arm in view.arms}


def completed(trials: Iterable[Trial], arms: Sequence[Arm]) -> Iterator[Trial]:
    """The trials by round, with a cancelled one where an arm has none: a sequential test waits for whole rounds."""
    found = by_arm(trials)
    for number in range(1, max((n for rounds in found.values() for n in rounds), default=0) + 1):
        for arm in arms:
            missing = Trial(target=arm.target, scenario=arm.scenario, round=number, outcome="cancelled")
            yield found.get(arm, {}).get(number, missing)


def main(plan: RacePlan, keys: Keys, experiment: Experiment, alarm_plan: AlertHooks, *, as_json: bool) -> int:
    """Run on a fresh event loop, writing to stdout."""
    experiment.begin()
    reporter: Reporter = TrialJson(experiment) if as_json else TrialLines(experiment)
    return experiment.exit_code(asyncio.run(race(plan, keys, reporter, sys.stdout, alarm_plan)))
