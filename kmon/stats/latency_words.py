"""The sentence about time in a conclusion: who is slower, by how much, in how many rounds, and whether it is proven."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kmon.format import p_equals, plural
from kmon.stats.cause import cause
from kmon.stats.latency import WAITS, Latency
from kmon.stats.latency_pairs import ALPHA, LatencyComparison, MetricName
from kmon.stats.pairs import Comparison
from kmon.stats.stand_out import StandOut

_VERBS: dict[MetricName, tuple[str, str]] = {
    "worst-gap": ("stood still for {} (longest gap of the median run)", "longer"),
    "ttft": ("gave its first token after {} (median)", "later"),
    "duration": ("took {} for its answer (median)", "longer"),
    "tokens-per-s": ("sent {} (median)", "slower"),
}
_SUPERLATIVES: dict[MetricName, str] = {"worst-gap": "the longest", "ttft": "the latest"}
_FEWEST_FOR_INTERVAL = 6
"""With fewer rounds the range of all of them is told instead of an interval."""
_RATIO_TOLD = 3
_FEWEST_SEEN = 3
"""Rounds from which on a difference that was seen in every one is told without proof."""


class TimesTold(NamedTuple):
    """Sentences about time, whether what they say is proven, and the cause; no ``text`` if there is nothing to say."""

    text: str = ""
    proven: bool = False
    cause: str = ""

    @property
    def with_cause(self) -> str:
        return f"{self.text}. {self.cause}" if self.cause else self.text


def times_told(latency: Latency, comparisons: Sequence[Comparison]) -> TimesTold:
    """The clearest difference in time that anybody would feel.

    A proven one, else one that is beyond chance, else one that was seen in every round. Waits come before the speed of
    the answer, an arm that stands out before its pairs, and then the largest ratio. ``comparisons`` tell in what the
    arms differ.
    """
    found: list[StandOut | LatencyComparison] = [*latency.stand_outs, *without_contradictions(latency.comparisons)]
    felt = [one for one in found if one.felt]
    proven, seen = [one for one in felt if one.proven], [one for one in felt if one.p_adjusted <= ALPHA]
    told = proven or seen or [one for one in felt if _every_round(one)]
    if not told:
        return TimesTold()
    clearest = min(told, key=lambda one: (one.metric not in WAITS, isinstance(one, LatencyComparison), 1 / _ratio(one)))
    words = _alone(clearest) if isinstance(clearest, StandOut) else _pair(clearest)
    text = ". ".join([words, *_proof(clearest)])
    return TimesTold(text, clearest.proven, next(iter(_causes(clearest, latency, comparisons)), ""))


def without_contradictions(comparisons: Sequence[LatencyComparison]) -> list[LatencyComparison]:
    """All but the speeds of arms whose answers came sooner nevertheless.

    Speed is measured over the whole run, so that a short answer, which is mostly the wait for its first token, looks
    slow beside a long one that takes more time.
    """
    longer = {(one.slower, one.faster) for one in comparisons if one.metric == "duration" and one.difference}
    return [one for one in comparisons if one.metric != "tokens-per-s" or (one.faster, one.slower) not in longer]


def amount(value: float, metric: MetricName, *, cut: bool = False) -> str:
    """``22 s``, ``over 60 s``, ``0.012 s``, ``85 tokens/s``: two digits that count."""
    return f"{figure(value, cut=cut)} {_unit(metric)}"


def figure(value: float, *, cut: bool = False) -> str:
    """``22``, ``over 60``: an amount without its unit."""
    number = f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}" if abs(value) >= 0.001 else "0"
    return f"{'over ' if cut else ''}{number}"


def difference_words(pair: LatencyComparison) -> str:
    """``23 s (95 %: 19 to 27 s)``, of fewer rounds than six ``15 to 33 s``, of runs cut off ``at least 15 s``."""
    if pair.difference is None or pair.low is None or pair.confidence is None:
        return ""
    span = _span(pair.low, pair.high, pair.metric)
    if pair.high is None or pair.rounds < _FEWEST_FOR_INTERVAL:
        return span
    return f"{amount(pair.difference, pair.metric)} ({min(pair.confidence, 0.95) * 100:.0f} %: {span})"


def _span(low: float, high: float | None, metric: MetricName) -> str:
    if high is None:
        return f"at least {amount(low, metric)}"
    ends = list(dict.fromkeys([figure(low), figure(high)]))
    return f"{' to '.join(ends)} {_unit(metric)}"


def _unit(metric: MetricName) -> str:
    return "tokens/s" if metric == "tokens-per-s" else "s"


def _every_round(one: StandOut | LatencyComparison) -> bool:
    seen = one.slowest_in if isinstance(one, StandOut) else one.slower_in
    return one.metric in WAITS and seen == one.rounds >= _FEWEST_SEEN


def _medians(one: StandOut | LatencyComparison) -> tuple[float, float]:
    return (one.median, one.next_median) if isinstance(one, StandOut) else (one.slower_median, one.faster_median)


def _ratio(one: StandOut | LatencyComparison) -> float:
    slower, faster = _medians(one)
    more, less = (faster, slower) if one.metric == "tokens-per-s" else (slower, faster)
    return more / max(less, 0.001)


def _times_as(one: StandOut | LatencyComparison) -> str:
    ratio = _ratio(one)
    if ratio < _RATIO_TOLD or one.metric == "tokens-per-s":
        return ""
    return f", {float(f'{ratio:.2g}'):.0f} times as long"


def _alone(one: StandOut) -> str:
    verb, _ = _VERBS[one.metric]
    did = verb.format(amount(one.median, one.metric, cut=one.median_cut))
    others = f"the other {one.arms - 1} at most {amount(one.next_median, one.metric, cut=one.next_median_cut)}"
    seen = f"{_SUPERLATIVES[one.metric]} of {one.arms} in {one.slowest_in} of {plural(one.rounds, 'round')}"
    by = f", by {_span(one.least, one.most, one.metric)}" if one.least is not None and one.least > 0 else ""
    evidence = f"({p_equals(one.p_adjusted)}, corrected for all comparisons)"
    return f"{one.arm} {did}, {others}: {seen}{by}{_times_as(one)} {evidence}"


def _pair(one: LatencyComparison) -> str:
    verb, slower = _VERBS[one.metric]
    did = verb.format(amount(one.slower_median, one.metric, cut=one.slower_median_cut))
    other = amount(one.faster_median, one.metric, cut=one.faster_median_cut)
    by = f", by {words}" if (words := difference_words(one)) else ""
    seen = f"{slower} in {one.slower_in} of {plural(one.rounds, 'round')}" if one.rounds else slower
    evidence = f"({p_equals(one.p_adjusted)}, corrected for all comparisons)"
    return f"{one.slower} {did}, {one.faster} {other}: {seen}{by}{_times_as(one)} {evidence}"


def _proof(one: StandOut | LatencyComparison) -> Iterable[str]:
    if one.proven:
        yield "Chance alone hardly explains that; a test at another hour tells whether it lasts"
    elif one.p_adjusted <= ALPHA:
        yield "Chance alone hardly explains that, but a slow spell of a few rounds may: spread the rounds with --over"
    elif one.more_rounds:
        yield f"This is not proven at 5 %; {plural(one.more_rounds, 'more round')} like these would prove it"
    else:
        yield "This is not proven at 5 %"


def _causes(one: StandOut | LatencyComparison, latency: Latency, comparisons: Sequence[Comparison]) -> Iterable[str]:
    """What a proven difference says about its cause, by the pairs that bear it.

    Of an arm that stands out these are its own pairs, corrected for their number only, and of them only those that
    differ in the fewest factors.
    """
    if not one.proven:
        return
    slower, others = (one.arm, one.arms - 1) if isinstance(one, StandOut) else (one.slower, 1)
    known = {frozenset((pair.worse, pair.better)): pair.factors for pair in comparisons}
    found = [
        (pair.faster, known[frozenset((slower, pair.faster))])
        for pair in latency.comparisons
        if (pair.slower, pair.metric) == (slower, one.metric)
        and (isinstance(one, StandOut) or pair.faster == one.faster)
        and pair.p * others <= ALPHA
        and frozenset((slower, pair.faster)) in known
    ]
    fewest = min((len(factors) for _, factors in found), default=0)
    if fewest:
        yield cause([(faster, factors) for faster, factors in found if len(factors) == fewest])
