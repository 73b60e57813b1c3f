"""What ``kmon selftest`` prints: the confusion matrix of faults and healthy twins against signatures."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import Struct

from kmon.output.selftest_bench import STALL_S, Bench, RowResult
from kmon.output.selftest_cases import Case

LEAST_RIGHT = 0.98
MOST_FLAGGED = 0.01
NOTHING = "nothing"


class Rates(Struct, frozen=True):
    """The two figures that decide: faults with their signature, and healthy twins with any signature."""

    faults: int
    right: int
    twins: int
    flagged: int
    unmeasured: int = 0
    """Cases with more disturbed runs than others."""

    @property
    def good(self) -> bool:
        return (
            not self.unmeasured
            and self.right >= LEAST_RIGHT * self.faults
            and self.flagged <= MOST_FLAGGED * self.twins
        )


def rates(rows: Sequence[RowResult[Case]]) -> Rates:
    """The rates over the runs of all rows."""
    faults = [row for row in rows if row.case.expects is not None]
    twins = [row for row in rows if row.case.expects is None]
    return Rates(
        sum(row.runs for row in faults),
        sum(row.right for row in faults),
        sum(row.runs for row in twins),
        sum(row.runs - row.right for row in twins),
        sum(row.unmeasured > row.runs for row in rows),
    )


def matrix(bench: Bench[Case], counted: Rates, *, speed: float) -> list[str]:
    """The matrix as lines: a row per case with each signature that kmon gave and its count.

    Empty columns are left out. A row with more than the expected signature is marked with "!".
    """
    rows = bench.rows
    width = max(len(row.case.name) for row in rows)
    wanted = max(len(row.case.expects or NOTHING) for row in rows)
    lines = [f"  {'fault or healthy twin'.ljust(width)}  {'kmon must say'.ljust(wanted)}  kmon said"]
    for row in rows:
        given = ", ".join(
            f"{name or NOTHING} {times}" for name, times in sorted(row.signatures.items(), key=lambda s: -s[1])
        )
        given += f"{', ' if given else ''}not measured {row.unmeasured}" if row.unmeasured else ""
        mark = " " if row.right == row.runs and row.unmeasured <= row.runs else "!"
        lines.append(f"{mark} {row.case.name.ljust(width)}  {(row.case.expects or NOTHING).ljust(wanted)}  {given}")
        lines += [f"    {name}: {evidence}" for name, evidence in row.evidence.items()]
    lines += [
        "",
        f"right signature: {counted.right} of {counted.faults} faults "
        f"({_share(counted.right, counted.faults):.2%}, at least {LEAST_RIGHT:.0%} wanted)",
        f"flagged: {counted.flagged} of {counted.twins} healthy twins "
        f"({_share(counted.flagged, counted.twins):.2%}, at most {MOST_FLAGGED:.0%} wanted)",
        f"stall threshold {STALL_S / speed:.2f} s; this program's own worst delay {bench.lag_ms / 1000:.2f} s; "
        f"{bench.disturbed} runs were made again because of such delays, whatever they had said",
    ]
    if counted.unmeasured:
        many = "1 case" if counted.unmeasured == 1 else f"{counted.unmeasured} cases"
        lines.append(f"{many} could not be told: this machine is too busy to measure them")
    return lines


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def as_object(bench: Bench[Case], counted: Rates) -> str:
    """The same as one JSON object."""
    rows = [
        {
            "case": row.case.name,
            "fault": row.case.fault,
            "expects": row.case.expects,
            "said": {name or NOTHING: times for name, times in row.signatures.items()},
            "right": row.right,
            "runs": row.runs,
            "unmeasured": row.unmeasured,
            "evidence": row.evidence,
        }
        for row in bench.rows
    ]
    return json.dumps(
        {
            "type": "selftest",
            "ok": counted.good,
            "right_rate": _share(counted.right, counted.faults),
            "flagged_rate": _share(counted.flagged, counted.twins),
            "untold": counted.unmeasured,
            "lag_ms": bench.lag_ms,
            "disturbed": bench.disturbed,
            "rows": rows,
        }
    )
