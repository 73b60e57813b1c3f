"""Differences in time between the arms of a test: by pair and metric, and the one arm that stands out from the others.

All claims of a test share one error rate of 5 % (Holm's correction with weights): every pair of arms by every metric
and, with three arms or more, every arm against all others within the same rounds, by the two waits. In that last claim
an arm of four that is the slowest in 5 of 5 rounds is proven, which no pair can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from kmon.stats.latency_figures import LatencyFigures, common_limit_s, latency_figures
from kmon.stats.latency_pairs import (
    METRICS,
    LatencyComparison,
    Metric,
    MetricName,
    Times,
    can_prove_within_rounds,
    compare_times,
)
from kmon.stats.latency_pairs import more_rounds as more_for_pair
from kmon.stats.question import Question, claims
from kmon.stats.stand_out import FEWEST_ARMS, StandOut, stand_out
from kmon.stats.stand_out import more_rounds as more_for_stand_out
from kmon.stats.trial import Arm, Trial

WAITS: tuple[MetricName, ...] = ("worst-gap", "ttft")
_WEIGHTS = {metric.name: metric.weight for metric in METRICS}
_MORE_ROUNDS = 50
"""Most further rounds that are worth telling."""


class Latency(Struct, frozen=True):
    """The times of a test: figures by arm and metric, comparisons by pair and metric, and arms that stand out."""

    arms: tuple[LatencyFigures, ...] = ()
    comparisons: tuple[LatencyComparison, ...] = ()
    stand_outs: tuple[StandOut, ...] = ()


def latency(
    arms: Mapping[Arm, Mapping[int, Trial]], names: Mapping[Arm, str], question: Question | None = None
) -> Latency:
    """The latency of a test, from the runs of each arm by round. With a ``question`` only what it asks is claimed."""
    times: dict[MetricName, dict[str, Times]] = {
        metric.name: {names[arm]: found for arm, rounds in arms.items() if (found := _times(metric, rounds))}
        for metric in METRICS
    }
    pairs = [(names[first], names[second]) for first, second in claims(list(arms), question)]
    claimed = _claimed(len(pairs), len(arms) if question is None else 0)
    comparisons = [
        _compare(metric, pair, times[metric.name], claimed / metric.weight)
        for pair in pairs
        for metric in METRICS
        if times[metric.name].keys() >= set(pair)
    ]
    alone = [
        outlier
        for metric in METRICS
        for name in times[metric.name]
        if question is None
        and metric.name in WAITS
        and (outlier := stand_out(metric, name, times[metric.name], comparisons)) is not None
    ]
    weights = [_WEIGHTS[one.metric] for one in comparisons] + [1.0] * len(alone)
    p_values = [one.p for one in comparisons] + [one.p for one in alone]
    adjusted = weighted_holm(p_values, weights, claimed)
    return Latency(
        tuple(
            latency_figures(metric, name, found, common_limit_s(times[metric.name].values()))
            for metric in METRICS
            for name, found in times[metric.name].items()
        ),
        tuple(
            replace(
                one,
                p_adjusted=p,
                p_slow_spells=min(1.0, one.p_slow_spells * len(pairs)),
                more_rounds=more_for_pair(one, claimed / weight, _MORE_ROUNDS),
            )
            for one, p, weight in zip(comparisons, adjusted, weights, strict=False)
        ),
        tuple(
            replace(
                one,
                p_adjusted=p,
                p_slow_spells=min(1.0, one.p_slow_spells * len(pairs)),
                more_rounds=more_for_stand_out(one, claimed, _MORE_ROUNDS),
            )
            for one, p in zip(alone, adjusted[len(comparisons) :], strict=True)
        ),
    )


def weighted_holm(p_values: Sequence[float], weights: Sequence[float], claimed: float) -> list[float]:
    """Holm's adjusted p-values of claims with weights (Holm 1979, section 4), in their order.

    ``claimed`` is the sum of the weights of all claims of the test; it exceeds that of ``weights`` where some could not
    be tested.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for at in sorted(range(len(p_values)), key=lambda at: p_values[at] / weights[at]):
        highest = max(highest, min(1.0, p_values[at] * claimed / weights[at]))
        adjusted[at] = highest
        claimed -= weights[at]
    return adjusted


def _claimed(pairs: int, arms: int) -> float:
    """The sum of the weights of all that a test claims."""
    alone = arms * len(WAITS) if arms >= FEWEST_ARMS else 0
    return pairs * sum(_WEIGHTS.values()) + alone


def _compare(metric: Metric, pair: tuple[str, str], times: Mapping[str, Times], factor: float) -> LatencyComparison:
    """The test is chosen by the number of rounds alone, never by what came out."""
    first, second = times[pair[0]], times[pair[1]]
    shared = len(first.keys() & second.keys())
    within = 2 * shared >= min(len(first), len(second)) and can_prove_within_rounds(shared, factor)
    return compare_times(metric, (pair[0], first), (pair[1], second), "signed-rank" if within else "rank-sum")


def _times(metric: Metric, rounds: Mapping[int, Trial]) -> Times:
    return {at: wait for at, trial in rounds.items() if (wait := metric.of(trial)) is not None}
