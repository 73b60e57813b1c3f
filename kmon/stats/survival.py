"""Times with censoring: a timeout is a wait that had not ended, never a duration of 30 s.

Kaplan-Meier curves and their percentiles, and the log-rank test between two samples; the tests hold both to scipy.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from math import ceil, erfc, floor, fsum, log, sqrt
from typing import Literal, NamedTuple

from msgspec import Struct

MISSED = 0.05
"""A percentile needs so many observations that all of them falling below it is less likely than this."""
_ROUNDING = 1e-12


class Observation(NamedTuple):
    """A time in seconds; ``censored`` when it had not ended by then."""

    seconds: float
    censored: bool = False


class Percentile(Struct, frozen=True):
    """One percentile of a sample of ``n`` times, or why there is none.

    ``known``: ``seconds`` is the estimate. ``above``: so many waits never ended that the percentile is only known to
    exceed ``seconds``. ``refused``: ``needed`` observations would support it, and there are fewer.
    """

    share: float
    kind: Literal["known", "above", "refused"]
    seconds: float | None
    n: int
    needed: int


class Survival(NamedTuple):
    """A Kaplan-Meier curve: after ``seconds[i]`` the share ``shares[i]`` has not ended. ``last_s`` bounds its reach."""

    n: int
    seconds: tuple[float, ...]
    shares: tuple[float, ...]
    last_s: float

    def at(self, seconds: float) -> float:
        """The share that lasts longer than ``seconds``."""
        reached = bisect_right(self.seconds, seconds)
        return self.shares[reached - 1] if reached else 1.0

    def percentile(self, share: float) -> Percentile:
        """The time by which ``share`` of all had ended, or the refusal. ``share`` is between 0 and 1."""
        needed = observations_needed(share)
        if self.n < needed:
            return Percentile(share, "refused", None, self.n, needed)
        for seconds, left in zip(self.seconds, self.shares, strict=True):
            if left <= 1 - share + _ROUNDING:
                return Percentile(share, "known", seconds, self.n, needed)
        return Percentile(share, "above", self.last_s, self.n, needed)


class Waits:
    """A sample that grows. A percentile of it is found at once, unless waits were censored before it."""

    def __init__(self) -> None:
        self._ended: list[float] = []
        self._censored: list[float] = []

    def add(self, wait: Observation) -> None:
        insort(self._censored if wait.censored else self._ended, wait.seconds)

    def remove(self, wait: Observation) -> None:
        """Take out one that was added."""
        found = self._censored if wait.censored else self._ended
        del found[bisect_left(found, wait.seconds)]

    def percentile(self, share: float) -> Percentile:
        """That of :func:`kaplan_meier`."""
        n = len(self._ended) + len(self._censored)
        needed = observations_needed(share)
        at = ceil(n * (share - _ROUNDING)) - 1
        whole = at < len(self._ended) and (not self._censored or self._censored[0] >= self._ended[at])
        if n >= needed and whole:  # until then nothing was censored: the curve is the plain share
            return Percentile(share, "known", self._ended[at], n, needed)
        ended, censored = (Observation(s) for s in self._ended), (Observation(s, True) for s in self._censored)
        return kaplan_meier([*ended, *censored]).percentile(share)


def observations_needed(share: float) -> int:
    """How many observations a percentile needs: 5 for the median, 29 for p90, 59 for p95, 299 for p99."""
    return floor(log(MISSED) / log(max(share, 1 - share))) + 1


def kaplan_meier(observations: Iterable[Observation]) -> Survival:
    """The survival curve of a sample. A wait censored at the moment another ended was still going on then."""
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


def logrank(first: Iterable[Observation], second: Iterable[Observation]) -> float:
    """Two-sided p-value that two samples have the same curve; 1 when nothing ended, so that nothing can differ."""
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


def _by_time(sample: list[Observation]) -> Iterable[tuple[float, int, int]]:
    """Each distinct time of a sorted sample, with how many ended and how many were censored at it."""
    at = 0
    while at < len(sample):
        seconds, ended, start = sample[at].seconds, 0, at
        while at < len(sample) and sample[at].seconds == seconds:
            ended += not sample[at].censored
            at += 1
        yield seconds, ended, at - start - ended
