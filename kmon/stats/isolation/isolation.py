"""Finds the factor that explains the failures of a request: which requests to send next, and when to stop.

As long as the request fails, every block varies all factors that may still belong to the cause: with half of the
requests on either side, each of them tells nearly as much about each factor as if that factor alone were tested. When
nothing has failed for a while, the request is repeated as reported, since then it is the question whether it still
fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, log1p
from random import Random

from kmon.stats.isolation.blocks import Block, as_reported, draw, slots
from kmon.stats.isolation.causes import Cause
from kmon.stats.isolation.design import Config, Design
from kmon.stats.isolation.evidence import Evidence
from kmon.stats.isolation.ledger import Ledger
from kmon.stats.isolation.state import Conclusion, ConclusionKind, Explanation, FactorState, IsolationState, Reason

SURE = 0.9
"""Probability from which a single factor is told. It must be proven to have an effect as well."""
SURE_OF_TWO = 0.95
"""The same for two factors: one of them may be innocent and have had bad luck."""
NONE_SURE = 0.95
"""The same for "none of them"."""
DROP_BELOW = 0.001
"""Probability of belonging to the cause below which a factor is not changed any more."""
TOLD = 0.01
"""Probability from which another explanation stays possible."""
QUIET_AT_FIRST, QUIET_LATER = 12, 24
"""Passes in a row after which the request is repeated as reported; the latter once something has failed."""
VANISHED = 5
"""Failures that cannot be a rare background: if nothing fails afterwards, the failures have stopped."""
LN_20 = log(20)


class Isolation:
    """One experiment: send :meth:`next_block`, hand the outcomes to :meth:`add`, until there is a conclusion."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._random = Random(design.seed)
        self._evidence = Evidence(design)
        self._ledger = Ledger(design)
        self._pending: Block | None = None
        self._conclusion: Conclusion | None = None

    def next_block(self) -> tuple[Config, ...]:
        """The requests to send now, together and in this order; none when decided or when no more may be sent.

        The same block until its outcomes were added.
        """
        if self._pending is None and self._conclusion is None:
            size = min(self._design.block, self._left)
            if self._confirming:
                self._pending = as_reported(self._design, size)
            else:
                self._pending = draw(self._design, self._opened(), size, self._random)
        return () if self._pending is None else self._pending.configs

    def add(self, block: Sequence[tuple[Config, bool | None]]) -> None:
        """Add the outcomes of the block: True failed, False passed, None says nothing, as does a missing request.

        Raises ValueError if no block is open, or for a request that was not in it.
        """
        if self._pending is None:
            raise ValueError("no block is open")
        outcomes = slots(self._pending, block)
        self._ledger.add(self._pending, outcomes)
        self._evidence.add(self._pending, outcomes)
        self._pending = None
        self._conclusion = self._concluded()

    def conclusion(self) -> Conclusion | None:
        """The answer, once there is one."""
        return self._conclusion

    def state(self) -> IsolationState:
        """What is known so far."""
        opened = self._opened()
        shares = self._shares()
        return IsolationState(
            requests=self._ledger.requests,
            max_requests=self._design.max_requests,
            failures=self._ledger.failures,
            silent=self._ledger.silent,
            request_as_reported=self._ledger.rate(all),
            factors=tuple(
                self._factor(factor, shares[factor], factor not in opened) for factor in range(self._design.factors)
            ),
            explanations=self._explanations(),
            ln_needed=self._design.ln_needed,
            confirming=self._confirming,
            clustered_p=self._ledger.clustered_p(),
            drift_p=self._ledger.drift_p(),
        )

    def _factor(self, factor: int, probability: float, dropped: bool) -> FactorState:
        reported, changed = self._ledger.rates(Cause("factor", (factor,)))
        why = f"less than {DROP_BELOW:.1%} likely to matter" if dropped else ""
        return FactorState(factor, reported, changed, probability, self._evidence.ln_e(factor), dropped, why)

    @property
    def _left(self) -> int:
        return self._design.max_requests - self._ledger.requests

    @property
    def _confirming(self) -> bool:
        return self._ledger.quiet >= (QUIET_LATER if self._ledger.failures else QUIET_AT_FIRST)

    def _shares(self) -> list[float]:
        shares = [0.0] * self._design.factors
        for cause, probability in self._evidence.probabilities().items():
            for factor in () if cause is None else cause.factors:
                shares[factor] += probability
        return shares

    def _opened(self) -> list[int]:
        return [factor for factor, share in enumerate(self._shares()) if share >= DROP_BELOW]

    # -- conclusions -------------------------------------------------------------------------------------------------

    def _concluded(self) -> Conclusion | None:
        probabilities = self._evidence.probabilities()
        best = max(probabilities, key=lambda cause: probabilities[cause])
        if best is not None and self._proven(best, probabilities[best]):
            return self._conclude(best.kind, best)
        if self._vanished():
            return self._conclude("not-explained", reason="vanished")
        if self._ledger.ln_e_does_not_fail() >= LN_20:
            return self._conclude("does-not-fail")
        if probabilities[None] >= NONE_SURE or self._ledger.ln_e_always_fails() >= self._design.ln_needed:
            return self._conclude("none-of-them")
        if self._left < 2:
            return self._conclude("not-explained", reason="budget")
        return None

    def _proven(self, cause: Cause, probability: float) -> bool:
        if cause.kind == "factor":
            return probability >= SURE and self._ln_e(cause) >= self._design.ln_needed
        return probability >= SURE_OF_TWO and self._ln_e(cause) >= self._design.ln_needed_of_two

    def _vanished(self) -> bool:
        enough = ceil(LN_20 / -log1p(-self._design.rate))
        return self._ledger.failures >= VANISHED and self._ledger.quiet_as_reported >= enough

    def _conclude(self, kind: ConclusionKind, cause: Cause | None = None, reason: Reason = "") -> Conclusion:
        with_cause, without = self._ledger.rates(cause)
        mine = (kind, () if cause is None else cause.factors)
        return Conclusion(
            kind=kind,
            factors=mine[1],
            with_cause=with_cause,
            without=without,
            probability=self._evidence.probabilities()[cause],
            ln_e=0.0 if cause is None else self._ln_e(cause),
            alternatives=tuple(each for each in self._explanations() if (each.kind, each.factors) != mine),
            requests=self._ledger.requests,
            reason=reason,
            unbroken=0 < self._ledger.failures == self._ledger.requests - self._ledger.silent,
        )

    def _ln_e(self, cause: Cause) -> float:
        """Of two factors, the weaker one's: neither may be innocent."""
        if cause.kind == "factor":
            return self._evidence.ln_e_alone(cause.factors[0])
        return min(self._evidence.ln_e_learned(factor) for factor in cause.factors)

    def _explanations(self) -> tuple[Explanation, ...]:
        """Everything that is still possible, the likeliest first."""
        found = [
            Explanation("none-of-them" if cause is None else cause.kind, () if cause is None else cause.factors, share)
            for cause, share in self._evidence.probabilities().items()
            if share >= TOLD
        ]
        return tuple(sorted(found, key=lambda each: -each.probability))
