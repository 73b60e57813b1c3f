"""The file of a test: the plan, then a line per run as it ends. ``kmon test --resume`` goes on with it.

Its lines are ``test_plan`` and ``test_outcome``, as ``--json`` prints them among its others, so that the output of
``--json`` is such a file as well. A line is written at once, so that an interrupted test loses the line that was being
written at most.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from kmon.catalog.reading import UnreadableError, read_regular
from kmon.engine.fingerprint import differences, fingerprint, parts_of
from kmon.engine.plan import RacePlan
from kmon.errors import UsageError
from kmon.model import PassLimits
from kmon.stats.budget import Budget
from kmon.stats.question import Question
from kmon.stats.trial import Trial

LIMIT_BYTES = 256 << 20


class TestPlan(Struct, frozen=True, tag="test_plan", tag_field="type"):
    """The plan of a test. ``fingerprint`` is the SHA-256 of ``parts``; ``unix_s`` is the wall clock at its start."""

    __test__ = False

    fingerprint: str
    parts: dict[str, str]
    limits: dict[str, PassLimits]
    """By scenario, how long a run may take and still pass, in s; what is absent is not limited."""
    rounds: int
    spacing_s: float
    over_s: float | None
    unix_s: float
    question: Question | None = None
    """What the test was made to compare; None for all pairs."""
    budget: Budget | None = None
    """What its rounds can prove."""


class PrintedOutcome(Struct, frozen=True, tag="test_outcome", tag_field="type"):
    """The outcome of one run. The fields after ``sentence`` are those of a :class:`~kmon.stats.trial.Trial`, in s."""

    run: str
    target: str
    scenario: str
    round: int
    outcome: str
    passed: bool
    counted: bool
    sentence: str
    ttft_s: float | None = None
    max_gap_s: float | None = None
    duration_s: float = 0.0
    tool_uses: int | None = None
    started_s: float = 0.0
    cut_short: bool = False
    chain_steps: int | None = None


class Saved(NamedTuple):
    """What a file of a test holds."""

    trials: Sequence[Trial]
    since_unix_s: float
    """When the test began, by the wall clock."""
    keep_bytes: int
    """Length of the file without a damaged last line."""
    note: str = ""
    """That the last line is damaged, as a sentence."""


class _Type(Struct):
    type: str = ""


def test_plan(
    plan: RacePlan, unix_s: float, question: Question | None = None, budget: Budget | None = None
) -> TestPlan:
    """The plan as it is printed and saved."""
    parts = parts_of(plan, question)
    limits = {row.scenario.name: row.scenario.limits for row in plan.rows}
    return TestPlan(
        fingerprint=fingerprint(parts),
        parts=parts,
        limits=limits,
        rounds=plan.rounds,
        spacing_s=plan.spacing_s,
        over_s=plan.over_s,
        unix_s=unix_s,
        question=question,
        budget=budget,
    )


def printed(run: str, trial: Trial) -> PrintedOutcome:
    """The line of a run."""
    shared = {name: value for name, value in asdict(trial).items() if name in PrintedOutcome.__struct_fields__}
    return PrintedOutcome(run=run, passed=trial.outcome == "pass", counted=trial.counted, **shared)


def read_saved(path: Path, plan: RacePlan, question: Question | None = None) -> Saved:
    """The runs of the test in a file. Raises :class:`UsageError` if it holds no test, or one of another plan."""
    try:
        data = read_regular(path, LIMIT_BYTES)
    except UnreadableError as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    if data is None:
        raise UsageError(f"there is no file {path} to resume; --save {path} begins one")
    lines = data.split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    keep_bytes = len(data)
    first: TestPlan | None = None
    trials: list[Trial] = []
    note = ""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            kind = msgspec.json.decode(line, type=_Type).type
            if kind == "test_plan":
                first, trials = msgspec.json.decode(line, type=TestPlan), []
            elif kind == "test_outcome":
                trials.append(msgspec.json.decode(line, type=Trial))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if number < len(lines):
                raise UsageError(f"{path}, line {number}: this is no line of a test ({error})") from None
            note = f"the last line of {path} is damaged, so its run is lost; the rest was read"
            keep_bytes = sum(len(before) + 1 for before in lines[:-1])
    if first is None:
        raise UsageError(f"{path} holds no test; kmon test --save {path} writes one")
    if differ := differences(first.parts, parts_of(plan, question)):
        raise UsageError(f"{path} is the test of another plan: {differ}; resume it with its own, or save a new one")
    return Saved(trials, first.unix_s, keep_bytes, note)


class TestFile:
    """A file of a test, open for writing: a new one, or with ``saved`` the one that is continued.

    Raises :class:`UsageError` where it cannot be opened, and for a new one that exists.
    """

    __test__ = False

    def __init__(self, path: Path, saved: Saved | None = None) -> None:
        self._path, self._new, self._written = path, saved is None, False
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL if saved is None else 0)
        try:
            self._fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
            if saved is not None and saved.keep_bytes:
                os.ftruncate(self._fd, saved.keep_bytes)
                if os.pread(self._fd, 1, saved.keep_bytes - 1) != b"\n":
                    os.write(self._fd, b"\n")
        except FileExistsError:
            raise UsageError(f"{path} exists; go on with it by --resume {path}, or name another file") from None
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None

    def write(self, line: TestPlan | PrintedOutcome) -> None:
        """Append a line, whole: one system call."""
        self._written = True
        os.write(self._fd, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close it. A new file of a test that never began is removed."""
        os.close(self._fd)
        if self._new and not self._written:
            self._path.unlink(missing_ok=True)
