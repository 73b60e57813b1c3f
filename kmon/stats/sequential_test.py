"""A sequential test: evidence that may be examined after every round, and may stop a race, without inflating the error.

What it proves are lasting differences, by e-values over episodes of failures, so that one long outage proves nothing.
That a difference was there while the test ran is a weaker statement, for which every round counts. The summary tells
it, and it stops a race only when the worse target never passed in 20 rounds: more requests to it would tell no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import exp, log

from kmon.errors import UsageError
from kmon.format import percent, plural
from kmon.model import Scenario, Target
from kmon.stats.conclusion import cause
from kmon.stats.e_values import closed
from kmon.stats.episode_words import UNBROKEN
from kmon.stats.hypotheses import AboveRate, BelowRate, Hypothesis, PairDiffers
from kmon.stats.pairs import differing
from kmon.stats.trial import Arm, Trial, arm_names

DEAD_ROUNDS = 20
"""A target that has not passed in so many rounds ends the test: shorter outages are common, and may pass."""


class SequentialTest:
    """Tests whether arms differ, and whether each differs from ``pass_rate`` if there is one. Add trials as they end.

    Rounds count in order and only when complete: a timeout is known later than a pass, so that counting results as
    they arrive would favour targets that fail slowly. ``alpha`` is shared between all hypotheses (closed testing).
    """

    def __init__(
        self,
        rows: Sequence[tuple[Target, Scenario]],
        *,
        pass_rate: float | None = None,
        alpha: float = 0.05,
    ) -> None:
        """Raises :class:`UsageError` for a single arm without a pass rate, and for a pass rate outside 0 to 1."""
        targets = {target.name: target for target, _ in rows}
        scenarios = {scenario.name: scenario for _, scenario in rows}
        self._arms = list(dict.fromkeys(Arm(target.name, scenario.name) for target, scenario in rows))
        if pass_rate is not None and not 0 < pass_rate < 1:
            raise UsageError(f"a pass rate of {pass_rate:g} cannot be proven; give one between 0 and 1, such as 0.95")
        if len(self._arms) < 2 and pass_rate is None:
            raise UsageError("one target alone proves nothing; add another, or a pass rate to hold it against")
        names = arm_names(self._arms)
        self._hypotheses: list[Hypothesis] = [
            PairDiffers(pair, names, cause(differing(*pair, targets, scenarios)))
            for pair in combinations(self._arms, 2)
        ]
        if pass_rate is not None:
            for arm in self._arms:
                self._hypotheses += (BelowRate(arm, names[arm], pass_rate), AboveRate(arm, names[arm], pass_rate))
        self._ln_needed = log(1 / alpha)
        self._confidence = percent(1 - alpha)
        self._waiting: dict[int, dict[Arm, Trial]] = {}
        self._rounds = 0
        self._decided: str | None = None
        self.proven = False
        """Whether the decision is about more than the time of the test."""

    def add(self, trial: Trial) -> None:
        """Add one run that has ended; of several runs of an arm in one round only the first counts."""
        if trial.round <= self._rounds or trial.arm not in self._arms:
            return
        self._waiting.setdefault(trial.round, {}).setdefault(trial.arm, trial)
        while len(self._waiting.get(self._rounds + 1, ())) == len(self._arms):
            self._rounds += 1
            runs = self._waiting.pop(self._rounds)
            if self._decided is None:
                for hypothesis in self._hypotheses:
                    hypothesis.add(runs)
                self._decide()

    def decided(self) -> str | None:
        """The decision with its evidence, or None. Later trials do not change it."""
        return self._decided

    def summary(self) -> str:
        """The decision, or the strongest evidence so far."""
        if self._decided is not None:
            return self._decided
        rounds = plural(self._rounds, "round")
        if unbroken := self._unbroken():
            return f"nothing proven to last in {rounds}; {unbroken}"
        (at, ln_e), (at_now, ln_e_now) = _largest(self._corrected()), _largest(self._corrected_now())
        nearest = f"{self._hypotheses[at].lasting()} ({self._evidence(ln_e)})" if self._hypotheses[at].ln_e > 0 else ""
        if ln_e_now >= self._ln_needed:
            now = f"{self._hypotheses[at_now].now()} ({self._evidence(ln_e_now)})"
            but = f"counted by episodes: {nearest}" if nearest else "outages of equal targets explain it as well"
            return f"nothing proven to last in {rounds}; while the test ran, {now}; {but}"
        if nearest:
            return f"nothing proven in {rounds}; nearest to it: {nearest}"
        return f"nothing proven in {rounds}: no evidence of a difference"

    def _decide(self) -> None:
        if all(max(h.ln_e, h.ln_e_now) < self._ln_needed for h in self._hypotheses):
            return  # a correction only lowers them
        at, ln_e = _largest(self._corrected())
        if ln_e >= self._ln_needed:
            proof = f"{self._hypotheses[at].lasting()} ({self._evidence(ln_e)})"
            sure = f"at {self._confidence} % confidence however often one looked"
            after = f"proven after {plural(self._rounds, 'round')}, {sure}; {self._hypotheses[at].cause()}"
            self._decided, self.proven = f"{proof}: {after}", True
        elif self._rounds >= DEAD_ROUNDS:
            self._decided = self._unbroken()

    def _unbroken(self) -> str | None:
        """The statement about a target that never passed, once that is beyond chance."""
        for hypothesis, ln_e in zip(self._hypotheses, self._corrected_now(), strict=True):
            if ln_e >= self._ln_needed and hypothesis.unbroken():
                return f"{hypothesis.now()} ({self._evidence(ln_e)}): {UNBROKEN}"
        return None

    def _corrected(self) -> list[float]:
        return closed([hypothesis.ln_e for hypothesis in self._hypotheses])

    def _corrected_now(self) -> list[float]:
        return closed([hypothesis.ln_e_now for hypothesis in self._hypotheses])

    def _evidence(self, ln_e: float) -> str:
        claims = len(self._hypotheses)
        several = f" after correction for {claims} claims" if claims > 1 else ""
        return f"e = {exp(min(ln_e, 30.0)):.3g}{several}, {exp(self._ln_needed):.3g} needed"


def _largest(ln_e_values: Sequence[float]) -> tuple[int, float]:
    """The position of the largest value, and the value."""
    at = max(range(len(ln_e_values)), key=ln_e_values.__getitem__)
    return at, ln_e_values[at]
