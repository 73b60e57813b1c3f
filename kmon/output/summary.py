"""The table and the totals at the end of a race."""

from __future__ import annotations

from collections.abc import Sequence

from kmon.catalog.signatures import KMON_LATE
from kmon.dialects.unread_dialects import unread_words
from kmon.format import Column, plural
from kmon.format import table as table_lines
from kmon.output.lines import fallen_back
from kmon.stats.health import health_words
from kmon.stream.events import RunEnded
from kmon.stream.state import ASCII_SYMBOLS, SYMBOLS
from kmon.stream.view import RaceView

WHAT = "what happened"
WHAT_MIN_COLUMNS = 30
"""If fewer columns are left, what happened is on a separate line."""


def summary(race: RaceView, *, ascii_only: bool = False, columns: int | None = None) -> str:
    """Table and totals of every run that ended, in the order the runs were queued; empty if none ended.

    ``columns`` is the width of the terminal; None (a file, a pipe) does not limit lines.
    """
    results = race.results
    if not results:
        return ""
    parts = [table(results, ascii_only=ascii_only, columns=columns), "", totals(results), *health_lines(race)]
    return "\n".join(parts)


def health_lines(race: RaceView) -> list[str]:
    """A line per target and per alert; none if no target had a second stream, since the table says the same."""
    if all(health.streams < 2 for health in race.targets.values()):
        return []
    width = max(map(len, race.targets))
    healths = [f"{name.ljust(width)}  {health_words(health)}" for name, health in race.targets.items()]
    alerts = list(dict.fromkeys(f"ALERT {alert.sentence}" for alert in race.alerts))
    return ["", *healths, *alerts]


def table(results: Sequence[RunEnded], *, ascii_only: bool = False, columns: int | None = None) -> str:
    """One line per run, with aligned columns, durations in seconds, and what happened."""
    several = len({result.scenario for result in results}) > 1
    head, *lines = table_lines(run_columns(scenario=several, ascii_only=ascii_only), results)
    left = None if columns is None else columns - len(head) - 2
    happened = [_words(result) for result in results]
    if left is None or left >= WHAT_MIN_COLUMNS:
        rows = [f"{line}  {_cut(words, left)}".rstrip() for line, words in zip(lines, happened, strict=True)]
        return "\n".join([f"{head}  {WHAT}", *rows])
    below = [f"\n    {_cut(words, (columns or 0) - 4)}" if words else "" for words in happened]
    return "\n".join([head, *(line.rstrip() + words for line, words in zip(lines, below, strict=True))])


def run_columns(*, scenario: bool, ascii_only: bool) -> list[Column[RunEnded]]:
    """The columns of the table, except what happened. ``scenario`` adds its column."""
    symbols = ASCII_SYMBOLS if ascii_only else SYMBOLS
    found: list[Column[RunEnded] | None] = [
        Column("run", lambda run: run.run),
        Column("target", lambda run: run.target),
        Column("scenario", lambda run: run.scenario) if scenario else None,
        Column("state", lambda run: f"{symbols[run.state]} {run.state}"),
        Column("total s", lambda run: _seconds(run.duration_ms), number=True),
        Column("ttft s", lambda run: _seconds(run.ttft_ms), number=True),
        Column("max gap s", lambda run: _seconds(run.max_gap_ms), number=True),
        Column("stalls", lambda run: str(len(run.stalls)), number=True),
        Column("chunks", lambda run: str(run.chunks), number=True),
    ]
    return [column for column in found if column is not None]


def totals(results: Sequence[RunEnded]) -> str:
    """``3 of 4 runs ended well; 2 stalls, the longest silence 24.6 s (together, code-tools)``."""
    counted = [result for result in results if result.signature != KMON_LATE]
    ok = sum(result.state == "done" for result in counted)
    line = f"{ok} of {plural(len(counted), 'run')} ended well"
    stalls = sum(not stall.own for result in counted for stall in result.stalls)
    worst = max(counted, key=lambda result: _gap_ms(result) or 0.0, default=None)
    if worst is not None and (gap_ms := _gap_ms(worst)) is not None:
        line += f"; {plural(stalls, 'stall')}, the longest silence {gap_ms / 1000:.1f} s"
        line += f" ({worst.target}, {worst.scenario})"
    if disturbed := len(results) - len(counted):
        line += f"; {plural(disturbed, 'run')} disturbed by this machine, counted apart"
    return line


def _words(result: RunEnded) -> str:
    parts = []
    if result.error is not None and result.state != "timed-out":
        named = f"{result.signature}: " if result.signature else ""
        parts.append(named + " ".join(result.error.message.split())[:160])
    elif result.signature:
        parts.append(f"{result.signature}: {result.evidence}")
        if result.error is not None and result.error.code not in (
            None,
            "timeout_s",
        ):  # a limit of the user
            parts.append(result.error.message)
    elif result.finish_reason:
        parts.append(f"finish {result.finish_reason}")
    if result.unread:
        parts.append(unread_words(result.unread_dialect))
    if result.diagnosis:
        parts.append(result.diagnosis)
    if result.turns > 1:
        parts.append(f"{result.turns} turns, {plural(result.tool_results, 'tool result')}")
    if result.fallback_target:
        parts.append(fallen_back(result))
    if result.retries:
        parts.append(f"attempt {result.attempts}")
    if result.nudge:
        parts.append(f"[{result.nudge}]")
    return "; ".join(parts)


def _cut(words: str, columns: int | None) -> str:
    return words if columns is None or len(words) <= columns else words[: max(0, columns - 1)] + "…"


def _seconds(duration_ms: float | None) -> str:
    return "-" if duration_ms is None else f"{duration_ms / 1000:.2f}"


def _gap_ms(result: RunEnded) -> float | None:
    """The longest gap that this machine did not cause, in ms."""
    return result.max_gap_ms if result.others_gap_ms is None else result.others_gap_ms
