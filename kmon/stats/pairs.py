"""Compares every two arms of a test: exact tests with Holm's correction, and the factors in which they differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kmon.model import Scenario, Target
from kmon.stats.difference import PairedCounts, paired_difference, unpaired_difference
from kmon.stats.latency_pairs import paired_p
from kmon.stats.pair_evidence import paired_evidence, unpaired_evidence
from kmon.stats.question import Question, corrected
from kmon.stats.statistics import Interval, need_more
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
    None. ``p_holm``, ``p_rounds_holm`` and ``ttft_p_holm`` are corrected over all comparisons of the test and compare
    with 5 %. ``ttft_p`` is of the exact signed-rank test of the times to the first token, over the rounds that both
    arms took part in.

    ``p`` is by episodes (``episodes.py``): whether the difference lasts. ``p_rounds`` counts every round: whether there
    was one while the test ran, with its outages taken as given. The episodes of an arm are those in which it was the
    first to fail alone; with Fisher's test, all of its own. ``clean_rounds`` had to lie between two of them; 0 for two
    scenarios of one target, where each round counts.

    ``difference`` is the failure rate of the worse arm minus that of the better one while the test ran, as a share, and
    ``difference_interval`` its 95 % interval. Both are of this pair alone.
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
    episodes_worse: int = 0
    episodes_better: int = 0
    clean_rounds: int = 1
    p_rounds: float = 1.0
    p_rounds_holm: float = 1.0
    difference: float = 0.0
    difference_interval: Interval = Interval(-1.0, 1.0)
    asked: bool = True
    """Whether it is one of the comparisons that the test was made for; all others wait until these are proven."""

    @property
    def proven(self) -> bool:
        """Whether the difference is proven to last.

        Not if the other arm had more episodes, as when one long outage outweighs many short ones of the other.
        """
        return self.p_holm <= ALPHA and (self.test == "Fisher" or self.episodes_worse > self.episodes_better)

    @property
    def seen(self) -> bool:
        """Whether there was a difference while the test ran."""
        return self.p_rounds_holm <= ALPHA

    @property
    def unbroken(self) -> bool:
        """Whether the worse arm failed in all of its rounds, so that more of them add no episode."""
        return self.clean_rounds > 0 and self.worse_failed == self.worse_n


def compare_pairs(
    arms: Mapping[Arm, Mapping[int, Trial]],
    names: Mapping[Arm, str],
    targets: Mapping[str, Target],
    scenarios: Mapping[str, Scenario],
    question: Question | None = None,
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
    asked = [question is None or question.asks(pair) for pair in pairs]
    p_holm = corrected([comparison.p for comparison in raw], asked)
    p_rounds_holm = corrected([comparison.p_rounds for comparison in raw], asked)
    ttft_p_holm = corrected([comparison.ttft_p for comparison in raw], asked)
    return tuple(
        replace(
            comparison,
            p_holm=p_holm[at],
            p_rounds_holm=p_rounds_holm[at],
            ttft_p_holm=ttft_p_holm[at],
            more_rounds=0 if p_holm[at] <= ALPHA else _more_rounds(comparison, sum(asked) or len(raw)),
            asked=asked[at],
        )
        for at, comparison in enumerate(raw)
    )


def _compare(
    names: tuple[str, str], first: Mapping[int, Trial], second: Mapping[int, Trial], factors: tuple[Factor, ...]
) -> Comparison:
    shared = sorted(first.keys() & second.keys())
    paired = 2 * len(shared) >= min(len(first), len(second))
    ours = [first[n].failed for n in (shared if paired else sorted(first))]
    theirs = [second[n].failed for n in (shared if paired else sorted(second))]
    if sum(theirs) * len(ours) > sum(ours) * len(theirs):
        return _compare((names[1], names[0]), second, first, factors)
    if paired:
        one_target = first[shared[0]].target == second[shared[0]].target
        evidence = paired_evidence(ours, theirs, shared_outages=one_target)
    else:
        evidence = unpaired_evidence(ours, theirs)
    ttft_p = paired_p(_first_tokens(first), _first_tokens(second))
    return Comparison(
        worse=names[0],
        better=names[1],
        worse_failed=sum(ours),
        worse_n=len(ours),
        better_failed=sum(theirs),
        better_n=len(theirs),
        test="McNemar" if paired else "Fisher",
        only_worse=evidence.alone[0] if paired else None,
        only_better=evidence.alone[1] if paired else None,
        p=evidence.p,
        p_holm=evidence.p,
        ttft_p=ttft_p,
        ttft_p_holm=ttft_p,
        factors=factors,
        episodes_worse=evidence.episodes[0],
        episodes_better=evidence.episodes[1],
        clean_rounds=evidence.clean_rounds,
        p_rounds=evidence.p_rounds,
        p_rounds_holm=evidence.p_rounds,
        difference=sum(ours) / len(ours) - sum(theirs) / len(theirs),
        difference_interval=_difference(ours, theirs, paired=paired, differ=evidence.p_rounds <= ALPHA),
    )


def _difference(ours: Sequence[bool], theirs: Sequence[bool], *, paired: bool, differ: bool) -> Interval:
    if not paired:
        return unpaired_difference((sum(ours), len(ours)), (sum(theirs), len(theirs)), differ=differ)
    cells = Counter(zip(ours, theirs, strict=True))
    order = ((True, True), (True, False), (False, True), (False, False))
    return paired_difference(PairedCounts(*(cells[cell] for cell in order)), differ=differ)


def _first_tokens(rounds: Mapping[int, Trial]) -> dict[int, SurvivalTime]:
    return {n: wait for n, trial in rounds.items() if (wait := trial.first_token()) is not None}


def _more_rounds(comparison: Comparison, comparisons: int) -> int | None:
    """The rounds needed at ``ALPHA / comparisons``, the level that Holm's correction gives to the smallest p-value.

    None where every round failed: more of them add no episode.
    """
    if comparison.test == "Fisher" or comparison.unbroken:
        return None
    level = ALPHA / comparisons
    return need_more(comparison.episodes_worse, comparison.episodes_better, comparison.worse_n, level)


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
