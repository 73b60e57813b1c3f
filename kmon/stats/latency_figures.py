"""The times of one arm by one metric: quantiles and the restricted mean, each with its interval."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from kmon.stats.latency_pairs import Metric, MetricName, Times
from kmon.stats.survival import RestrictedMean, quantile, quantile_interval, restricted_mean

SHARES = (0.5, 0.9)


class LatencyQuantile(Struct, frozen=True):
    """A quantile with its 95 % interval; ``cut`` if it is only known to exceed ``value``. Ends may be unknown."""

    share: float
    value: float
    cut: bool
    low: float | None
    high: float | None


class LatencyFigures(Struct, frozen=True):
    """One arm by one metric, in seconds or tokens per second: ``n`` runs, ``cut`` of which were cut off.

    ``mean`` is None for tokens per second and for a single run.
    """

    arm: str
    metric: MetricName
    n: int
    cut: int
    quantiles: tuple[LatencyQuantile, ...]
    mean: RestrictedMean | None


def latency_figures(metric: Metric, arm: str, times: Times, limit_s: float) -> LatencyFigures:
    """The figures of an arm that has a run, the mean up to ``limit_s``."""
    waits = list(times.values())
    quantiles = (
        LatencyQuantile(share, found.seconds, found.censored, *quantile_interval(waits, share))
        for share in SHARES
        if (found := quantile(waits, share)) is not None
    )
    cut = sum(wait.censored for wait in waits)
    mean = restricted_mean(waits, limit_s) if metric.more_is_slower else None
    return LatencyFigures(arm, metric.name, len(waits), cut, tuple(quantiles), mean)


def common_limit_s(arms: Collection[Times]) -> float:
    """The time in seconds up to which the mean of every arm is known, so that their means can be compared."""
    longest = [max(times.values()) for times in arms]
    cut = [wait.seconds for wait in longest if wait.censored]
    return min(cut) if cut else max((wait.seconds for wait in longest), default=0.0)
