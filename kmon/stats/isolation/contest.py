"""Which of a few reduced requests still fails as the whole request does: a sequential test of all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p

LN_ACCEPT = log(100)
"""A reduced request that does not fail is taken for one that does at most once in 100."""
LN_REJECT = -log(20)
"""One that fails is taken for one that does not about once in 20: this is found out later, and costs requests only."""
ONE_OUTAGE = 5
"""Blocks in a row in which everything failed that may be one outage, and say nothing."""


class Contest:
    """Candidates against the whole request. ``usual`` is the failure rate that the whole has shown before.

    A candidate that fails like the whole is weighed against one that fails at a quarter of ``rate``.
    """

    def __init__(self, candidates: int, rate: float, usual: float) -> None:
        self._rate, self._usual = rate, max(rate, usual)
        self._counts = [(0, 0)] * candidates
        self._whole = (0, 0)
        self._all_failed = 0
        self._rejected: set[int] = set()
        self.failing: int | None = None
        """The candidate that still fails; with several, the likeliest."""

    def add(self, candidates: Sequence[Sequence[bool]], whole: Sequence[bool]) -> None:
        """Add the outcomes of a block (True: failed), per candidate, and those of the whole request in it."""
        outcomes = [failed for each in (*candidates, whole) for failed in each]
        self._all_failed = self._all_failed + 1 if all(outcomes) and len(outcomes) > 1 else 0
        if whole and 0 < self._all_failed < ONE_OUTAGE:
            return
        self._counts = [_sum(counts, each) for counts, each in zip(self._counts, candidates, strict=True)]
        self._whole = _sum(self._whole, whole)
        weights = [self._ln_ratio(counts) for counts in self._counts]
        best = max(range(len(weights)), key=weights.__getitem__)
        if weights[best] >= LN_ACCEPT:
            self.failing = best
        self._rejected |= {at for at, weight in enumerate(weights) if weight <= LN_REJECT}

    @property
    def undecided(self) -> list[int]:
        """The candidates of which more is to be known."""
        return [at for at in range(len(self._counts)) if at not in self._rejected]

    @property
    def decided(self) -> bool:
        """Whether one of the candidates still fails, or none."""
        return self.failing is not None or not self.undecided

    def _ln_ratio(self, counts: tuple[int, int]) -> float:
        """Log likelihood ratio of "fails as the whole does" to "hardly fails".

        While the whole fails more rarely than before, as little is expected of the candidates, so that a quiet time is
        no evidence against them.
        """
        failures, passes = counts
        whole_failures, whole_passes = self._whole
        lately = (whole_failures + 1) / (whole_failures + whole_passes + 2)
        here, hardly = max(self._rate, min(self._usual, lately)), self._rate / 4
        return failures * log(here / hardly) + passes * (log1p(-here) - log1p(-hardly))


def _sum(counts: tuple[int, int], outcomes: Sequence[bool]) -> tuple[int, int]:
    failed = sum(outcomes)
    return counts[0] + failed, counts[1] + len(outcomes) - failed
