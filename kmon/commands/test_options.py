"""The flags of ``kmon test`` beyond those of any race: what they mean for the plan, and which are refused."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from kmon.commands.flags import seed_of
from kmon.engine.plan import RacePlan, Row
from kmon.errors import UsageError
from kmon.findings.tool_call import unjudgeable
from kmon.output.experiment import Design, Experiment
from kmon.output.github import summary_path
from kmon.output.junit import check_writable
from kmon.output.plan_notes import plan_notes
from kmon.output.saved_test import Saved, TestFile, read_saved
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.thresholds import Thresholds

LONGEST_S = 86_400
LONGEST_OVER_S = 30 * 86_400
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?\Z")


@dataclass(frozen=True)
class PreparedTest:
    """A test that is ready to start. ``notes`` are told before the first request."""

    plan: RacePlan
    experiment: Experiment
    notes: list[str]
    file: TestFile | None
    junit: Path | None
    summary: Path | None


def duration_s(text: str) -> float:
    """``6h``, ``90m``, ``1h30m``, ``45s`` in seconds."""
    found = _DURATION.match(text)
    if not text or found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no duration; write hours, minutes or seconds: 6h, 90m, 1h30m, 45s"
        )
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3_600 + minutes * 60 + seconds


def prepared_test(race: RacePlan, options: argparse.Namespace) -> PreparedTest:
    """The test that the flags describe. Raises :class:`UsageError`; nothing has been sent by then."""
    plan = replace(
        race,
        rows=tuple(_limited(row, options) for row in race.rows),
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
    saved = None if options.resume is None else read_saved(Path(options.resume), plan)
    earlier_rounds = 0 if saved is None else max((trial.round for trial in saved.trials), default=0)
    plan = replace(plan, first_round=earlier_rounds + 1)
    design = Design(
        thresholds=thresholds,
        new_watch=_new_watch(plan, options, saved),
        stops=options.until_proven,
        earlier=() if saved is None else tuple(saved.trials),
        earlier_s=0.0 if saved is None else max(0.0, time.time() - saved.since_unix_s),
    )
    file = _file(options, saved)
    experiment = Experiment(plan, design, file=file)
    notes = plan_notes(plan, thresholds, experiment.plan_line.fingerprint, earlier_rounds=earlier_rounds)
    notes += [saved.note] if saved is not None and saved.note else []
    return PreparedTest(plan, experiment, notes, file, junit, summary)


def _limited(row: Row, options: argparse.Namespace) -> Row:
    """The row with the limits that the flags set."""
    flags = {"max_gap_s": options.pass_max_gap, "ttft_s": options.pass_ttft, "duration_s": options.pass_duration}
    given = {name: value for name, value in flags.items() if value is not None}
    return Row(row.target, replace(row.scenario, limits=replace(row.scenario.limits, **given)))


def _new_watch(plan: RacePlan, options: argparse.Namespace, saved: Saved | None) -> Callable[[], SequentialTest] | None:
    """The sequential test of a race that may stop early, or of a test that is continued."""
    cells, rate = [(row.target, row.scenario) for row in plan.rows], options.pass_rate
    if not options.until_proven:
        if saved is None or not saved.trials:
            return None
        rate = options.fail_under if options.fail_under and options.fail_under < 1 else None
        if rate is None and len(cells) < 2:
            return None
    SequentialTest(cells, pass_rate=rate)  # raises for what cannot be proven
    return lambda: SequentialTest(cells, pass_rate=rate)


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
        ("--pass-max-gap", options.pass_max_gap, LONGEST_S),
        ("--pass-ttft", options.pass_ttft, LONGEST_S),
        ("--pass-duration", options.pass_duration, LONGEST_S),
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
