"""Finds the factor that explains the failures of a request: which requests to send next, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from random import Random

from kmon.stats.isolation.blocks import Block, as_reported, draw, slots
from kmon.stats.isolation.causes import Cause
from kmon.stats.isolation.design import Config, Design
from kmon.stats.isolation.evidence import Evidence
from kmon.stats.isolation.ledger import Ledger
from kmon.stats.isolation.state import Conclusion, ConclusionKind, Explanation, FactorState, IsolationState, Reason

SURE = 0.95
"""Probability from which a cause is told."""
PAIR_SURE = 0.95
"""x"""
NONE_SURE = 0.95
"""The same for "none of them", which no e-value guards."""
DROP_BELOW = 0.001
"""Probability of belonging to the cause below which a factor is not changed any more."""
QUIET = 16
"""Passes in a row after which the request as reported is repeated, to see if it still fails."""
LN_20 = log(20)
NEED1=log(320)
NEED2=log(2240)
NEEDJ=log(20)


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
            size = min(self._design.block, self._design.max_requests - self._ledger.requests)
            self._pending = self._drawn(size)
        return () if self._pending is None else self._pending.configs

    def add(self, results: Sequence[tuple[Config, bool | None]]) -> None:
        """Add the outcomes of the block: True failed, False passed, None says nothing, as does a missing request.

        Raises ValueError if there is no such block.
        """
        if self._pending is None:
            raise ValueError("no block is open")
        block, outcomes = self._pending, slots(self._pending, results)
        self._pending = None
        self._ledger.add(block, outcomes)
        self._evidence.add(block, outcomes)
        self._conclusion = self._concluded()

    def _drawn(self, size: int) -> Block:
        if self._confirming():
            return as_reported(self._design, size)
        settled = self._settled()
        opened = [j for j in self._opened() if j not in settled]
        return draw(self._design, opened, size, self._random)

    def _kind_share(self, factor, kind):
        return sum(p for c, p in self._evidence.probabilities().items() if c is not None and c.kind == kind and factor in c.factors)

    def _settled(self):
        probabilities = self._evidence.probabilities()
        best = max(probabilities, key=lambda cause: probabilities[cause])
        if best is None: return []
        if best.kind != "pair": return []
        got = [j for j in best.factors if self._evidence.ln_e[j] >= LN_20]
        return got if len(got) < 2 else []

    def _confirming(self) -> bool:
        return self._ledger.quiet >= (12 if self._ledger.failures == 0 else 24)

    def _opened(self) -> list[int]:
        shares = self._shares()
        return [factor for factor in range(self._design.factors) if shares[factor] >= DROP_BELOW]

    def _shares(self) -> list[float]:
        probabilities = self._evidence.probabilities()
        return [
            sum(p for cause, p in probabilities.items() if cause is not None and factor in cause.factors)
            for factor in range(self._design.factors)
        ]

    # -- conclusions -------------------------------------------------------------------------------------------------

    def conclusion(self) -> Conclusion | None:
        """The answer, once there is one."""
        return self._conclusion

    def _concluded(self) -> Conclusion | None:
        probabilities = self._evidence.probabilities()
        best = max(probabilities, key=lambda cause: probabilities[cause])
        if best is not None and probabilities[best] >= (SURE if best.kind == 'factor' else PAIR_SURE) and self._proven(best):
            return self._conclude(best.kind, best)
        if self._ledger.ln_e_does_not_fail() >= LN_20:
            return self._conclude("does-not-fail")
        if (best is None and probabilities[None] >= NONE_SURE) or self._ledger.ln_e_always_fails() >= LN_20:
            return self._conclude("none-of-them")
        if self._confirming() and self._ledger.quiet_as_reported >= self._ledger.enough_quiet:
            return self._conclude("not-explained", reason="vanished")
        if self._design.max_requests - self._ledger.requests < 2:
            return self._conclude("not-explained", reason="budget")
        return None

    def _proven(self, cause: Cause) -> bool:
        """A single factor must be proven by itself; of two, that they matter, and each of them on its own at 1 in 20."""
        ln_e = [self._evidence.ln_e[factor] for factor in cause.factors]
        if cause.kind == "factor":
            return ln_e[0] >= NEED1
        return min(ln_e) >= NEEDJ and self._evidence.ln_e_cause(cause) >= NEED2

    def _conclude(self, kind: ConclusionKind, cause: Cause | None = None, reason: Reason = "") -> Conclusion:
        explanations = self._explanations()
        probability = self._evidence.probabilities()[cause]
        with_cause, without = self._ledger.rates(cause)
        ln_e = 0.0 if cause is None else self._evidence.ln_e_cause(cause)
        return Conclusion(
            kind=kind,
            factors=() if cause is None else cause.factors,
            with_cause=with_cause,
            without=without,
            probability=probability,
            ln_e=ln_e,
            alternatives=explanations,
            requests=self._ledger.requests,
            reason=reason,
        )

    def _explanations(self) -> tuple[Explanation, ...]:
        return ()
