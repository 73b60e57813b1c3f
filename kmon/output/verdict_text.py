"""A verdict as text: pass rates, times, chances of chains of tool uses, comparisons and the conclusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from kmon.format import Column, TextLine, duration_words, listed, p_value, percent, plural, table
from kmon.output.latency_text import latency_lines
from kmon.stats.cause import factor_words
from kmon.stats.chains import USES, Basis
from kmon.stats.compare import Verdict
from kmon.stats.effect_words import point_words
from kmon.stats.pairs import Comparison
from kmon.stats.statistics import interval_words
from kmon.stats.summary import PASS_RATE, ArmFigures
from kmon.stats.survival import Percentile
from kmon.stats.thresholds import Decision

CHAIN_NOTES: dict[Basis, str] = {
    "chains": "(the chance that so many in a row go well, measured on chains as a whole)",
    "extrapolated": "(if independent: longer than any chain that was run, and later uses taken to be as good)",
    "independent": "(the chance that so many in a row go well, if each use fails independently of the others)",
}
"""What the chances in the table of chains rest on."""
DECISIONS: dict[Decision, str] = {"met": "met", "missed": "missed", "undecided": "undecided"}
COLUMNS_ABREAST = 4
"""Targets side by side in the table of chains; more go into another table below."""


def verdict_lines(verdict: Verdict) -> list[TextLine]:
    """The summary of a test: tables, comparisons, the conclusion, and last the thresholds. ASCII except names."""
    slower = latency_lines(verdict.latency, watched=verdict.watched)
    parts = [_rates(verdict.arms), _times(verdict.arms), slower, _chains(verdict.arms), _comparisons(verdict)]
    blocks = [[*part, TextLine("")] for part in parts if part]
    lines = [line for block in blocks for line in block]
    if verdict.duration_s:  # what was seen in minutes says little about a day
        lines.append(TextLine(f"Measured over {duration_words(verdict.duration_s)}."))
    lines.append(TextLine(f"Conclusion: {verdict.conclusion}"))
    if verdict.thresholds:
        lines.append(TextLine(""))
    return [*lines, *(TextLine(f"threshold {DECISIONS[of.decision]}: {of.sentence}") for of in verdict.thresholds)]


def _table(columns: Sequence[Column[ArmFigures]], arms: Sequence[ArmFigures]) -> list[TextLine]:
    return [TextLine(line.rstrip(), table=True) for line in table(columns, arms)] if arms else []


# -- how often ---------------------------------------------------------------------------------------------------------


def _failures(arm: ArmFigures) -> Iterator[str]:
    for outcome, count in arm.failures.items():
        yield f"{count} {outcome}"
    if arm.rate_limited:
        yield f"{arm.rate_limited} rate-limited (not counted)"
    if arm.not_asked:
        yield f"{arm.not_asked} never sent (not counted)"
    if arm.cancelled:
        yield f"{arm.cancelled} cancelled (not counted)"
    if arm.cut_short and arm.worst is not None and arm.best is not None:
        yield f"{arm.cut_short} cut short ({percent(arm.worst)}-{percent(arm.best)} % with them)"
    if arm.disturbed:
        yield f"{arm.disturbed} disturbed by this machine (not counted)"


def failures_of(arm: ArmFigures) -> str:
    """``4 hang-mid-stream, 1 rate-limited (not counted)``; ``none``."""
    return ", ".join(_failures(arm)) or "none"


TARGET = Column[ArmFigures]("target", lambda arm: arm.name)
FAILURES = Column[ArmFigures]("failures", failures_of)


def _rates(arms: Sequence[ArmFigures]) -> list[TextLine]:
    return _table((TARGET, PASS_RATE, FAILURES), arms)


# -- how fast ----------------------------------------------------------------------------------------------------------


def _percentile(percentile: Percentile) -> str:
    if percentile.seconds is None:
        return f"{percentile.n} of {percentile.needed}"
    digits = 2 if percentile.seconds >= 0.1 else 3
    return f"{'> ' if percentile.kind == 'above' else ''}{percentile.seconds:.{digits}f} s"


def _shown(arm: ArmFigures) -> tuple[Percentile, ...]:
    return (*arm.ttft_s, *arm.max_gap_s, *arm.duration_s[:2])


def _cell(at: int, arm: ArmFigures) -> str:
    return _percentile(_shown(arm)[at])


_TIMES = ("ttft p50", "ttft p90", "ttft p99", "gap p50", "gap p90", "gap p99", "total p50", "total p90")


def _times(arms: Sequence[ArmFigures]) -> list[TextLine]:
    """Percentiles of time to first token, longest gap and whole run; those that no arm has runs enough for are left
    out."""
    known = [at for at in range(len(_TIMES)) if any(_shown(arm)[at].seconds is not None for arm in arms)]
    if not known:
        return []
    columns = [Column[ArmFigures](_TIMES[at], partial(_cell, at), number=True) for at in known]
    shown = [_shown(arm)[at] for arm in arms for at in known]
    unknown = "n of m: too few for this percentile, which needs m" if any(p.seconds is None for p in shown) else ""
    above = (
        "> : the rest had not come by then" if any(p.kind == "above" and p.seconds is not None for p in shown) else ""
    )
    notes = "; ".join(filter(None, ("gap: longest silence after the first token", unknown, above)))
    return [*_table((TARGET, *columns), arms), TextLine(f"({notes})")]


# -- chains of uses ----------------------------------------------------------------------------------------------------


def _chains(arms: Sequence[ArmFigures]) -> list[TextLine]:
    shown = [arm for arm in arms if arm.compound]
    lines: list[TextLine] = []
    for start in range(0, len(shown), COLUMNS_ABREAST):
        columns = [Column[int]("tool uses", lambda at: str(USES[at]))]
        columns += [Column(arm.name, partial(_chain, arm)) for arm in shown[start : start + COLUMNS_ABREAST]]
        lines += [TextLine("")] if lines else []
        lines += [TextLine(line.rstrip(), table=True) for line in table(columns, range(len(USES)))]
    bases = {row.basis for arm in shown for row in arm.compound}
    notes = [TextLine(note) for basis, note in CHAIN_NOTES.items() if basis in bases]
    return [*lines, *notes]


def _chain(arm: ArmFigures, at: int) -> str:
    chance = arm.compound[at]
    words = f"{percent(chance.rate)} % ({interval_words(chance.interval)})"
    match chance.basis:
        case "chains":
            return f"{words}, {chance.chains_through} of {chance.chains} chains"
        case "extrapolated":
            return f"{words}, if independent"
        case "independent":
            return words


# -- pairs -------------------------------------------------------------------------------------------------------------

COMPARED = (
    Column[Comparison]("failed more often", lambda c: c.worse),
    Column[Comparison]("than", lambda c: c.better),
    Column[Comparison]("failed", lambda c: f"{c.worse_failed} of {c.worse_n} : {c.better_failed} of {c.better_n}"),
    Column[Comparison]("points more (95 %)", lambda c: point_words(c.difference, c.difference_interval)),
    Column[Comparison]("episodes", lambda c: f"{c.episodes_worse} : {c.episodes_better}" if c.clean_rounds else "-"),
)
P_VALUES = (
    Column[Comparison]("p (rounds)", lambda c: _p(c, c.p_rounds_holm)),
    Column[Comparison]("p (episodes)", lambda c: _p(c, c.p_holm) if c.clean_rounds else "-"),
)
DIFFER = Column[Comparison]("they differ in", lambda c: factor_words(c.factors))


def _p(pair: Comparison, corrected: float) -> str:
    """A pair that has to wait for the question has no p-value yet."""
    return "-" if not pair.asked and corrected >= 1 else p_value(corrected)


def _comparisons(verdict: Verdict) -> list[TextLine]:
    differing = (c for c in verdict.comparisons if c.difference)
    shown = sorted(differing, key=lambda c: (c.p_rounds_holm, c.p_rounds, c.p_holm, -c.difference))
    columns = (*COMPARED, *(() if verdict.watched else P_VALUES), DIFFER)
    lines = [TextLine(line.rstrip(), table=True) for line in table(columns, shown)] if shown else []
    if shown and verdict.watched:
        lines.append(
            TextLine("(no p-values: the test could be stopped by what it showed; the conclusion allows for that)")
        )
    elif shown:
        lines.append(TextLine(f"(p: {listed(sorted({_TESTS[c.test] for c in shown}))}{_correction(verdict)})"))
    if alike := len(verdict.comparisons) - len(shown):
        lines.append(TextLine(f"No difference in failures in {plural(alike, 'other pair' if shown else 'pair')}."))
    return lines


_TESTS = {"McNemar": "McNemar's exact test", "Fisher": "Fisher's exact test"}


def _correction(verdict: Verdict) -> str:
    """How the p-values allow for their number."""
    asked = sum(comparison.asked for comparison in verdict.comparisons)
    corrected = f", Holm's correction for {plural(asked, 'comparison')}" if asked > 1 else ""
    if asked == len(verdict.comparisons):
        return corrected
    return f"{corrected}; other pairs wait until the question is proven"
