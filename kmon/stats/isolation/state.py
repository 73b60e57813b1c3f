"""What an isolation knows so far, and what it concludes: values for the board, the lines and JSON."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kmon.stats.isolation.causes import Kind
from kmon.stats.statistics import Interval, clopper_pearson

ConclusionKind = Literal["factor", "pair", "either", "none-of-them", "does-not-fail", "not-explained"]
Reason = Literal["", "vanished", "budget"]


class Rate(Struct, frozen=True):
    """How often requests failed. ``interval`` is the exact 95 % one of the failure rate; 0 to 1 without any run."""

    runs: int
    failures: int
    interval: Interval


def rate_of(failures: int, runs: int) -> Rate:
    """The rate of a number of failures."""
    return Rate(runs, failures, clopper_pearson(failures, runs) if runs else Interval(0.0, 1.0))


class FactorState(Struct, frozen=True):
    """A factor. ``probability`` that it belongs to the cause, ``ln_e`` the log e-value against "it has no effect".

    A dropped factor is no longer changed; ``why`` says for what reason.
    """

    factor: int
    as_reported: Rate
    changed: Rate
    probability: float
    ln_e: float
    dropped: bool
    why: str


class Explanation(Struct, frozen=True):
    """A possible cause with its probability; without factors: none of them makes a difference."""

    kind: Kind | Literal["none-of-them"]
    factors: tuple[int, ...]
    probability: float


class IsolationState(Struct, frozen=True):
    """``silent`` requests said nothing. ``confirming``: the request as reported is repeated, to see if it still fails.

    ``clustered_p``: chance that failing blocks come in so few runs if they are scattered; ``drift_p``: chance that the
    failures of the first and the second half differ so much if the rate is constant. Small ones are to be told.
    """

    requests: int
    max_requests: int
    failures: int
    silent: int
    request_as_reported: Rate
    factors: tuple[FactorState, ...]
    explanations: tuple[Explanation, ...]
    ln_needed: float
    confirming: bool
    clustered_p: float
    drift_p: float


class Conclusion(Struct, frozen=True):
    """The answer. ``with_cause`` and ``without`` are the rates in requests that have the cause and in those that lack
    it; without a cause, of the request as reported and of all that were changed.

    ``ln_e``: log e-value of the cause, ``alternatives``: other explanations that stay possible, the likeliest first.
    ``reason`` tells why nothing is explained: the failures stopped, or the requests were not enough.
    ``unbroken``: no request passed, so that one outage during the whole test would look the same.
    """

    kind: ConclusionKind
    factors: tuple[int, ...]
    with_cause: Rate
    without: Rate
    probability: float
    ln_e: float
    alternatives: tuple[Explanation, ...]
    requests: int
    reason: Reason = ""
    unbroken: bool = False
