"""A sequential test: evidence that may be examined after every round, and may stop a race, without inflating the error.

Evidence is an e-value: the factor by which a bet against the null hypothesis has multiplied. While the null hypothesis
holds its expected value never exceeds 1, so the chance that it *ever* reaches 1/alpha is at most alpha (Ville's
inequality). Stopping at the first 20 keeps the error at 5 %; stopping at the first p-value below 5 % does not.

The bets are beta-binomial mixtures: every rate that the alternative allows has equal weight. All values are natural
logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import exp, log, log1p
from typing import NamedTuple

from kmon.errors import UsageError
from kmon.format import percent, plural
from kmon.model import Scenario, Target
from kmon.stats.conclusion import cause
from kmon.stats.pairs import differing
from kmon.stats.statistics import ln_beta, ln_binomial_tail
from kmon.stats.trial import Arm, Trial, arm_names


class Hypothesis(NamedTuple):
    """A statement that may be proven, in words, with the natural logarithm of its e-value and the cause to report."""

    ln_e: float
    words: str
    cause: str


class SequentialTest:
    """Tests whether arms differ, and whether each differs from ``pass_rate`` if there is one. Add trials as they end.

    Rounds count in order and only when complete: a timeout is known later than a pass, so that counting results as
    they arrive would favour targets that fail slowly. ``alpha`` is shared between all hypotheses (Bonferroni).
    """

    def __init__(
        self,
        rows: Sequence[tuple[Target, Scenario]],
        *,
        pass_rate: float | None = None,
        alpha: float = 0.05,
    ) -> None:
        """Raises :class:`UsageError` for a single arm without a pass rate, and for a pass rate outside 0 to 1."""
        self._targets = {target.name: target for target, _ in rows}
        self._scenarios = {scenario.name: scenario for _, scenario in rows}
        self._arms = list(dict.fromkeys(Arm(target.name, scenario.name) for target, scenario in rows))
        if pass_rate is not None and not 0 < pass_rate < 1:
            raise UsageError(f"a pass rate of {pass_rate:g} cannot be proven; give one between 0 and 1, such as 0.95")
        if len(self._arms) < 2 and pass_rate is None:
            raise UsageError("one target alone proves nothing; add another, or a pass rate to hold it against")
        self._names = arm_names(self._arms)
        self._pass_rate = pass_rate
        self._pairs = list(combinations(self._arms, 2))
        hypotheses = len(self._pairs) + (2 * len(self._arms) if pass_rate is not None else 0)
        self._ln_needed = log(hypotheses / alpha)
        self._confidence = percent(1 - alpha)
        self._waiting: dict[int, dict[Arm, Trial]] = {}
        self._rounds = 0
        self._proof: str | None = None
        self._alone: dict[tuple[Arm, Arm], int] = {}
        self._failed = dict.fromkeys(self._arms, 0)
        self._counted = dict.fromkeys(self._arms, 0)

    def add(self, trial: Trial) -> None:
        """Add one run that has ended; of several runs of an arm in one round only the first counts."""
        if trial.round <= self._rounds or trial.arm not in self._failed:
            return
        self._waiting.setdefault(trial.round, {}).setdefault(trial.arm, trial)
        while len(self._waiting.get(self._rounds + 1, ())) == len(self._arms):
            self._rounds += 1
            self._count(self._waiting.pop(self._rounds))
            self._proof = self._proof or self._proven()

    def decided(self) -> str | None:
        """The proven statement with its evidence, or None. Later trials do not change it."""
        return self._proof

    def summary(self) -> str:
        """The proven statement, or the strongest evidence so far."""
        if self._proof is not None:
            return self._proof
        hypothesis = self._strongest()
        if hypothesis.ln_e <= 0:
            return f"nothing proven in {self._rounds_text()}: no evidence of a difference"
        return (
            f"nothing proven in {self._rounds_text()}; nearest to it: {hypothesis.words} ({self._evidence(hypothesis)})"
        )

    def _proven(self) -> str | None:
        hypothesis = self._strongest()
        if hypothesis.ln_e < self._ln_needed:
            return None
        sure = f"proven after {self._rounds_text()}, at {self._confidence} % confidence however often one looked"
        return f"{hypothesis.words} ({self._evidence(hypothesis)}): {sure}; {hypothesis.cause}"

    def _count(self, runs: dict[Arm, Trial]) -> None:
        for arm, trial in runs.items():
            self._counted[arm] += trial.counted
            self._failed[arm] += trial.failed
        for first, second in self._pairs:
            if runs[first].counted and runs[second].counted and runs[first].failed != runs[second].failed:
                loser = (first, second) if runs[first].failed else (second, first)
                self._alone[loser] = self._alone.get(loser, 0) + 1

    def _strongest(self) -> Hypothesis:
        hypotheses = [self._pair(first, second) for first, second in self._pairs]
        if self._pass_rate is not None:
            for arm in self._arms:
                hypotheses += self._against_rate(arm, self._pass_rate)
        return max(hypotheses, key=lambda hypothesis: hypothesis.ln_e)

    def _pair(self, first: Arm, second: Arm) -> Hypothesis:
        b, c = self._alone.get((first, second), 0), self._alone.get((second, first), 0)
        worse, better = (first, second) if b >= c else (second, first)
        alone = f"it alone failed in {max(b, c)} rounds, the other alone in {min(b, c)}"
        words = f"{self._names[worse]} fails more than {self._names[better]}, {alone}"
        return Hypothesis(
            ln_e_pairs_differ(b, c), words, cause(differing(first, second, self._targets, self._scenarios))
        )

    def _against_rate(self, arm: Arm, rate: float) -> tuple[Hypothesis, Hypothesis]:
        n, failed = self._counted[arm], self._failed[arm]
        limit, passed = f"{percent(rate)} %", f"{n - failed} of {n} passed"
        cause_words = "it does not tell why"
        less = f"{self._names[arm]} passes less than {limit} of its runs, {passed}"
        more = f"{self._names[arm]} passes more than {limit} of its runs, {passed}"
        return (
            Hypothesis(ln_e_rate_above(failed, n, 1 - rate), less, cause_words),
            Hypothesis(ln_e_rate_above(n - failed, n, rate), more, cause_words),
        )

    def _evidence(self, hypothesis: Hypothesis) -> str:
        return f"e = {exp(min(hypothesis.ln_e, 30.0)):.3g}, {exp(self._ln_needed):.3g} needed"

    def _rounds_text(self) -> str:
        return plural(self._rounds, "round")


def ln_e_rate_above(hits: int, n: int, rate: float) -> float:
    """Log e-value that hits come more often than ``rate`` (null: at most as often). ``rate`` is inside 0 to 1.

    For "less often than", give the misses and ``1 - rate``.
    """
    misses = n - hits
    ln_mixture = ln_beta(hits + 1, misses + 1) + ln_binomial_tail(hits, n + 1, rate) - log1p(-rate)
    return ln_mixture - hits * log(rate) - misses * log1p(-rate)


def ln_e_pairs_differ(b: int, c: int) -> float:
    """Log e-value that one of two arms fails more, from rounds where only the first (b) or only the second (c) failed.

    The null hypothesis is that the single failure of a round is equally likely in either arm.
    """
    return ln_beta(b + 1, c + 1) + (b + c) * log(2)
