"""The differences in time of a verdict as text: one block per pair of arms, one line per metric."""

from __future__ import annotations

from collections.abc import Iterator

from kmon.format import TextLine, p_value, plural
from kmon.stats.latency import Latency
from kmon.stats.latency_pairs import ALPHA, LatencyComparison, MetricName
from kmon.stats.latency_words import amount, difference_words, figure, without_contradictions

METRIC_NAMES: dict[MetricName, str] = {
    "worst-gap": "longest gap",
    "ttft": "first token",
    "duration": "duration",
    "tokens-per-s": "speed",
}


def latency_lines(latency: Latency, *, watched: bool = False) -> list[TextLine]:
    """What differs enough to be felt: proven, or seen in every round. Medians, rounds, difference, p-value.

    A ``watched`` race could be stopped by what it showed, so that its p-values are worth nothing and are left out.
    """
    shown: dict[tuple[str, str], list[LatencyComparison]] = {}
    for one in without_contradictions(latency.comparisons):
        if one.felt and (one.p_adjusted <= ALPHA or (one.rounds and one.slower_in == one.rounds)):
            shown.setdefault((one.slower, one.faster), []).append(one)
    lines: list[TextLine] = []
    for (slower, faster), found in shown.items():
        lines.append(TextLine(f"{slower} is slower than {faster} (medians, rounds, difference):"))
        lines += [TextLine("  " + ", ".join(_parts(one, watched=watched))) for one in found]
    return lines


def _parts(one: LatencyComparison, *, watched: bool) -> Iterator[str]:
    slower = figure(one.slower_median, cut=one.slower_median_cut)
    faster = amount(one.faster_median, one.metric, cut=one.faster_median_cut)
    yield f"{METRIC_NAMES[one.metric].ljust(11)} {slower} : {faster}"
    if one.rounds:
        yield f"in {one.slower_in} of {plural(one.rounds, 'round')}"
    if words := difference_words(one):
        yield f"by {words}"
    if not watched:
        yield f"corrected p {p_value(one.p_adjusted)}"
