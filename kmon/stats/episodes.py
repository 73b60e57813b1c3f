"""Counts failures by episodes: the failures of one outage are one piece of evidence, however many requests it hits.

Two targets with the same outages fail alike in the long run, but one long outage hits many rounds in a row, and a test
that counts rounds takes it for a difference. Here an episode begins only after a clean round, in which all arms under
comparison passed, and lasts until the next. If both arms have the same law and begin anew whenever both are up (any
length of outages, a constant risk while up), then either is equally likely to be the first that fails alone, whatever
the lengths. The rounds left out would tell nothing: how long a failing arm goes on failing says nothing about an arm
that has not failed.

Where an outage fails only some of its requests, clean rounds lie within it and one outage counts several times. Such
episodes come in clusters, so the counter applies the exact runs test to the rounds that could begin an episode. If
those that did are clustered, two clean rounds must lie between episodes, and so on. No rule can tell a lasting fault
that hits some requests from such an outage that is longer than the test.

Two arms of one target, with different scenarios, have their outages in common: these explain no difference between
arms whose requests are sent in random order. There every round counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, groupby
from math import exp, fsum
from typing import NamedTuple

from msgspec import Struct

from kmon.stats.statistics import ln_choose

CLUSTERED = 0.2
"""Episodes are clustered when their runs test has at most this p-value.

At 0.05, outages that fail 70 % of their requests prove twice as many false differences; at 0.5 a true difference needs
a fifth more rounds. At 0.2 it needs about 3 % more.
"""


class Clustering(Struct, frozen=True):
    """Whether the failures of an arm came together: ``p`` is the probability of so few runs if all orders are equal.

    ``runs`` counts the unbroken runs of failures; ``longest`` is the longest of them, in rounds.
    """

    p: float
    runs: int
    longest: int


class Episodes(NamedTuple):
    """Episodes when at least ``clean_rounds`` clean rounds must lie between two of them; with 0 each round is its own.

    ``first`` and ``second`` count the episodes in which that arm was the first to fail alone; ``begun`` counts all,
    ``chances`` the rounds in which one could begin, and ``runs`` the unbroken runs of such rounds in which one did.
    With a single arm ``first`` equals ``begun``.
    """

    clean_rounds: int
    first: int
    second: int
    begun: int
    chances: int
    runs: int

    @property
    def clustered(self) -> bool:
        return few_runs(self.begun, self.chances - self.begun, self.runs) <= CLUSTERED


class EpisodeCounter:
    """Counts the episodes of one arm or of two. Rounds that do not count for an arm are not added for either.

    ``shared_outages``: an outage of one arm is one of the other, so that each round counts.
    """

    def __init__(self, *, shared_outages: bool = False) -> None:
        self._shared_outages = shared_outages
        self._rounds: list[tuple[bool, bool]] = []
        self._spacings: dict[int, _Spacing] = {}
        self.first_alone = 0
        """Rounds in which only the first arm failed."""
        self.second_alone = 0

    def add(self, first_failed: bool, second_failed: bool = False) -> None:
        """Add the next round."""
        self.first_alone += first_failed and not second_failed
        self.second_alone += second_failed and not first_failed
        self._rounds.append((first_failed, second_failed))
        for spacing in self._spacings.values():
            spacing.add(first_failed, second_failed)

    def at(self, clean_rounds: int) -> Episodes:
        """The episodes between which so many clean rounds lie."""
        if clean_rounds not in self._spacings:
            spacing = self._spacings[clean_rounds] = _Spacing(clean_rounds)
            for first_failed, second_failed in self._rounds:
                spacing.add(first_failed, second_failed)
        return self._spacings[clean_rounds].episodes()

    def spaced(self) -> Iterator[Episodes]:
        """The episodes one clean round apart, two apart and so on, up to the first that are not clustered.

        The evidence is the weakest that any of them gives. With shared outages, the rounds alone.
        """
        if self._shared_outages:
            yield self.at(0)
            return
        for clean_rounds in count(1):
            episodes = self.at(clean_rounds)
            yield episodes
            if not episodes.clustered:
                return


class _Spacing:
    """Counts the episodes between which ``needed`` clean rounds lie. The start of the test counts as clean."""

    def __init__(self, needed: int) -> None:
        self._needed = self._clean = needed
        self._decided = self._began = False
        self._first = self._second = self._begun = self._chances = self._runs = 0

    def add(self, first_failed: bool, second_failed: bool) -> None:
        failed = first_failed or second_failed
        if self._clean >= self._needed:
            self._chances += 1
            self._begun += failed
            self._runs += failed and not self._began
            self._began, self._decided = failed, False
        self._clean = 0 if failed else self._clean + 1
        if first_failed != second_failed and not self._decided:
            self._decided = True
            self._first += first_failed
            self._second += second_failed

    def episodes(self) -> Episodes:
        return Episodes(self._needed, self._first, self._second, self._begun, self._chances, self._runs)


def clustering(failed: Sequence[bool]) -> Clustering | None:
    """The runs test of the rounds of one arm, in order; None without a failure."""
    lengths = [sum(run) for hit, run in groupby(failed) if hit]
    if not lengths:
        return None
    failures = sum(lengths)
    return Clustering(few_runs(failures, len(failed) - failures, len(lengths)), len(lengths), max(lengths))


def few_runs(failures: int, passes: int, runs: int) -> float:
    """The exact probability of at most ``runs`` runs of failures, if all orders of the results are equally likely.

    This is the runs test (Wald and Wolfowitz 1940) on the runs of failures, whose number is hypergeometric.
    """
    if not failures or not passes:
        return 1.0
    ln_orders = ln_choose(failures + passes, failures)
    most = min(runs, failures, passes + 1)
    terms = (ln_choose(passes + 1, k) + ln_choose(failures - 1, k - 1) - ln_orders for k in range(1, most + 1))
    return min(1.0, fsum(exp(term) for term in terms))
