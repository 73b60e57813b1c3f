"""The conclusion of a verdict: what the figures show, with which evidence, and what they do not show.

The effect comes first: how much more often, with its interval and counts. Then how sure it is, then what it says about
the cause. Every comparison with the same evidence is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from kmon.format import duration_words, listed, p_equals, p_value, percent, plural
from kmon.stats.cause import cause
from kmon.stats.effect_words import Effect, effect_words, points
from kmon.stats.episode_words import NEITHER, OUTAGES, UNBROKEN, episodes_against, short_test
from kmon.stats.latency import Latency
from kmon.stats.latency_words import times_told
from kmon.stats.left_out import left_out, nothing_counts
from kmon.stats.pairs import Comparison
from kmon.stats.statistics import MORE_ROUNDS_LIMIT, clopper_pearson
from kmon.stats.summary import ArmFigures


def conclude(
    arms: Sequence[ArmFigures], comparisons: Sequence[Comparison], latency: Latency, duration_s: float = 0.0
) -> str:
    """The conclusion of a test whose number of rounds was fixed before it began; it took ``duration_s`` if known."""
    counted = [arm for arm in arms if arm.n]
    beside = left_out(arms)
    if not counted:
        return nothing_counts(arms)
    if not comparisons:
        return _alone(counted[0], [arm.name for arm in arms if not arm.n]) + beside
    times = times_told(latency, comparisons)
    if not any(arm.failed for arm in counted):
        unseen = _no_failure(counted)
        return (f"{times.with_cause}. {unseen[0].upper()}{unseen[1:]}" if times.text else unseen) + beside
    failures = _compared(comparisons, duration_s)
    if times.proven and not any(comparison.proven or comparison.seen for comparison in comparisons):
        return f"{times.with_cause}. By failures alone: {failures}{beside}"
    proven = any(comparison.proven for comparison in comparisons)  # the cause is told then, and once is enough
    slower = times.text if proven else times.with_cause
    return (f"{failures}. {slower}" if slower else failures) + beside


def _alone(arm: ArmFigures, others: Sequence[str]) -> str:
    passed = f"{arm.name} passed {arm.words}"
    if not arm.failed:
        return passed
    unsaid = "it does not tell whether the provider, the model or the request is the cause"
    alone = f"no run of {listed(others, 'or')} counts" if others else "nothing was raced beside it"
    return f"{passed}; {alone}, so {unsaid}"


def _no_failure(arms: Sequence[ArmFigures]) -> str:
    n = min(arm.n for arm in arms)
    unseen = percent(clopper_pearson(0, n).high)
    return f"no run failed; with {plural(n, 'run')} each, a failure rate of up to {unseen} % may go unseen (95 %)"


def _compared(comparisons: Sequence[Comparison], duration_s: float) -> str:
    span = f", over {duration_words(duration_s)}" if duration_s else ""
    asked = [comparison for comparison in comparisons if comparison.asked] or list(comparisons)
    lead = min(asked, key=_clarity)
    if lead.difference == 0:
        return _alike(asked)
    if lead.proven:
        told, others = _by_worse([c for c in comparisons if c.proven], lead)
        causes = cause([(comparison.better, comparison.factors) for comparison in told])
        sure = f"This is proven ({_p(told, asked)}): {_excluded(told)}{short_test(duration_s)}"
        text = f"{_effects(told, span)}. {sure}. {causes}"
        return f"{text}. Also proven: {_effects(others, span)}" if others else text
    if lead.seen:
        told, others = _by_worse([c for c in asked if c.seen], lead)
        text = f"{_effects(told, span, here=' while the test ran')}. {_not_lasting(lead, told, asked)}"
        return f"{text}. Also while the test ran: {_effects(others, span)}" if others else text
    tied = [c for c in asked if c.difference and _clarity(c)[:3] == _clarity(lead)[:3]]
    return f"{_effects(tied, span, here=' here')}. {_not_proven(lead, tied, asked)}"


def _clarity(pair: Comparison) -> tuple[bool, float, float, float, int]:
    """The order of comparisons: what is proven to last, then what was clearest while the test ran."""
    by_rounds, by_episodes = (pair.p_rounds_holm, pair.p_rounds), (pair.p_holm, pair.p)
    evidence = by_episodes if pair.proven else by_rounds
    return (not pair.proven, *evidence, -pair.difference, len(pair.factors))


def _by_worse(found: Sequence[Comparison], lead: Comparison) -> tuple[list[Comparison], list[Comparison]]:
    """Those in which the same arm is the worse one as in ``lead``, and all others."""
    return [c for c in found if c.worse == lead.worse], [c for c in found if c.worse != lead.worse]


def _effects(comparisons: Sequence[Comparison], span: str, *, here: str = "") -> str:
    effects = [
        Effect(
            worse=pair.worse,
            better=pair.better,
            worse_failed=pair.worse_failed,
            worse_n=pair.worse_n,
            better_failed=pair.better_failed,
            better_n=pair.better_n,
            interval=pair.difference_interval,
            evidence=f"{episodes_against(pair)}{span}",
        )
        for pair in comparisons
    ]
    return effect_words(effects, here=here)


def _alike(asked: Sequence[Comparison]) -> str:
    counts = {name: (failed, n) for pair in asked for name, failed, n in _sides(pair)}
    if len(set(counts.values())) == 1:
        failed, n = next(iter(counts.values()))
        alike = f"{listed(list(counts))} each failed {failed} of {n} runs"
    else:
        alike = listed([f"{name} failed {failed} of {n} runs" for name, (failed, n) in counts.items()])
    hidden = max(max(-pair.difference_interval.low, pair.difference_interval.high) for pair in asked)
    return f"no target failed more often than another: {alike}. A difference of {points(hidden)} may go unseen (95 %)"


def _sides(pair: Comparison) -> tuple[tuple[str, int, int], tuple[str, int, int]]:
    return (pair.worse, pair.worse_failed, pair.worse_n), (pair.better, pair.better_failed, pair.better_n)


def _p(told: Sequence[Comparison], asked: Sequence[Comparison]) -> str:
    """``p = 0.004, with 3 comparisons 0.012``: of the least certain comparison that is told."""
    least = max(told, key=lambda pair: (pair.p_holm, pair.p))
    return _corrected(least.p, least.p_holm, asked)


def _excluded(told: Sequence[Comparison]) -> str:
    """What does not explain proven differences. Runs of different rounds are compared by runs, not by episodes."""
    if any(pair.test == "Fisher" for pair in told):
        return "chance does not explain it"
    return (
        NEITHER if any(pair.clean_rounds for pair in told) else "neither chance nor outages, which hit both, explain it"
    )


def _corrected(p: float, p_holm: float, asked: Sequence[Comparison]) -> str:
    return p_equals(p) + (f", with {len(asked)} comparisons {p_value(p_holm)}" if len(asked) > 1 else "")


def _not_lasting(lead: Comparison, told: Sequence[Comparison], asked: Sequence[Comparison]) -> str:
    chance = f"Chance alone hardly explains that ({_corrected(lead.p_rounds, lead.p_rounds_holm, asked)})"
    if lead.unbroken:
        return f"{chance}. But {UNBROKEN}"
    why = f"counted by episodes {_p(told, asked)}, so {OUTAGES} may explain it"
    return f"{chance}, but that it lasts is not proven: {why}; {_needed(lead)}"


def _not_proven(lead: Comparison, tied: Sequence[Comparison], asked: Sequence[Comparison]) -> str:
    p = _corrected(lead.p_rounds, lead.p_rounds_holm, asked)
    return f"This is not proven: chance alone may explain it ({p}); {UNBROKEN if lead.unbroken else _needed(lead)}"


def _needed(pair: Comparison) -> str:
    if pair.test == "Fisher":
        return "race them in the same rounds to see more with fewer runs"
    if pair.more_rounds is None:
        return f"at these rates {MORE_ROUNDS_LIMIT} more rounds would not prove it"
    return f"at these rates about {plural(pair.more_rounds, 'more round')} would prove it"
