"""The figures of one arm: pass rate, failures by class, percentiles of times, and the pass rate of chained uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from kmon.format import Column
from kmon.stats.chains import Compound, compounds
from kmon.stats.episodes import Clustering, clustering
from kmon.stats.outcome import OUTCOMES, UNCOUNTED, OutcomeName
from kmon.stats.statistics import Interval, clopper_pearson, rate_words
from kmon.stats.survival import Percentile, SurvivalTime, kaplan_meier
from kmon.stats.trial import Trial

PERCENTILES = (0.5, 0.9, 0.99)


class ArmFigures(Struct, frozen=True):
    """One arm of a test. Rates are shares of the ``n`` runs that count; times are in seconds.

    ``interval`` is exact and two-sided. ``at_most_failing`` is the same interval seen from the other side when no run
    failed: the highest failure rate that it holds.
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
    clustered: Clustering | None = None
    """Whether the failures came in runs; None without a failure."""
    cut_short: int = 0
    """Runs that the user ended before they had passed or failed; no rate includes them."""
    worst: float | None = None
    """The pass rate if all runs that were cut short had failed; None if none counts and none was cut short."""
    best: float | None = None
    """The same if all of them had passed."""

    @property
    def mostly_limited(self) -> bool:
        """Whether more than half of its runs were refused for their rate, so that the others say little."""
        return self.rate_limited > self.n + self.cut_short

    @property
    def failed(self) -> int:
        return self.n - self.passes


class Rate(Protocol):
    """A value with a pass rate in words."""

    @property
    def words(self) -> str: ...


PASS_RATE = Column[Rate](
    "pass rate (95 %)", lambda rate: rate.words, width=34, help="the share that passed, with its 95 % interval"
)
"""The column in the table of a verdict and on the board."""


def figures(name: str, trials: Sequence[Trial]) -> ArmFigures:
    """The figures of the runs of one arm. ``trials`` must not be empty."""
    outcomes = Counter(trial.outcome for trial in trials)
    n = sum(trial.counted for trial in trials)
    passes, cut_short = outcomes["pass"], outcomes["cut-short"]
    interval = clopper_pearson(passes, n) if n else None
    return ArmFigures(
        name=name,
        target=trials[0].target,
        scenario=trials[0].scenario,
        n=n,
        passes=passes,
        words=rate_words(passes, n),
        rate=passes / n if n else None,
        interval=interval,
        at_most_failing=1 - interval.low if interval is not None and passes == n else None,
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
        clustered=clustering([trial.failed for trial in sorted(trials, key=lambda t: t.round) if trial.counted]),
        cut_short=cut_short,
        worst=passes / (n + cut_short) if n + cut_short else None,
        best=(passes + cut_short) / (n + cut_short) if n + cut_short else None,
    )


def _percentiles(waits: Sequence[SurvivalTime | None]) -> tuple[Percentile, ...]:
    curve = kaplan_meier(wait for wait in waits if wait is not None)
    return tuple(curve.percentile(share) for share in PERCENTILES)
