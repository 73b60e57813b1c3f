"""Survival times with censoring: Kaplan-Meier curves, their quantiles with intervals, and restricted means.

A timeout is censored: the wait had not ended by then. Definitions are those of scipy (``ecdf``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from math import ceil, exp, floor, fsum, log, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

from msgspec import Struct

from kmon.stats.statistics import ln_binomial_tail

MISSED = 0.05
"""A percentile needs enough observations that the probability of all of them lying below it is less than this."""
_ROUNDING = 1e-12


class SurvivalTime(NamedTuple):
    """A time in seconds; ``censored`` when the wait had not ended by then."""

    seconds: float
    censored: bool = False


class Percentile(Struct, frozen=True):
    """One percentile of a sample of ``n`` times, or the reason why there is none.

    ``known``: ``seconds`` is the estimate. ``above``: so many times are censored that the percentile is only known to
    exceed ``seconds``. ``refused``: there are fewer observations than the ``needed`` ones.
    """

    share: float
    kind: Literal["known", "above", "refused"]
    seconds: float | None
    n: int
    needed: int


class Survival(NamedTuple):
    """A Kaplan-Meier curve: after ``seconds[i]`` the share ``shares[i]`` has not ended. ``last_s`` is the maximum."""

    n: int
    seconds: tuple[float, ...]
    shares: tuple[float, ...]
    last_s: float

    def at(self, seconds: float) -> float:
        """The share that lasts longer than ``seconds``."""
        reached = bisect_right(self.seconds, seconds)
        return self.shares[reached - 1] if reached else 1.0

    def percentile(self, share: float) -> Percentile:
        """The time by which ``share`` (between 0 and 1) of the sample has ended."""
        needed = observations_needed(share)
        if self.n < needed:
            return Percentile(share, "refused", None, self.n, needed)
        for seconds, left in zip(self.seconds, self.shares, strict=True):
            if left <= 1 - share + _ROUNDING:
                return Percentile(share, "known", seconds, self.n, needed)
        return Percentile(share, "above", self.last_s, self.n, needed)


class SurvivalSample:
    """A growing sample. A percentile takes constant time unless a time below it is censored."""

    def __init__(self) -> None:
        self._ended: list[float] = []
        self._censored: list[float] = []

    def add(self, wait: SurvivalTime) -> None:
        insort(self._censored if wait.censored else self._ended, wait.seconds)

    def remove(self, wait: SurvivalTime) -> None:
        """Remove one that was added."""
        found = self._censored if wait.censored else self._ended
        del found[bisect_left(found, wait.seconds)]

    def percentile(self, share: float) -> Percentile:
        """The percentile of the Kaplan-Meier curve of the sample."""
        n = len(self._ended) + len(self._censored)
        needed = observations_needed(share)
        at = ceil(n * (share - _ROUNDING)) - 1
        whole = at < len(self._ended) and (not self._censored or self._censored[0] >= self._ended[at])
        if n >= needed and whole:  # no censored time before it: the curve is the plain share
            return Percentile(share, "known", self._ended[at], n, needed)
        ended, censored = (SurvivalTime(s) for s in self._ended), (SurvivalTime(s, True) for s in self._censored)
        return kaplan_meier([*ended, *censored]).percentile(share)


def observations_needed(share: float) -> int:
    """How many observations a percentile needs: 5 for the median, 29 for p90, 59 for p95, 299 for p99."""
    return floor(log(MISSED) / log(max(share, 1 - share))) + 1


def kaplan_meier(observations: Iterable[SurvivalTime]) -> Survival:
    """The survival curve of a sample. A time censored at the moment another ended counts as at risk then."""
    sample = sorted(observations)
    at_risk, share = len(sample), 1.0
    seconds: list[float] = []
    shares: list[float] = []
    for time_s, ended, censored in _by_time(sample):
        if ended:
            share *= 1 - ended / at_risk
            seconds.append(time_s)
            shares.append(share)
        at_risk -= ended + censored
    return Survival(len(sample), tuple(seconds), tuple(shares), sample[-1].seconds if sample else 0.0)


def quantile(observations: Sequence[SurvivalTime], share: float) -> SurvivalTime | None:
    """The smallest time by which ``share`` of the sample has ended, from its curve; None of an empty sample.

    Censored if the curve stays above, so that the quantile is only known to exceed the longest time. Unlike a
    :class:`Percentile` it is given for any size: it describes this sample.
    """
    curve = kaplan_meier(observations)
    if not curve.n:
        return None
    for seconds, left in zip(curve.seconds, curve.shares, strict=True):
        if left <= 1 - share + _ROUNDING:
            return SurvivalTime(seconds)
    return SurvivalTime(curve.last_s, censored=True)


def quantile_interval(
    observations: Sequence[SurvivalTime], share: float, confidence: float = 0.95
) -> tuple[float | None, float | None]:
    """The interval of a quantile in seconds, from two order statistics; an end that the sample does not bear is None.

    Exact for any distribution: the number of times below the quantile is binomial (David and Nagaraja, Order
    Statistics, 7.1). A censored time counts as it is for the lower end and as endless for the upper one, so the
    interval covers at least as often as it says. Five runs bear no interval of a median, six do.
    """
    n = len(observations)
    below, above = _surely(n, share, (1 - confidence) / 2), _surely(n, 1 - share, (1 - confidence) / 2)
    lowest = sorted(wait.seconds for wait in observations)
    ended = sorted(wait.seconds for wait in observations if not wait.censored)
    return (
        lowest[below - 1] if below else None,
        ended[n - above] if above and n - above < len(ended) else None,
    )


def _surely(n: int, share: float, risk: float) -> int:
    """How many of ``n`` times surely lie on the side of a quantile with ``share`` of them, but for ``risk``."""
    return bisect_left(range(n), True, key=lambda fewer: exp(ln_binomial_tail(fewer, n, share)) > risk)


class RestrictedMean(Struct, frozen=True):
    """The mean of the times, each up to ``limit_s``, in seconds, with an approximate 95 % interval."""

    seconds: float
    low: float
    high: float
    limit_s: float


def restricted_mean(observations: Sequence[SurvivalTime], limit_s: float) -> RestrictedMean | None:
    """The area under the survival curve up to ``limit_s``: the mean time, where no wait counts for more than the limit.

    The interval is normal with Greenwood's variance, enlarged by n / (n - 1); it is too narrow under about ten runs.
    None for fewer than two runs, and where the curve is not known up to the limit.
    """
    curve = kaplan_meier(observations)
    if curve.n < 2 or (limit_s > curve.last_s and curve.shares[-1:] != (0.0,)):
        return None
    steps = [(0.0, 1.0), *((s, left) for s, left in zip(curve.seconds, curve.shares, strict=True) if s < limit_s)]
    ends = [*(seconds for seconds, _ in steps[1:]), limit_s]
    areas = [left * (end - start) for (start, left), end in zip(steps, ends, strict=True)]
    variance, beyond = 0.0, fsum(areas)
    at_risk = len(observations)
    area_after = {start: fsum(areas[at:]) for at, (start, _) in enumerate(steps)}
    for time_s, ended, censored in _by_time(sorted(observations)):
        if ended and ended < at_risk and time_s < limit_s:
            variance += area_after[time_s] ** 2 * ended / (at_risk * (at_risk - ended))
        at_risk -= ended + censored
    spread = NormalDist().inv_cdf(0.975) * sqrt(variance * curve.n / (curve.n - 1))
    return RestrictedMean(beyond, max(0.0, beyond - spread), min(limit_s, beyond + spread), limit_s)


def _by_time(sample: list[SurvivalTime]) -> Iterable[tuple[float, int, int]]:
    """Each distinct time of a sorted sample, with the number that ended and the number censored at it."""
    at = 0
    while at < len(sample):
        seconds, ended, start = sample[at].seconds, 0, at
        while at < len(sample) and sample[at].seconds == seconds:
            ended += not sample[at].censored
            at += 1
        yield seconds, ended, at - start - ended
