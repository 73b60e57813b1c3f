"""The statements that a sequential test may prove, each with its evidence so far.

There are two kinds of evidence. By episodes (``episodes.py``): that the statement holds in the long run. By rounds:
that it held while the test ran, whose outages are then taken as given.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Protocol

from kmon.format import percent, plural
from kmon.stats.difference import PairedCounts, watched_difference
from kmon.stats.e_values import ln_e_pairs_differ, ln_e_rate_above
from kmon.stats.effect_words import Effect
from kmon.stats.episodes import EpisodeCounter, Episodes
from kmon.stats.pairs import Factor
from kmon.stats.trial import Arm, Trial


class Hypothesis(Protocol):
    """A statement. ``ln_e`` and ``ln_e_now`` are the log e-values that it lasts and that it held so far."""

    ln_e: float
    ln_e_now: float

    def add(self, runs: Mapping[Arm, Trial]) -> None:
        """Add a round. Runs that do not count are left out, together with those of the same round beside them."""

    def unbroken(self) -> bool:
        """Whether the arm that is called worse failed in every round, so that more rounds add no episode."""


class PairDiffers:
    """One of two arms fails more often than the other. They differ in ``factors``."""

    def __init__(self, pair: tuple[Arm, Arm], names: Mapping[Arm, str], factors: tuple[Factor, ...]) -> None:
        self.factors = factors
        self._pair, self._names = pair, names
        self._counter = EpisodeCounter(shared_outages=pair[0].target == pair[1].target)
        self._failed, self._rounds = dict.fromkeys(pair, 0), 0
        self._episodes = next(self._counter.spaced())
        self.ln_e = self.ln_e_now = 0.0

    def add(self, runs: Mapping[Arm, Trial]) -> None:
        first, second = (runs[arm] for arm in self._pair)
        if not (first.counted and second.counted):
            return
        self._rounds += 1
        self._counter.add(first.failed, second.failed)
        for trial in (first, second):
            self._failed[trial.arm] += trial.failed
        if first.failed != second.failed:
            self.ln_e_now = ln_e_pairs_differ(self._counter.first_alone, self._counter.second_alone)
        if first.failed != second.failed or self.ln_e > 0:  # a clean round may only widen the spacing
            self._episodes, self.ln_e = self._weakest()

    def _weakest(self) -> tuple[Episodes, float]:
        most = next(self._counter.spaced())
        ln_e = ln_e_pairs_differ(most.first, most.second)
        if (most.first - most.second) * (self._counter.first_alone - self._counter.second_alone) < 0:
            ln_e = min(ln_e, 0.0)  # one arm has more failures and the other more episodes: neither is called worse
        if ln_e <= 0:  # no evidence that a wider spacing could take away
            return most, ln_e
        return min(
            ((spaced, ln_e_pairs_differ(spaced.first, spaced.second)) for spaced in self._counter.spaced()),
            key=lambda found: found[1],
        )

    def effect(self) -> Effect:
        """How much more often one of the two failed. At least one round must count."""
        alone, episodes = (self._counter.first_alone, self._counter.second_alone), self._episodes[1:3]
        swap = alone[1] > alone[0]
        worse, better = self._pair[::-1] if swap else self._pair
        alone = alone[::-1] if swap else alone
        both = self._failed[worse] - alone[0]
        counts = PairedCounts(both, *alone, self._rounds - both - sum(alone))
        told = f", in {plural(episodes[swap], 'episode')} against {episodes[not swap]}"
        return Effect(
            worse=self._names[worse],
            better=self._names[better],
            worse_failed=self._failed[worse],
            worse_n=self._rounds,
            better_failed=self._failed[better],
            better_n=self._rounds,
            interval=watched_difference(counts, differ=self.ln_e_now >= log(20)),
            evidence=told if self._episodes.clean_rounds else "",
        )

    def unbroken(self) -> bool:
        return self._rounds > 0 and self._rounds in self._failed.values()


class BelowRate:
    """An arm passes less than ``rate`` of its runs.

    Where failures come together, the evidence is that an episode begins too often after clean rounds; where they keep
    apart, as behind a load balancer with one broken server, that too many rounds fail. It counts the weaker of the two.
    """

    unsaid = "It does not tell why"

    def __init__(self, arm: Arm, name: str, rate: float) -> None:
        self._arm, self._name, self._rate = arm, name, rate
        self._counter, self._rounds = EpisodeCounter(), 0
        self.ln_e = self.ln_e_now = 0.0

    def add(self, runs: Mapping[Arm, Trial]) -> None:
        if runs[self._arm].counted:
            self._rounds += 1
            self._counter.add(runs[self._arm].failed)
            self.ln_e_now = ln_e_rate_above(self._counter.first_alone, self._rounds, 1 - self._rate)
            self.ln_e = min(self.ln_e_now, self._evidence(self._counter.at(1)))
            if self.ln_e > 0:
                self.ln_e = min(self.ln_e, *(self._evidence(spaced) for spaced in self._counter.spaced()))

    def _evidence(self, spaced: Episodes) -> float:
        return ln_e_rate_above(spaced.begun, spaced.chances, 1 - self._rate)

    def words(self) -> str:
        """The statement with its counts."""
        failed = self._counter.first_alone
        episodes = f", with failures in {plural(self._counter.at(1).begun, 'episode')}" if failed else ""
        passed = f"{self._rounds - failed} of {plural(self._rounds, 'run')}{episodes}"
        return f"{self._name} passed less than {percent(self._rate)} % of its runs ({passed})"

    def unbroken(self) -> bool:
        return 0 < self._rounds == self._counter.first_alone


class AboveRate:
    """An arm passed more than ``rate`` of its runs while the test ran; no number of passes excludes outages later."""

    unsaid = "It does not tell of outages at other times"

    def __init__(self, arm: Arm, name: str, rate: float) -> None:
        self._arm, self._name, self._rate = arm, name, rate
        self._rounds = self._passed = 0
        self.ln_e = self.ln_e_now = 0.0

    def add(self, runs: Mapping[Arm, Trial]) -> None:
        if runs[self._arm].counted:
            self._rounds += 1
            self._passed += not runs[self._arm].failed
            self.ln_e = self.ln_e_now = ln_e_rate_above(self._passed, self._rounds, self._rate)

    def words(self) -> str:
        """The statement with its counts."""
        passed = f"{self._passed} of {plural(self._rounds, 'run')}"
        return f"{self._name} passed more than {percent(self._rate)} % of its runs while the test ran ({passed})"

    def unbroken(self) -> bool:
        return False
