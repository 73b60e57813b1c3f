"""A sequential test: evidence that may be examined after every round, and may stop a race, without inflating the error.

What it proves are lasting differences, by e-values over episodes of failures, so that one long outage proves nothing.
That a difference was there while the test ran is a weaker statement, for which every round counts. The summary tells
it, and it stops a race only when the worse target never passed in 20 rounds: more requests to it would tell no more.
A third kind, with an error of its own: that of two arms whose runs passed one waits longer (``sequential_waits.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from kmon.errors import UsageError
from kmon.format import plural
from kmon.model import Scenario, Target
from kmon.stats.cause import cause
from kmon.stats.e_values import closed
from kmon.stats.effect_words import effect_words
from kmon.stats.episode_words import NEITHER, OUTAGES, UNBROKEN
from kmon.stats.hypotheses import AboveRate, BelowRate, Hypothesis, PairDiffers
from kmon.stats.pairs import Factor, differing
from kmon.stats.question import Question, claims
from kmon.stats.sequential_waits import PairWaits, proven_waits, waits_told
from kmon.stats.trial import Arm, Trial, arm_names

DEAD_ROUNDS = 20
"""A target that has not passed in so many rounds ends the test: shorter outages are common, and may pass."""
_TIED = 1e-9
"""Log e-values that differ by less are the same evidence."""


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
        question: Question | None = None,
        stops: bool = True,
        alpha: float = 0.05,
    ) -> None:
        """Raises :class:`UsageError` for a single arm without a pass rate, and for a pass rate outside 0 to 1.

        With a ``question`` only the pairs that it asks for are tested. A test that ``stops`` keeps its first decision;
        else the rounds after it count, too, and the latest decision is told.
        """
        targets = {target.name: target for target, _ in rows}
        scenarios = {scenario.name: scenario for _, scenario in rows}
        self._arms = list(dict.fromkeys(Arm(target.name, scenario.name) for target, scenario in rows))
        if pass_rate is not None and not 0 < pass_rate < 1:
            raise UsageError(f"a pass rate of {pass_rate:g} cannot be proven; give one between 0 and 1, such as 0.95")
        if len(self._arms) < 2 and pass_rate is None:
            raise UsageError("one target alone proves nothing; add another, or a pass rate to hold it against")
        names = arm_names(self._arms)
        self._hypotheses: list[Hypothesis] = [
            PairDiffers(pair, names, differing(*pair, targets, scenarios)) for pair in claims(self._arms, question)
        ]
        self._waits = [
            PairWaits(pair, names, differing(*pair, targets, scenarios)) for pair in claims(self._arms, question)
        ]
        if pass_rate is not None:
            for arm in self._arms:
                self._hypotheses += (BelowRate(arm, names[arm], pass_rate), AboveRate(arm, names[arm], pass_rate))
        self._ln_needed = log(1 / alpha)
        self._waiting: dict[int, dict[Arm, Trial]] = {}
        self._rounds = 0
        self._decided: str | None = None
        self._stops = stops
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
            if self._decided is None or not self._stops:
                for hypothesis in self._hypotheses:
                    hypothesis.add(runs)
                for pair in self._waits:
                    pair.add(runs)
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
            return unbroken
        lasting, now = self._lasting(), self._now()
        if max(now) >= self._ln_needed:
            strongest = [of for of, ln_e in zip(self._hypotheses, now, strict=True) if ln_e >= self._ln_needed]
            chance = f"Chance alone hardly explains that ({self._evidence(max(now))})"
            but = f"that it lasts is not proven in {rounds}: counted by episodes {self._evidence(max(lasting))}"
            text = f"{told(strongest, ' while the test ran')}. {chance}, but {but}"
            return f"{text}, so {OUTAGES} may explain it"
        nearest = [of for of, ln_e in zip(self._hypotheses, now, strict=True) if max(now) - ln_e < _TIED]
        if max(of.ln_e_now for of in nearest) <= 0:
            return f"nothing proven in {rounds}: no evidence of a difference"
        unproven = f"This is not proven in {rounds}: chance alone may explain it ({self._evidence(max(now))})"
        return f"{told(nearest, ' here')}. {unproven}"

    def _decide(self) -> None:
        # the correction for several hypotheses, which costs more, only lowers their evidence
        if any(max(of.ln_e, of.ln_e_now) >= self._ln_needed for of in self._hypotheses):
            self._decide_by_failures()
        longer, ln_e = proven_waits(self._waits, self._ln_needed)
        if longer and not self.proven and (self._decided is None or not self._stops):
            self._decided = waits_told(longer, self._evidence(ln_e, len(self._waits)))

    def _decide_by_failures(self) -> None:
        lasting = self._lasting()
        if max(lasting) >= self._ln_needed:
            proven = [of for of, ln_e in zip(self._hypotheses, lasting, strict=True) if ln_e >= self._ln_needed]
            evidence = f"after {plural(self._rounds, 'round')}, however often one looked"
            sure = f"This is proven {evidence} ({self._evidence(max(lasting))})"
            explains = f": {NEITHER}" if any(isinstance(of, PairDiffers) for of in proven) else ""
            self._decided, self.proven = f"{told(proven)}. {sure}{explains}. {causes(proven)}", True
        elif self._rounds >= DEAD_ROUNDS and not self.proven:
            self._decided = self._unbroken()

    def _unbroken(self) -> str | None:
        """The statement about targets that never passed, once that is beyond chance."""
        now = self._now()
        unbroken = [
            of for of, ln_e in zip(self._hypotheses, now, strict=True) if ln_e >= self._ln_needed and of.unbroken()
        ]
        if not unbroken:
            return None
        chance = f"Chance alone hardly explains that ({self._evidence(max(now))})"
        return f"{told(unbroken, ' while the test ran')}. {chance}. But {UNBROKEN}"

    def _lasting(self) -> list[float]:
        return closed([hypothesis.ln_e for hypothesis in self._hypotheses])

    def _now(self) -> list[float]:
        return closed([hypothesis.ln_e_now for hypothesis in self._hypotheses])

    def _evidence(self, ln_e: float, among: int = 0) -> str:
        claimed = among or len(self._hypotheses)
        several = f", corrected for {claimed} claims" if claimed > 1 else ""
        return f"e = {exp(min(ln_e, 30.0)):.3g}{several}; {exp(self._ln_needed):.3g} needed"


def told(hypotheses: Sequence[Hypothesis], here: str = "") -> str:
    """The statements with their effects; ``here`` limits those about pairs."""
    effects = [of.effect() for of in hypotheses if isinstance(of, PairDiffers)]
    rates = [of.words() for of in hypotheses if isinstance(of, BelowRate | AboveRate)]
    return ". ".join([*([effect_words(effects, here=here)] if effects else []), *rates])


def causes(hypotheses: Sequence[Hypothesis]) -> str:
    """What the proofs say about causes."""
    differing_from: dict[str, list[tuple[str, tuple[Factor, ...]]]] = {}
    for of in hypotheses:
        if isinstance(of, PairDiffers):
            effect = of.effect()
            differing_from.setdefault(effect.worse, []).append((effect.better, of.factors))
    unsaid = dict.fromkeys(of.unsaid for of in hypotheses if isinstance(of, BelowRate | AboveRate))
    return ". ".join([*(cause(others) for others in differing_from.values()), *unsaid])
