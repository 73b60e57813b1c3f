"""Measures the difference between this machine's clock and a server's, from the ``Date`` headers of its responses."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from msgspec import Struct

DATE_STEP_S = 1.0
"""Resolution of a ``Date`` header: whole seconds, rounded down (RFC 9110, section 5.6.7)."""


class Reading(Struct, frozen=True):
    """One response: its Date, and this machine's wall clock at request and at headers (all s since 1970)."""

    server_s: float
    sent_s: float
    received_s: float


class Skew(Struct, frozen=True):
    """This clock minus the server's: ``ahead_s`` plus or minus ``uncertainty_s``."""

    ahead_s: float
    uncertainty_s: float

    @property
    def least_s(self) -> float:
        """Lower bound of the absolute difference (s)."""
        return max(0.0, abs(self.ahead_s) - self.uncertainty_s)


def server_time_s(date: str | None) -> float | None:
    """A ``Date`` header in seconds since 1970; None if it is missing or not a date."""
    try:
        moment = parsedate_to_datetime(date or "")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def skew(readings: Sequence[Reading]) -> Skew | None:
    """The skew that fits all readings; None without readings.

    The server set its Date between ``sent_s`` and ``received_s``, and the real time is up to ``DATE_STEP_S`` later
    than the Date. So each reading gives an interval for the skew, and the result is the intersection. If it is empty
    (several machines answer under one name), the result is the hull of all intervals.
    """
    if not readings:
        return None
    lows = [reading.sent_s - reading.server_s - DATE_STEP_S for reading in readings]
    highs = [reading.received_s - reading.server_s for reading in readings]
    low, high = max(lows), min(highs)
    if low > high:
        low, high = min(lows), max(highs)
    return Skew(round((low + high) / 2, 3), round((high - low) / 2, 3))


def described(found: Skew) -> str:
    """``0.2 s ahead of the server's (± 0.1 s)``; ``agrees with ...`` if the uncertainty is larger."""
    if found.least_s == 0:
        return f"agrees with the server's (± {found.uncertainty_s:.1f} s)"
    way = "ahead of" if found.ahead_s > 0 else "behind"
    return f"{abs(found.ahead_s):.1f} s {way} the server's (± {found.uncertainty_s:.1f} s)"
