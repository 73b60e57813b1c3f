"""The figures of one arm: pass rate, failures by class, percentiles of times, and the pass rate of chained uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from kmon.format import Column
from kmon.stats.chains import Compound, compounds
from kmon.stats.outcome import OUTCOMES, UNCOUNTED, OutcomeName
from kmon.stats.statistics import Interval, at_most, rate_words, wilson
from kmon.stats.survival import Percentile, SurvivalTime, kaplan_meier
from kmon.stats.trial import Trial

PERCENTILES = (0.5, 0.9, 0.99)


class ArmFigures(Struct, frozen=True):
    """One arm of a test. Rates are shares of the ``n`` runs that count; times are in seconds.

    ``at_most_failing`` replaces the interval when no run failed: the upper bound of the failure rate.
    """

    name: str
    target: str
    scenario: str
    n: int
    passes: int
    words: str
    rate: float | None
    interval: Interval | None
    at_most_failing: float | None
    failures: dict[OutcomeName, int]
    rate_limited: int
    not_asked: int
    cancelled: int
    disturbed: int
    """Runs that this machine disturbed; no other figure includes them."""
    ttft_s: tuple[Percentile, ...]
    max_gap_s: tuple[Percentile, ...]
    duration_s: tuple[Percentile, ...]
    compound: tuple[Compound, ...]

    @property
    def failed(self) -> int:
        return self.n - self.passes


class Rate(Protocol):
    """A value with a pass rate in words."""

    @property
    def words(self) -> str: ...


PASS_RATE = Column[Rate](
    "pass rate (95 %)", lambda rate: rate.words, width=42, help="the share that passed, with its 95 % interval"
)
"""The column in the table of a verdict and on the board."""


def figures(name: str, trials: Sequence[Trial]) -> ArmFigures:
    """The figures of the runs of one arm. ``trials`` must not be empty."""
    outcomes = Counter(trial.outcome for trial in trials)
    n = sum(trial.counted for trial in trials)
    passes = outcomes["pass"]
    return ArmFigures(
        name=name,
        target=trials[0].target,
        scenario=trials[0].scenario,
        n=n,
        passes=passes,
        words=rate_words(passes, n),
        rate=passes / n if n else None,
        interval=wilson(passes, n) if n else None,
        at_most_failing=at_most(n) if n and passes == n else None,
        failures={
            outcome: outcomes[outcome]
            for outcome in OUTCOMES
            if outcome != "pass" and outcome not in UNCOUNTED and outcomes[outcome]
        },
        rate_limited=outcomes["rate-limited"],
        not_asked=outcomes["not-asked"],
        cancelled=outcomes["cancelled"],
        disturbed=outcomes["disturbed"],
        ttft_s=_percentiles([trial.first_token() for trial in trials]),
        max_gap_s=_percentiles([trial.longest_gap() for trial in trials]),
        duration_s=_percentiles([trial.whole() for trial in trials]),
        compound=compounds(trials),
    )


def _percentiles(waits: Sequence[SurvivalTime | None]) -> tuple[Percentile, ...]:
    curve = kaplan_meier(wait for wait in waits if wait is not None)
    return tuple(curve.percentile(share) for share in PERCENTILES)
