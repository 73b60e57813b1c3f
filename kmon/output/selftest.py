"""``kmon selftest``: the confusion matrix of faults and healthy twins against signatures, and its exit code."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from kmon.catalog.errors import UsageError
from kmon.output.selftest_bench import STALL_S, Bench, RowResult, run_bench
from kmon.output.selftest_cases import cases

LEAST_RIGHT = 0.98
MOST_FLAGGED = 0.01
CONCURRENCY = 128
SPEED_LIMIT = 20.0
"""Above it, the stall threshold would be as short as the delays of a busy machine."""
NOTHING = "nothing"


class Rates(Struct, frozen=True):
    """The two figures that decide: faults with their signature, and healthy twins with any signature."""

    faults: int
    right: int
    twins: int
    flagged: int

    @property
    def good(self) -> bool:
        return self.right >= LEAST_RIGHT * self.faults and self.flagged <= MOST_FLAGGED * self.twins


def rates(rows: Sequence[RowResult]) -> Rates:
    """The rates over the runs of all rows."""
    faults = [row for row in rows if row.case.expects is not None]
    twins = [row for row in rows if row.case.expects is None]
    return Rates(
        sum(row.runs for row in faults),
        sum(row.right for row in faults),
        sum(row.runs for row in twins),
        sum(row.runs - row.right for row in twins),
    )


def main(*, seeds: int, speed: float, as_json: bool, output: str | None = None) -> int:
    """Run the self-test, print the matrix, and write it to the file ``output`` if it is given.

    Returns 0 if the rates are good, 1 if not, 3 if ``output`` could not be written. Raises UsageError.
    """
    if not 1 <= seeds <= 1_000:
        raise UsageError(f"--seeds must be from 1 to 1000, not {seeds}")
    if not 0 < speed <= SPEED_LIMIT:
        raise UsageError(f"--speed must be above 0 and at most {SPEED_LIMIT:g}, not {speed:g}")
    if output is not None:
        _writable(Path(output))
    bench = asyncio.run(run_bench(cases(), seeds=seeds, speed=speed, concurrency=CONCURRENCY))
    counted = rates(bench.rows)
    print(as_object(bench, counted) if as_json else "\n".join(matrix(bench, counted, speed=speed)))
    try:
        if output is not None:
            Path(output).write_text(as_object(bench, counted) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"kmon: --output {output}: the matrix could not be kept ({error.strerror})", file=sys.stderr)
        return 3
    return 0 if counted.good else 1


def _writable(path: Path) -> None:
    """Raise UsageError for a file that cannot be written, before the minutes of the run."""
    try:
        path.touch()
    except OSError as error:
        raise UsageError(f"--output {path}: cannot be written ({error.strerror}); name another file") from None


def matrix(bench: Bench, counted: Rates, *, speed: float) -> list[str]:
    """The matrix as lines: a row per case with each signature that kmon gave and its count.

    Empty columns are left out. A row with more than the expected signature is marked with "!".
    """
    rows = bench.rows
    width = max(len(row.case.name) for row in rows)
    wanted = max(len(row.case.expects or NOTHING) for row in rows)
    lines = [f"  {'fault or healthy twin'.ljust(width)}  {'kmon must say'.ljust(wanted)}  kmon said"]
    for row in rows:
        said = ", ".join(f"{name or NOTHING} {times}" for name, times in sorted(row.said.items(), key=lambda s: -s[1]))
        mark = " " if row.right == row.runs else "!"
        lines.append(f"{mark} {row.case.name.ljust(width)}  {(row.case.expects or NOTHING).ljust(wanted)}  {said}")
        lines += [f"    {name}: {evidence}" for name, evidence in row.evidence.items()]
    lines += [
        "",
        f"right signature: {counted.right} of {counted.faults} faults "
        f"({counted.right / counted.faults:.2%}, at least {LEAST_RIGHT:.0%} wanted)",
        f"flagged: {counted.flagged} of {counted.twins} healthy twins "
        f"({counted.flagged / counted.twins:.2%}, at most {MOST_FLAGGED:.0%} wanted)",
        f"stall threshold {STALL_S / speed:.2f} s; this program's own worst delay {bench.lag_ms / 1000:.2f} s; "
        f"{bench.disturbed} runs were made again because of such delays, whatever they had said",
    ]
    return lines


def as_object(bench: Bench, counted: Rates) -> str:
    """The same as one JSON object."""
    rows = [
        {
            "case": row.case.name,
            "fault": row.case.fault,
            "expects": row.case.expects,
            "said": {name or NOTHING: times for name, times in row.said.items()},
            "right": row.right,
            "runs": row.runs,
            "evidence": row.evidence,
        }
        for row in bench.rows
    ]
    return json.dumps(
        {
            "type": "selftest",
            "ok": counted.good,
            "right_rate": counted.right / counted.faults,
            "flagged_rate": counted.flagged / counted.twins,
            "lag_ms": bench.lag_ms,
            "disturbed": bench.disturbed,
            "rows": rows,
        }
    )
