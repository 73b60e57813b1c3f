"""Prints an isolation: what is varied, a line per round, the table of factors, and the answer as one sentence."""

from __future__ import annotations

from collections.abc import Iterator

from kmon.engine.plan import Keys, RacePlan
from kmon.format import Column, table
from kmon.isolate.answer import answer, answered, e_words, rate_words
from kmon.isolate.experiment import Experiment
from kmon.isolate.factors import FACTORS
from kmon.isolate.stages import Stage
from kmon.isolate.standing import probability_words, standing
from kmon.isolate.subject import Subject
from kmon.output.fed_lines import RoundLines, exit_code, fed_race
from kmon.output.isolate_json import IsolationJson
from kmon.output.plan_notes import pass_words
from kmon.stats.isolation.state import FactorState

EXPLAINED = "(intervals: 95 %; cause: how likely it is one; e: the evidence, 1 is none, over 100 strong)"


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


def opening_lines(subject: Subject) -> Iterator[str]:
    """What is asked, and what is varied for it."""
    reported = subject.reported
    yield f"What makes {reported.target.name} fail with {reported.scenario.name}? Varied at random:"
    for factor in subject.factors:
        yield f"  {factor.mark:<10} {factor.words}  ->  {subject.changed(factor)}"
    yield from (f"  {note}" for note in plan_notes(subject))


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


def main(plan: RacePlan, keys: Keys, experiment: Experiment, subject: Subject, *, as_json: bool) -> int:
    """Isolate on a fresh event loop, writing to stdout."""
    lines = RoundLines(lambda: experiment.rounds, opening_lines(subject), lambda: "\n".join(closing_lines(experiment)))
    view = fed_race(plan, keys, experiment, IsolationJson(experiment, subject) if as_json else lines)
    return exit_code(answered(experiment), view)
