"""A race that may be stopped by what it shows: evidence counted round by round, valid whenever one looks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import exp, log
from typing import NamedTuple

from kmon.errors import UsageError
from kmon.format import percent, plural
from kmon.model import Scenario, Target
from kmon.stats.compare import arm_names
from kmon.stats.conclusion import cause
from kmon.stats.factors import differing
from kmon.stats.sequential import ln_e_pairs_differ, ln_e_rate_above
from kmon.stats.trial import Arm, Trial


class Claim(NamedTuple):
    """Something that may be proven: the natural logarithm of its evidence, and how to say it."""

    ln_e: float
    words: str
    cause: str


class SequentialTest:
    """Fed with trials as they end. Say who is racing, and the pass rate to hold each against, if there is one.

    Rounds are taken in their own order and only when complete: a timeout is known later than a pass, and counting
    results as they come in would favour whoever fails slowly. The evidence needed is shared between all claims.
    """

    def __init__(
        self,
        rows: Sequence[tuple[Target, Scenario]],
        *,
        pass_rate: float | None = None,
        alpha: float = 0.05,
    ) -> None:
        """Raises :class:`UsageError` when there is nothing that could be proven."""
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
        claims = len(self._pairs) + (2 * len(self._arms) if pass_rate is not None else 0)
        self._ln_needed = log(claims / alpha)
        self._confidence = percent(1 - alpha)
        self._waiting: dict[int, dict[Arm, Trial]] = {}
        self._rounds = 0
        self._proof: str | None = None
        self._alone: dict[tuple[Arm, Arm], int] = {}
        self._failed = dict.fromkeys(self._arms, 0)
        self._counted = dict.fromkeys(self._arms, 0)

    def add(self, trial: Trial) -> None:
        """Take in one run that has ended; of several in one round the first stands."""
        if trial.round <= self._rounds or trial.arm not in self._failed:
            return
        self._waiting.setdefault(trial.round, {}).setdefault(trial.arm, trial)
        while len(self._waiting.get(self._rounds + 1, ())) == len(self._arms):
            self._rounds += 1
            self._count(self._waiting.pop(self._rounds))
            self._proof = self._proof or self._proven()

    def decided(self) -> str | None:
        """What has been proven, with its evidence; None while nothing is. Runs that end after that change nothing."""
        return self._proof

    def summary(self) -> str:
        """What has been proven, or how far the evidence has come."""
        if self._proof is not None:
            return self._proof
        claim = self._strongest()
        if claim.ln_e <= 0:
            return f"nothing proven in {self._said_rounds()}: no evidence of a difference"
        return f"nothing proven in {self._said_rounds()}; nearest to it: {claim.words} ({self._evidence(claim)})"

    def _proven(self) -> str | None:
        claim = self._strongest()
        if claim.ln_e < self._ln_needed:
            return None
        sure = f"proven after {self._said_rounds()}, at {self._confidence} % confidence however often one looked"
        return f"{claim.words} ({self._evidence(claim)}): {sure}; {claim.cause}"

    def _count(self, runs: dict[Arm, Trial]) -> None:
        for arm, trial in runs.items():
            self._counted[arm] += trial.counted
            self._failed[arm] += trial.failed
        for first, second in self._pairs:
            if runs[first].counted and runs[second].counted and runs[first].failed != runs[second].failed:
                loser = (first, second) if runs[first].failed else (second, first)
                self._alone[loser] = self._alone.get(loser, 0) + 1

    def _strongest(self) -> Claim:
        claims = [self._pair(first, second) for first, second in self._pairs]
        if self._pass_rate is not None:
            for arm in self._arms:
                claims += self._against_rate(arm, self._pass_rate)
        return max(claims, key=lambda claim: claim.ln_e)

    def _pair(self, first: Arm, second: Arm) -> Claim:
        b, c = self._alone.get((first, second), 0), self._alone.get((second, first), 0)
        worse, better = (first, second) if b >= c else (second, first)
        alone = f"it alone failed in {max(b, c)} rounds, the other alone in {min(b, c)}"
        words = f"{self._names[worse]} fails more than {self._names[better]}, {alone}"
        return Claim(ln_e_pairs_differ(b, c), words, cause(differing(first, second, self._targets, self._scenarios)))

    def _against_rate(self, arm: Arm, rate: float) -> tuple[Claim, Claim]:
        n, failed = self._counted[arm], self._failed[arm]
        limit, passed = f"{percent(rate)} %", f"{n - failed} of {n} passed"
        unsaid = "it does not tell why"
        less = f"{self._names[arm]} passes less than {limit} of its runs, {passed}"
        more = f"{self._names[arm]} passes more than {limit} of its runs, {passed}"
        return (
            Claim(ln_e_rate_above(failed, n, 1 - rate), less, unsaid),
            Claim(ln_e_rate_above(n - failed, n, rate), more, unsaid),
        )

    def _evidence(self, claim: Claim) -> str:
        return f"e = {exp(min(claim.ln_e, 30.0)):.3g}, {exp(self._ln_needed):.3g} needed"

    def _said_rounds(self) -> str:
        return plural(self._rounds, "round")
