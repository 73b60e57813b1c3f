"""Compares every two arms of a test: an exact test with Holm's correction, and the factors in which they differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kmon.model import Scenario, Target
from kmon.stats.latency_pairs import paired_p
from kmon.stats.statistics import fisher_exact, holm, mcnemar_exact, need_more
from kmon.stats.survival import SurvivalTime
from kmon.stats.trial import Arm, Trial

ALPHA = 0.05

Factor = Literal["provider", "region", "model", "dialect", "endpoint", "tools", "scenario"]

_VENDOR = re.compile(r"(?:[a-z][a-z0-9]*\.)+(?=[a-z])")
_POINT = re.compile(r"(?<=\d)p(?=\d)")
_VARIANT = re.compile(r"(?:(?:-v\d+)?:\d+|:(?:free|nitro|floor|exacto))\Z")
"""Bedrock's version suffix and OpenRouter's routing suffix; a size as in ``gpt-oss:20b`` does not match."""


class Comparison(Struct, frozen=True):
    """Two arms. ``worse`` failed the larger share of its runs; it is the first of the two when the shares are equal.

    With McNemar's test all counts are of the rounds that both arms took part in; ``only_worse`` and ``only_better``
    count the rounds in which only one arm failed. Fisher's test is used when too few rounds are shared; both are then
    None. ``p_holm`` and ``ttft_p_holm`` are corrected over all comparisons of the test and compare with 5 %. ``ttft_p``
    is of the exact signed-rank test of the times to the first token, over the rounds that both arms took part in.
    """

    worse: str
    better: str
    worse_failed: int
    worse_n: int
    better_failed: int
    better_n: int
    test: Literal["McNemar", "Fisher"]
    only_worse: int | None
    only_better: int | None
    p: float
    p_holm: float
    ttft_p: float
    ttft_p_holm: float
    factors: tuple[Factor, ...]
    more_rounds: int | None = None
    """Further rounds at these rates that could prove the difference; 0 when proven, None if there are too many."""

    @property
    def proven(self) -> bool:
        return self.p_holm <= ALPHA


def compare_pairs(
    arms: Mapping[Arm, Mapping[int, Trial]],
    names: Mapping[Arm, str],
    targets: Mapping[str, Target],
    scenarios: Mapping[str, Scenario],
) -> tuple[Comparison, ...]:
    """The comparisons of all pairs of arms that have runs that count, in the order of ``arms``."""
    counted = {arm: {n: trial for n, trial in rounds.items() if trial.counted} for arm, rounds in arms.items()}
    pairs = [pair for pair in combinations(arms, 2) if counted[pair[0]] and counted[pair[1]]]
    raw = [
        _compare(
            (names[first], names[second]),
            counted[first],
            counted[second],
            differing(first, second, targets, scenarios),
        )
        for first, second in pairs
    ]
    p_holm = holm([comparison.p for comparison in raw])
    ttft_p_holm = holm([comparison.ttft_p for comparison in raw])
    return tuple(
        replace(
            comparison,
            p_holm=p_holm[at],
            ttft_p_holm=ttft_p_holm[at],
            more_rounds=0 if p_holm[at] <= ALPHA else _more_rounds(comparison, len(raw)),
        )
        for at, comparison in enumerate(raw)
    )


def _compare(
    names: tuple[str, str], first: Mapping[int, Trial], second: Mapping[int, Trial], factors: tuple[Factor, ...]
) -> Comparison:
    shared = sorted(first.keys() & second.keys())
    paired = 2 * len(shared) >= min(len(first), len(second))
    ours = [first[n].failed for n in (shared if paired else first)]
    theirs = [second[n].failed for n in (shared if paired else second)]
    if sum(theirs) * len(ours) > sum(ours) * len(theirs):
        return _compare((names[1], names[0]), second, first, factors)
    alone = sum(a and not b for a, b in zip(ours, theirs, strict=True)) if paired else None
    alone_theirs = sum(b and not a for a, b in zip(ours, theirs, strict=True)) if paired else None
    if alone is not None and alone_theirs is not None:
        p = mcnemar_exact(alone, alone_theirs)
    else:
        p = fisher_exact(sum(ours), len(ours) - sum(ours), sum(theirs), len(theirs) - sum(theirs))
    ttft_p = paired_p(_first_tokens(first), _first_tokens(second))
    return Comparison(
        worse=names[0],
        better=names[1],
        worse_failed=sum(ours),
        worse_n=len(ours),
        better_failed=sum(theirs),
        better_n=len(theirs),
        test="McNemar" if paired else "Fisher",
        only_worse=alone,
        only_better=alone_theirs,
        p=p,
        p_holm=p,
        ttft_p=ttft_p,
        ttft_p_holm=ttft_p,
        factors=factors,
    )


def _first_tokens(rounds: Mapping[int, Trial]) -> dict[int, SurvivalTime]:
    return {n: wait for n, trial in rounds.items() if (wait := trial.first_token()) is not None}


def _more_rounds(comparison: Comparison, comparisons: int) -> int | None:
    """The rounds needed at ``ALPHA / comparisons``, the level that Holm's correction gives to the smallest p-value."""
    if comparison.only_worse is None or comparison.only_better is None:
        return None
    return need_more(comparison.only_worse, comparison.only_better, comparison.worse_n, ALPHA / comparisons)


def differing(
    first: Arm, second: Arm, targets: Mapping[str, Target], scenarios: Mapping[str, Scenario]
) -> tuple[Factor, ...]:
    """The factors in which two arms differ: the only possible causes of a difference between their results.

    Empty for equal arms and for targets that are not in ``targets``.
    """
    factors: list[Factor] = []
    ours, theirs = targets.get(first.target), targets.get(second.target)
    if ours is not None and theirs is not None:
        if ours.provider != theirs.provider:
            factors.append("provider")
        elif ours.region != theirs.region:
            factors.append("region")
        if model_family(ours.model) != model_family(theirs.model):
            factors.append("model")
        if ours.dialect != theirs.dialect:
            factors.append("dialect")
        if first.target != second.target and not factors:
            factors.append("endpoint")
    if first.scenario != second.scenario:
        factors.append(_scenario_factor(scenarios.get(first.scenario), scenarios.get(second.scenario)))
    return tuple(factors)


def model_family(model: str) -> str:
    """A model id without the parts that hosts add, so that ids of one model at different hosts are equal.

    ``moonshotai.kimi-k2.5``, ``moonshotai/Kimi-K2.5`` and ``accounts/fireworks/models/kimi-k2p5``: all ``kimi-k2.5``.
    """
    name = model.lower().rsplit("/", 1)[-1]
    return _POINT.sub(".", _VENDOR.sub("", _VARIANT.sub("", name), count=1))


def _scenario_factor(first: Scenario | None, second: Scenario | None) -> Factor:
    """``tools`` when two scenarios have equal messages and differ in their tools, else ``scenario``."""
    if first is None or second is None or first.messages != second.messages or first.tools == second.tools:
        return "scenario"
    return "tools"
