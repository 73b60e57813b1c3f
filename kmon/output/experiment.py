"""Runs ``kmon test``: repeated identical requests, a line per run as it ends, then the verdict."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping

import msgspec
from msgspec import Struct

from kmon.engine.alert_hooks import AlertHooks
from kmon.engine.plan import Keys, RacePlan
from kmon.format import TextLine
from kmon.output.headless import JsonReporter, Reporter, race
from kmon.output.verdict_text import verdict_lines
from kmon.stats.compare import Thresholds, Verdict, breaches, compare
from kmon.stats.outcome import RunOutcome, classify
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.trial import Trial, trial_of
from kmon.stream import events as ev
from kmon.stream.target_events import Alert
from kmon.stream.view import RaceView


class PrintedOutcome(Struct, frozen=True, tag="test_outcome", tag_field="type"):
    """The outcome of one run, as ``--json`` prints it."""

    run: str
    target: str
    scenario: str
    round: int
    outcome: str
    passed: bool
    counted: bool
    sentence: str


class Experiment:
    """Collects the trials of a test. ``new_watch`` makes the sequential test that ends it when enough was measured."""

    def __init__(
        self, plan: RacePlan, thresholds: Thresholds, new_watch: Callable[[], SequentialTest] | None = None
    ) -> None:
        self._plan, self.thresholds, self._new_watch = plan, thresholds, new_watch
        self._scenarios = {row.scenario.name: row.scenario for row in plan.rows}
        self.begin()

    def begin(self) -> None:
        """Drop all trials; a race that is started again is a new experiment."""
        self.trials: list[Trial] = []
        self._watch = None if self._new_watch is None else self._new_watch()

    def outcome(self, result: ev.RunEnded) -> RunOutcome:
        """The outcome of a run, by its scenario's check."""
        return classify(result, self._scenarios[result.scenario])

    def add(self, result: ev.RunEnded) -> str | None:
        """Add a run. Return the sentence with the result once enough was measured, else None."""
        scenario = self._scenarios[result.scenario]
        trial = trial_of(result, scenario, result.tool_results if scenario.chain is not None else None)
        self.trials.append(trial)
        if self._watch is None:
            return None
        self._watch.add(trial)
        return self._watch.decided()

    def verdict(self) -> Verdict:
        """The verdict on the runs so far."""
        targets = list({row.target.name: row.target for row in self._plan.rows}.values())
        watched = "" if self._watch is None else self._watch.summary()
        return compare(self.trials, targets, list(self._scenarios.values()), watched=watched)

    def conclusion_lines(self) -> list[TextLine]:
        """The summary, then the broken thresholds."""
        verdict = self.verdict()
        broken = [f"threshold broken: {words}" for words in breaches(self.thresholds, verdict, self.trials)]
        return [*verdict_lines(verdict), *(TextLine(text) for text in ([""] if broken else []) + broken)]

    def conclusion(self) -> str:
        """The summary as text."""
        return "\n".join(line.text for line in self.conclusion_lines())

    def exit_code(self, view: RaceView) -> int:
        """130 if interrupted; else 1 if kmon failed between the runs, if a threshold is broken or, without thresholds,
        if a run failed or no run passed; else 0."""
        if view.ended is not None and view.ended.interrupted:
            return 130
        if view.ended is not None and view.ended.broken:
            return 1
        if self.thresholds.any:
            return 1 if breaches(self.thresholds, self.verdict(), self.trials) else 0
        outcomes = {trial.outcome for trial in self.trials}
        return 0 if not self.trials or ("pass" in outcomes and outcomes <= {"pass", "disturbed"}) else 1


class TrialLines:
    """Prints ``Test  1: ✅ OK``, one line per run as it ends, and the verdict."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._enough = ""

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        if isinstance(event, ev.RaceStarted):
            yield f"Running {event.count} identical {event.scenario} requests at each of {', '.join(event.targets)}"
            yield ""
        if isinstance(event, ev.Notice):
            yield f"{event.level}: {event.message}"
        if isinstance(event, Alert):
            yield f"ALERT {event.sentence}"
        if isinstance(event, ev.RunEnded):
            yield trial_line(event, self._experiment.outcome(event), names(view))
            if (proven := self._experiment.add(event)) and not self._enough:
                self._enough = proven
                yield f"\nenough: {proven}\n"

    def closing(self, view: RaceView) -> str:
        return f"\n{self._experiment.conclusion()}"

    def enough(self) -> bool:
        return bool(self._enough)


class TrialJson(JsonReporter):
    """Prints the events of ``kmon run``, an outcome after each run, and the verdict before ``race_ended``."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._enough = False

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        if isinstance(event, ev.RaceEnded):
            yield msgspec.json.encode(self._experiment.verdict()).decode()
        yield from super().lines(event, view)
        if isinstance(event, ev.RunEnded):
            outcome = self._experiment.outcome(event)
            self._enough = bool(self._experiment.add(event)) or self._enough
            printed = PrintedOutcome(
                event.run,
                event.target,
                event.scenario,
                event.round,
                outcome.name,
                outcome.passed,
                outcome.counted,
                outcome.sentence,
            )
            yield msgspec.json.encode(printed).decode()

    def enough(self) -> bool:
        return self._enough


def trial_line(result: ev.RunEnded, outcome: RunOutcome, named: Mapping[tuple[str, str], str]) -> str:
    """``together  Test  1: ✅ OK         It's 22 °C in Tokyo.``, names padded to one width."""
    signs = outcome.signs
    sentence = " ".join(outcome.sentence.split())[:100]
    name = named[result.target, result.scenario].ljust(max(map(len, named.values())))
    return f"{name}  Test {result.round:>2}: {signs.symbol} {signs.label.ljust(13)} {sentence}"


def names(view: RaceView) -> dict[tuple[str, str], str]:
    """The name of each arm: its target, and its scenario if there are several."""
    several = len({scenario for _, scenario in view.arms}) > 1
    return {arm: f"{arm[0]} ({arm[1]})" if several else arm[0] for arm in view.arms}


def main(plan: RacePlan, keys: Keys, experiment: Experiment, alarm_plan: AlertHooks, *, as_json: bool) -> int:
    """Run on a fresh event loop, writing to stdout."""
    reporter: Reporter = TrialJson(experiment) if as_json else TrialLines(experiment)
    return experiment.exit_code(asyncio.run(race(plan, keys, reporter, sys.stdout, alarm_plan)))
