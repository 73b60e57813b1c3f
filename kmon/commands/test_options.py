"""The flags of ``kmon test`` beyond those of any race: what they mean for the plan, and which are refused."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from kmon.catalog.resolve import CONTROL
from kmon.commands.check_flags import on_simulator
from kmon.commands.flags import seed_of
from kmon.commands.pass_limits import given_limits, limited
from kmon.engine.plan import RacePlan, Row
from kmon.engine.selection import TEST_DEMO, check_cost
from kmon.errors import UsageError
from kmon.findings.tool_call import unjudgeable
from kmon.output.experiment import Design, Experiment
from kmon.output.github import summary_path
from kmon.output.junit import check_writable
from kmon.output.plan_notes import plan_notes
from kmon.output.saved_test import Saved, TestFile, read_saved
from kmon.stats.budget import USUAL_ROUNDS, Budget, Goal, budget_of, check_budget, check_own, own_rounds
from kmon.stats.question import Question, question_of
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.thresholds import Thresholds
from kmon.stats.trial import Arm

LONGEST_S = 86_400
LONGEST_OVER_S = 30 * 86_400


@dataclass(frozen=True)
class PreparedTest:
    """A test that is ready to start. ``notes`` are told before the first request."""

    plan: RacePlan
    experiment: Experiment
    notes: list[str]
    file: TestFile | None
    junit: Path | None
    summary: Path | None


def prepared_test(race: RacePlan, options: argparse.Namespace) -> PreparedTest:
    """The test that the flags describe. Raises :class:`UsageError`; nothing has been sent by then."""
    plan = replace(
        race,
        rows=tuple(Row(row.target, limited(row.scenario, options)) for row in race.rows),
        order_seed=seed_of(options),
        nonce=not options.no_nonce,
        spacing_s=options.spacing,
        over_s=options.over,
        per_target=options.per_target,
    )
    for row in plan.rows:
        if problem := unjudgeable(row.scenario):
            raise UsageError(problem)
    junit = None if options.junit is None else Path(options.junit)
    if junit is not None:
        check_writable(junit)
    summary = summary_path(os.environ) if options.github else None
    thresholds = Thresholds(fail_under=options.fail_under, max_stall_s=options.max_stall, max_ttft_s=options.max_ttft)
    question = _question(plan, options)
    saved = None if options.resume is None else read_saved(Path(options.resume), plan, question)
    earlier_rounds = 0 if saved is None else max((trial.round for trial in saved.trials), default=0)
    budget = _budget(plan, question, options, earlier_rounds)
    plan = replace(plan, first_round=earlier_rounds + 1, rounds=budget.rounds - earlier_rounds)
    check_cost(plan, max_requests=options.max_requests, max_tokens=options.max_tokens)
    design = Design(
        thresholds=thresholds,
        new_watch=_new_watch(plan, options, saved, question),
        stops=options.until_proven,
        earlier=() if saved is None else tuple(saved.trials),
        earlier_s=0.0 if saved is None else max(0.0, time.time() - saved.since_unix_s),
        question=question,
        budget=budget,
    )
    file = _file(options, saved)
    experiment = Experiment(plan, design, file=file)
    notes = plan_notes(plan, thresholds, experiment.plan_line, earlier_rounds=earlier_rounds)
    notes += [saved.note] if saved is not None and saved.note else []
    return PreparedTest(plan, experiment, notes, file, junit, summary)


def _question(plan: RacePlan, options: argparse.Namespace) -> Question | None:
    """The declared question; without one that of the demonstration, or about the target whose ``@control`` is raced."""
    controls = _control_names(options)
    suspect = options.suspect
    if suspect is None and not controls:
        if plan.simulated and plan.targets == TEST_DEMO.targets:
            suspect = TEST_DEMO.suspect
        else:
            controlled = [name for name in plan.targets if f"{name}{CONTROL}" in plan.targets]
            suspect = controlled[0] if len(controlled) == 1 else None
    return question_of(plan.targets, suspect, controls)


def _control_names(options: argparse.Namespace) -> list[str]:
    return [name.strip() for names in options.control or () for name in names.split(",") if name.strip()]


def name_raced(options: argparse.Namespace) -> None:
    """Race the suspect and its controls if they are named and no target is."""
    if options.suspect is not None and not (options.targets or options.base_url or on_simulator(options)):
        options.targets = list(dict.fromkeys([options.suspect, *_control_names(options)]))


def _budget(plan: RacePlan, question: Question | None, options: argparse.Namespace, earlier_rounds: int) -> Budget:
    """What all rounds together can prove. Without ``--count`` a watched test has as many as it needs.

    Raises :class:`UsageError` for a number of rounds that was given and can never prove what the test is to prove.
    """
    arms = tuple(dict.fromkeys(Arm(row.target.name, row.scenario.name) for row in plan.rows))
    watched = options.until_proven or earlier_rounds > 0
    goal = Goal(arms=arms, question=question, watched=watched, pass_rate=options.pass_rate)
    if not options.until_proven:
        return budget_of(goal, earlier_rounds + (options.rounds or USUAL_ROUNDS))
    SequentialTest([(row.target, row.scenario) for row in plan.rows], pass_rate=options.pass_rate)  # raises
    own = own_rounds(goal)
    if options.rounds is None:
        check_own(own)
    budget = budget_of(goal, earlier_rounds + (options.rounds or max(USUAL_ROUNDS, own - earlier_rounds)))
    check_budget(budget, own)
    return budget


def _new_watch(
    plan: RacePlan, options: argparse.Namespace, saved: Saved | None, question: Question | None
) -> Callable[[], SequentialTest] | None:
    """The sequential test of a race that may stop early, or of a test that is continued."""
    cells, rate = [(row.target, row.scenario) for row in plan.rows], options.pass_rate
    if not options.until_proven:
        if saved is None or not saved.trials:
            return None
        if len(cells) < 2:  # of several targets the differences are the question, and the thresholds tell the rates
            rate = options.fail_under if options.fail_under and options.fail_under < 1 else None
            if rate is None:
                return None
    SequentialTest(cells, pass_rate=rate, question=question)  # raises for what cannot be proven
    return lambda: SequentialTest(cells, pass_rate=rate, question=question, stops=options.until_proven)


def _file(options: argparse.Namespace, saved: Saved | None) -> TestFile | None:
    if saved is not None:
        return TestFile(Path(options.resume), saved)
    return None if options.save is None else TestFile(Path(options.save))


def check_test(options: argparse.Namespace) -> None:
    """Raise :class:`UsageError` for flags that are out of bounds or contradict each other."""
    for flag, value, high in (
        ("--fail-under", options.fail_under, 1),
        ("--max-stall", options.max_stall, LONGEST_S),
        ("--max-ttft", options.max_ttft, LONGEST_S),
        *((flag, value, LONGEST_S) for flag, value in given_limits(options)),
        ("--spacing", options.spacing, 3_600),
    ):
        if value is not None and not 0 <= value <= high:
            raise UsageError(f"{flag} must be from 0 to {high}, not {value:g}")
    if options.over is not None and not 0 < options.over <= LONGEST_OVER_S:
        raise UsageError(f"--over must be above 0 s and at most {LONGEST_OVER_S // 3_600}h")
    if options.per_target < 1:
        raise UsageError(f"--per-target must be 1 or more, not {options.per_target}")
    if options.pass_rate is not None and not options.until_proven:
        raise UsageError("--pass-rate needs --until-proven; to fail under a rate use --fail-under")
    if options.github and options.json:
        raise UsageError("--github writes annotations between the lines of --json; leave one of the two out")
