"""Every two arms of a test against each other: the exact test that fits, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kmon.model import Scenario, Target
from kmon.stats.factors import Factor, differing
from kmon.stats.statistics import fisher_exact, holm, mcnemar_exact, need_more
from kmon.stats.survival import Observation, logrank
from kmon.stats.trial import Arm, Trial

ALPHA = 0.05


class Comparison(Struct, frozen=True):
    """Two arms. ``worse`` failed the larger share of its runs; it is the first of the two when they are equal.

    With McNemar's test all counts are of the rounds both took part in, and ``only_worse`` and ``only_better`` are those
    in which one of them failed alone. With Fisher's test there are too few such rounds, and both are None.
    ``p_holm`` and ``ttft_p_holm`` are corrected over all comparisons of the test and may be held against 5 %.
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
    """How many more rounds at these rates could prove the difference; 0 when it is proven, None if too many would."""

    @property
    def proven(self) -> bool:
        return self.p_holm <= ALPHA


def compare_pairs(
    arms: Mapping[Arm, Mapping[int, Trial]],
    names: Mapping[Arm, str],
    targets: Mapping[str, Target],
    scenarios: Mapping[str, Scenario],
) -> tuple[Comparison, ...]:
    """All comparisons between arms that have runs that count, in the order of the arms."""
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
    ttft_p = logrank(_first_tokens(first.values()), _first_tokens(second.values()))
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


def _first_tokens(trials: Iterable[Trial]) -> list[Observation]:
    return [wait for trial in trials if (wait := trial.first_token()) is not None]


def _more_rounds(comparison: Comparison, comparisons: int) -> int | None:
    """At the correction the smallest p-value gets: the level shared between all comparisons."""
    if comparison.only_worse is None or comparison.only_better is None:
        return None
    return need_more(comparison.only_worse, comparison.only_better, comparison.worse_n, ALPHA / comparisons)
