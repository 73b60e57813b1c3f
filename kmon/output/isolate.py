"""Prints an isolation: what is varied, a line per round, the table of factors, and the answer as one sentence."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator

from kmon.engine.plan import Keys, RacePlan
from kmon.format import Column, table
from kmon.hosts import host
from kmon.isolate.answer import answer, answered, e_words, rate_words
from kmon.isolate.experiment import Experiment
from kmon.isolate.factors import FACTORS
from kmon.isolate.fed_source import FedHost
from kmon.isolate.rounds import Round
from kmon.isolate.stages import Stage
from kmon.isolate.standing import probability_words, standing
from kmon.isolate.subject import Subject
from kmon.output.headless import Reporter, hosted_race
from kmon.output.isolate_json import IsolationJson
from kmon.output.plan_notes import pass_words
from kmon.process.interrupts import INTERRUPTED
from kmon.stats.isolation.state import FactorState
from kmon.stats.outcome import SIGNS
from kmon.stream import events as ev
from kmon.stream.view import RaceView

EXPLAINED = "(intervals: 95 %; cause: how likely it is one; e: the evidence, 1 is none, over 100 strong)"
UNDECIDED = 4
"""Exit code of an isolation without an answer: not explained, or given up."""


def factor_lines(subject: Subject) -> Iterator[str]:
    """Every factor, and whether it can be varied in this request, for ``--list``."""
    reported = subject.reported
    yield f"{reported.target.name}, {reported.scenario.name}"
    width = max(len(factor.name) for factor in FACTORS)
    for factor in FACTORS:
        why = subject.obstacles[factor.name]
        how = f"no: {why}" if why else f"{factor.words}  ->  {subject.changed(factor)}"
        yield f"  {factor.name:<{width}}  {how}"


def plan_notes(subject: Subject) -> list[str]:
    """What passes, and what is not varied, with the reason."""
    any_answer = "any answer, because the question itself is changed (--keep-check)"
    passes = pass_words(subject.reported.scenario.limits, "right answer" if subject.checked else any_answer)
    return [f"a run passes: {passes}", *(f"not varied: {name}, {why}" for name, why in subject.not_varied.items())]


class IsolationLines:
    """Prints what is varied, a line per round, and in the end the table and the answer."""

    def __init__(self, experiment: Experiment, subject: Subject) -> None:
        self._experiment, self._subject = experiment, subject
        self._told = 0

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        rounds = self._experiment.rounds
        if isinstance(event, ev.RaceStarted):
            yield from self._opening()
        if isinstance(event, ev.Notice):
            yield f"{event.level}: {event.message}"
        while self._told < len(rounds) and rounds[self._told].over:
            yield round_line(rounds[self._told])
            self._told += 1

    def _opening(self) -> Iterator[str]:
        reported = self._subject.reported
        yield f"What makes {reported.target.name} fail with {reported.scenario.name}? Varied at random:"
        for factor in self._subject.factors:
            yield f"  {factor.mark:<10} {factor.words}  ->  {self._subject.changed(factor)}"
        yield from (f"  {note}" for note in plan_notes(self._subject))
        yield ""

    def closing(self, view: RaceView) -> str:
        return "\n".join(["", *closing_lines(self._experiment)])

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


def closing_lines(experiment: Experiment) -> list[str]:
    """The table of each stage that began, and the answer."""
    tables = [line for stage in experiment.stages for line in (*stage_table(stage), "")]
    explained = [EXPLAINED, ""] if tables else []
    return [*tables, *explained, answer(experiment)]


def stage_table(stage: Stage) -> list[str]:
    """The factors of a stage that has begun, each at its two levels, with exact intervals of the failure rates."""
    state = stage.state
    if state is None:
        return []
    factors = stage.factors

    def name(each: FactorState) -> str:
        return factors[each.factor].name

    columns = (
        Column[FactorState]("factor", name),
        Column[FactorState]("failed as reported", lambda each: rate_words(each.as_reported)),
        Column[FactorState]("failed when changed", lambda each: rate_words(each.changed)),
        Column[FactorState]("cause", lambda each: probability_words(each.probability), number=True),
        Column[FactorState]("e", lambda each: e_words(each.ln_e), number=True),
        Column[FactorState]("", lambda each: standing(stage, each)),
    )
    return [line.rstrip() for line in table(columns, state.factors)]


def exit_code(has_answer: bool, view: RaceView) -> int:
    """0 if there is an answer, 4 if there is none, 130 if interrupted, 1 if kmon failed between the runs."""
    if view.ended is None or view.ended.interrupted:
        return INTERRUPTED
    if view.ended.broken:
        return 1
    return 0 if has_answer else UNDECIDED


def main(plan: RacePlan, keys: Keys, experiment: Experiment, subject: Subject, *, as_json: bool) -> int:
    """Isolate on a fresh event loop, writing to stdout."""
    reporter: Reporter = (IsolationJson if as_json else IsolationLines)(experiment, subject)

    async def isolate() -> RaceView:
        return await hosted_race(FedHost(host(plan, keys), experiment), reporter, sys.stdout)

    view = asyncio.run(isolate())
    return exit_code(answered(experiment), view)
