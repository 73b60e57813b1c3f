"""Survival times with censoring: Kaplan-Meier curves, their percentiles, and the log-rank test of two samples.

A timeout is censored: the wait had not ended by then. Definitions are those of scipy (``ecdf``, ``logrank``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from math import ceil, erfc, floor, fsum, log, sqrt
from typing import Literal, NamedTuple

from msgspec import Struct

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


def logrank(first: Iterable[SurvivalTime], second: Iterable[SurvivalTime]) -> float:
    """Two-sided p-value of the log-rank test that two samples have the same curve; 1 when every time is censored."""
    ours = list(first)
    both = sorted([*ours, *second])
    endings = {time_s: (ended, ended + censored) for time_s, ended, censored in _by_time(sorted(ours))}
    at_risk, at_risk_ours = len(both), len(ours)
    surplus: list[float] = []
    variance: list[float] = []
    for time_s, ended, censored in _by_time(both):
        ended_ours, left_ours = endings.get(time_s, (0, 0))
        if ended:
            portion = at_risk_ours / at_risk
            surplus.append(ended_ours - ended * portion)
        if ended and at_risk > 1:
            variance.append(ended * portion * (1 - portion) * (at_risk - ended) / (at_risk - 1))
        at_risk -= ended + censored
        at_risk_ours -= left_ours
    spread = sqrt(2 * fsum(variance))
    return erfc(abs(fsum(surplus)) / spread) if spread else 1.0


def _by_time(sample: list[SurvivalTime]) -> Iterable[tuple[float, int, int]]:
    """Each distinct time of a sorted sample, with the number that ended and the number censored at it."""
    at = 0
    while at < len(sample):
        seconds, ended, start = sample[at].seconds, 0, at
        while at < len(sample) and sample[at].seconds == seconds:
            ended += not sample[at].censored
            at += 1
        yield seconds, ended, at - start - ended
