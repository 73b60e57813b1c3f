from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, log, log1p, ceil

from kmon.stats.isolation.blocks import Block
from kmon.stats.isolation.causes import Cause
from kmon.stats.isolation.design import Config, Design
from kmon.stats.isolation.state import Rate
from kmon.stats.sequential_test import ln_e_rate_above
from kmon.stats.statistics import Interval


class Ledger:
    """Every request that was sent, in order, with its outcome."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._sent: list[tuple[Config, bool | None]] = []
        self.quiet = 0
        self.failures = 0
        self.quiet_as_reported = 0
        self.enough_quiet = ceil(log(20) / -log1p(-design.rate))+1

    @property
    def requests(self) -> int:
        return len(self._sent)

    def add(self, block: Block, outcomes: Sequence[bool | None]) -> None:
        for config, outcome in zip(block.configs, outcomes):
            self._sent.append((config, outcome))
        passes = outcomes.count(False)
        self.failures += outcomes.count(True)
        if True in outcomes:
            self.quiet = self.quiet_as_reported = 0
        else:
            self.quiet += passes
            if not block.varied: self.quiet_as_reported += passes

    def counts(self, config_ok) -> tuple[int,int]:
        got = [o for c, o in self._sent if o is not None and config_ok(c)]
        return len(got), sum(got)

    def rates(self, cause: Cause | None) -> tuple[Rate, Rate]:
        return Rate(0,0,Interval(0,1)), Rate(0,0,Interval(0,1))

    def ln_e_does_not_fail(self) -> float:
        n, f = self.counts(all)
        r = self._design.rate
        parts = [(.5, 1e-9), (.3, r/8), (.2, r / 3)]
        return log(fsum(w * (q/r) ** f * ((1-q)/(1-r)) ** (n-f) for w, q in parts))

    def ln_e_always_fails(self) -> float:
        es = []
        for j in range(self._design.factors):
            n, f = self.counts(lambda c: not c[j])
            es.append(ln_e_rate_above(f, n, .6) if n else 0.)
        return min(es)
