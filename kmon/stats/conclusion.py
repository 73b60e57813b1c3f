"""The concluding sentence of a verdict: what the figures show, with which evidence, and what they do not show."""

from __future__ import annotations

from collections.abc import Sequence

from kmon.format import listed, p_equals, p_value, percent, plural
from kmon.stats.episode_words import episodes_against, seen_words
from kmon.stats.pairs import Comparison, Factor
from kmon.stats.statistics import MORE_ROUNDS_LIMIT, clopper_pearson
from kmon.stats.summary import ArmFigures


def conclude(arms: Sequence[ArmFigures], comparisons: Sequence[Comparison]) -> str:
    """The sentence for a test whose number of rounds was fixed before it began."""
    counted = [arm for arm in arms if arm.n]
    limited = sum(arm.rate_limited for arm in arms)
    disturbed = sum(arm.disturbed for arm in arms)
    left_out = f"; {plural(limited, 'rate-limited run')} left out" if limited else ""
    left_out += f"; {plural(disturbed, 'run')} disturbed by this machine left out" if disturbed else ""
    if not counted:
        return f"nothing was measured: no run counts{left_out}"
    if not comparisons:
        return _alone(counted[0]) + left_out
    if not any(arm.failed for arm in counted):
        n = min(arm.n for arm in counted)
        hidden = f"{n} runs each leave room for up to {percent(clopper_pearson(0, n).high)} % of failures (95 %)"
        return f"no run failed, so there is no difference to explain; {hidden}{left_out}"
    return _pair(min(comparisons, key=_clarity), comparisons) + left_out


def _clarity(pair: Comparison) -> tuple[bool, float, float, int]:
    """The order of comparisons: what is proven to last, then what was clearest while the test ran."""
    by_rounds, by_episodes = (pair.p_rounds_holm, pair.p_rounds), (pair.p_holm, pair.p)
    return (not pair.proven, *(by_episodes if pair.proven else by_rounds), len(pair.factors))


def cause(factors: Sequence[Factor]) -> str:
    """What a proven difference between two arms that differ in ``factors`` says about its cause."""
    if len(factors) == 1:
        return _isolated(factors[0], "between the two")
    if not factors:
        return "it does not tell what the cause is"
    return f"it does not tell whether {listed([f'the {factor}' for factor in factors], 'or')} is the cause"


def _isolated(factor: Factor, where: str) -> str:
    s = "" if factor == "tools" else "s"
    return f"only the {factor} differ{s} {where}, so the {factor} play{s} a part"


def _alone(arm: ArmFigures) -> str:
    if not arm.failed:
        return f"{arm.name} passes {arm.words}"
    unsaid = "it does not tell whether the provider, the model or the request is the cause"
    return f"{arm.name} passes {arm.words}; nothing was raced beside it, so {unsaid}"


def _pair(pair: Comparison, comparisons: Sequence[Comparison]) -> str:
    counts = f"{pair.worse_failed} of {pair.worse_n} against {pair.better_failed} of {pair.better_n}"
    corrected = f", after Holm {p_value(pair.p_holm)}" if len(comparisons) > 1 else ""
    evidence = f"({counts}{episodes_against(pair)}, {pair.test} {p_equals(pair.p)}{corrected})"
    if pair.worse_failed * pair.better_n == pair.better_failed * pair.worse_n:
        return f"no target fails more than another: {pair.worse} and {pair.better} fail alike {evidence}"
    same = " on the same rounds" if pair.test == "McNemar" else ""
    claim = f"{pair.worse} fails more than {pair.better}{same} {evidence}"
    if pair.proven:
        return f"{claim}: at 95 % confidence the difference is real; {_causes(pair, comparisons)}"
    if pair.seen:
        claim = seen_words(pair, corrected=len(comparisons) > 1)
        if pair.unbroken:
            return claim
    else:
        claim += ": not proven at 5 %"
    if pair.more_rounds is not None:
        rounds = "1 more round" if pair.more_rounds == 1 else f"{pair.more_rounds} more rounds"
        needed = f"about {rounds} at these rates would be needed"
    elif pair.test == "McNemar":
        needed = f"at these rates {MORE_ROUNDS_LIMIT} more rounds would not prove it"
    else:
        needed = "race them in the same rounds to see more with fewer runs"
    return f"{claim}; {needed}"


def _causes(clearest: Comparison, comparisons: Sequence[Comparison]) -> str:
    """The cause that all proven comparisons of the worst arm imply together."""
    proven = [c for c in comparisons if c.proven and c.worse == clearest.worse]
    if len(proven) == 1:
        return cause(clearest.factors)
    isolated: dict[tuple[Factor, ...], list[str]] = {}
    for comparison in proven:
        isolated.setdefault(comparison.factors, []).append(comparison.better)
    parts = []
    for factors, names in sorted(isolated.items(), key=lambda item: len(item[0])):
        if len(factors) == 1:
            parts.append(_isolated(factors[0], f"from {listed(names)}"))
        elif factors:
            which = listed([f"the {factor}" for factor in factors])
            parts.append(f"{which} differ from {listed(names)}, which does not tell them apart")
    model = any("model" in factors and "provider" not in factors for factors in isolated)
    provider = any("provider" in factors and "model" not in factors for factors in isolated)
    if model and provider:
        parts.append("neither the model alone nor the provider alone explains it")
    return "; ".join(parts) or cause(clearest.factors)
