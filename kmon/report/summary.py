"""The table at the end of a race: what the field report had per run, with units that are right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kmon.probe.events import RunEnded
from kmon.probe.state import ASCII_SYMBOLS, SYMBOLS
from kmon.probe.view import RaceView

HEADINGS = ("run", "target", "scenario", "state", "total s", "ttft s", "max gap s", "stalls", "chunks", "what happened")
_NUMBERS = frozenset({"total s", "ttft s", "max gap s", "stalls", "chunks"})


def summary(race: RaceView, *, ascii_only: bool = False) -> str:
    """Table and totals of every run that ended, in the order the runs were queued; empty when none did."""
    results = race.results
    return f"{table(results, ascii_only=ascii_only)}\n\n{totals(results)}" if results else ""


def table(results: Sequence[RunEnded], *, ascii_only: bool = False) -> str:
    """One line per run, columns aligned, durations in seconds. Empty when nothing ended."""
    if not results:
        return ""
    rows = [HEADINGS, *(_row(result, ascii_only) for result in results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if heading in _NUMBERS else cell.ljust(width)
            for cell, width, heading in zip(row, widths, HEADINGS, strict=True)
        ).rstrip()
        for row in rows
    )


def totals(results: Sequence[RunEnded]) -> str:
    """``3 of 4 runs ended well; 2 stalls, the longest silence 24.6 s (together, code-tools)``."""
    ok = sum(result.state == "done" for result in results)
    line = f"{ok} of {len(results)} runs ended well"
    stalls = sum(len(result.stalls) for result in results)
    worst = max(results, key=lambda result: result.max_gap_ms or 0.0, default=None)
    if worst is not None and worst.max_gap_ms is not None:
        line += f"; {stalls} stall{'' if stalls == 1 else 's'}, the longest silence {worst.max_gap_ms / 1000:.1f} s"
        line += f" ({worst.target}, {worst.scenario})"
    return line


def _row(result: RunEnded, ascii_only: bool) -> tuple[str, ...]:
    symbol = (ASCII_SYMBOLS if ascii_only else SYMBOLS)[result.state]
    return (
        result.run,
        result.target,
        result.scenario,
        f"{symbol} {result.state}",
        f"{result.duration_ms / 1000:.2f}",
        _seconds(result.ttft_ms),
        _seconds(result.max_gap_ms),
        str(len(result.stalls)),
        str(result.chunks),
        " ".join(_words(result)),
    )


def _words(result: RunEnded) -> Iterable[str]:
    if result.signature:
        yield f"{result.signature}:"
    if result.error is not None and result.state != "timed-out":
        yield " ".join(result.error.message.split())[:160]
    elif result.signature:
        yield result.evidence
    elif result.finish_reason:
        yield f"finish {result.finish_reason}"
    if result.nudge:
        yield f"[{result.nudge}]"


def _seconds(duration_ms: float | None) -> str:
    return "-" if duration_ms is None else f"{duration_ms / 1000:.2f}"
