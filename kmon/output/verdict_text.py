"""A verdict on paper: who passes how often, how fast, what a chain of uses would do, and what is proven."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kmon.stats.compare import Verdict
from kmon.stats.format import interval_words, listed, p_words, percent
from kmon.stats.pairs import Comparison
from kmon.stats.summary import USES, ArmFigures
from kmon.stats.survival import Percentile

COLUMNS_ABREAST = 4
"""So many targets stand side by side in the table of chains; more get another table below."""

Row = tuple[str, ...]


def verdict_text(verdict: Verdict) -> str:
    """The summary of a test: tables, comparisons, and the conclusion as its last line. ASCII but for the names."""
    parts = [_rates(verdict.arms), _times(verdict.arms), _chains(verdict.arms), _comparisons(verdict)]
    return "\n\n".join([*(part for part in parts if part), f"Conclusion: {verdict.conclusion}"])


def _rates(arms: Sequence[ArmFigures]) -> str:
    rows = [(arm.name, arm.words, ", ".join(_failures(arm)) or "none") for arm in arms]
    return _table(("target", "pass rate (95 %)", "failures"), rows) if rows else ""


def _failures(arm: ArmFigures) -> Iterable[str]:
    for outcome, count in arm.failures.items():
        yield f"{count} {outcome}"
    if arm.rate_limited:
        yield f"{arm.rate_limited} rate-limited (not counted)"
    if arm.not_asked:
        yield f"{arm.not_asked} never sent (not counted)"
    if arm.cancelled:
        yield f"{arm.cancelled} cancelled (not counted)"
    if arm.disturbed:
        yield f"{arm.disturbed} disturbed by this machine (not counted)"


def _times(arms: Sequence[ArmFigures]) -> str:
    heading = ("target", "ttft p50", "p90", "p99", "max gap p50", "p90", "p99", "duration p50", "p90")
    rows = [(arm.name, *map(_percentile, (*arm.ttft_s, *arm.max_gap_s, *arm.duration_s[:2]))) for arm in arms]
    if not rows:
        return ""
    refused = any("of" in cell for row in rows for cell in row[1:])
    note = "\n(n of m: a percentile that needs m observations and has n; > : so many never came)" if refused else ""
    return _table(heading, rows, numbers=True) + note


def _percentile(percentile: Percentile) -> str:
    if percentile.seconds is None:
        return f"{percentile.n} of {percentile.needed}"
    digits = 2 if percentile.seconds >= 0.1 else 3
    return f"{'> ' if percentile.kind == 'above' else ''}{percentile.seconds:.{digits}f} s"


def _chains(arms: Sequence[ArmFigures]) -> str:
    tables = list(_chain_tables(arms))
    note = "(the chance that so many in a row go well, if each goes as these runs did and none minds the others)"
    return "\n".join(["\n\n".join(tables), note]) if tables else ""


def _chain_tables(arms: Sequence[ArmFigures]) -> Iterable[str]:
    shown = [arm for arm in arms if arm.compound]
    for start in range(0, len(shown), COLUMNS_ABREAST):
        abreast = shown[start : start + COLUMNS_ABREAST]
        rows = [(str(uses), *(_chain(arm, at) for arm in abreast)) for at, uses in enumerate(USES)]
        yield _table(("tool uses", *(arm.name for arm in abreast)), rows)


def _chain(arm: ArmFigures, at: int) -> str:
    chance = arm.compound[at]
    words = f"{percent(chance.rate)} % ({interval_words(chance.interval)})"
    if chance.chains_through is None:
        return words
    return f"{words}, measured {chance.chains_through} of {chance.chains}"


def _comparisons(verdict: Verdict) -> str:
    told = [c for c in verdict.comparisons if c.p < 1 or c.ttft_p_holm <= 0.05]
    rows = [_comparison(c) for c in sorted(told, key=lambda c: (c.p_holm, c.p))]
    heading = ("fails more", "than", "failed", "alone", "p", "after Holm", "ttft p after Holm", "they differ in")
    lines = [_table(heading, rows)] if rows else []
    if alike := len(verdict.comparisons) - len(told):
        lines.append(f"No difference at all in {alike}{' other' if rows else ''} pair{'' if alike == 1 else 's'}.")
    if verdict.watched and verdict.comparisons:
        lines.append("The race could be stopped by what it showed: the conclusion allows for that, p-values do not.")
    return "\n".join(lines)


def _comparison(c: Comparison) -> Row:
    alone = "-" if c.only_worse is None else f"{c.only_worse} : {c.only_better}"
    return (
        c.worse,
        c.better,
        f"{c.worse_failed} of {c.worse_n} : {c.better_failed} of {c.better_n}",
        alone,
        f"{p_words(c.p)} ({c.test})",
        p_words(c.p_holm),
        p_words(c.ttft_p_holm),
        listed(c.factors),
    )


def _table(heading: Row, rows: Sequence[Row], *, numbers: bool = False) -> str:
    """Columns aligned by spaces; with ``numbers`` all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if numbers and at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heading, *rows)
    )
