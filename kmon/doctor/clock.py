"""How far this machine's clock is from a server's, by the ``Date`` of its answers."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from msgspec import Struct

DATE_STEP_S = 1.0
"""A ``Date`` header tells whole seconds, cut off."""


class Reading(Struct, frozen=True):
    """One answer: its Date, and this machine's wall clock before the request and after the headers (s since 1970)."""

    server_s: float
    sent_s: float
    received_s: float


class Skew(Struct, frozen=True):
    """This clock minus the server's: the truth lies within ``uncertainty_s`` of ``ahead_s``."""

    ahead_s: float
    uncertainty_s: float

    @property
    def least_s(self) -> float:
        """How far apart the clocks are at least, either way."""
        return max(0.0, abs(self.ahead_s) - self.uncertainty_s)


def server_time_s(date: str | None) -> float | None:
    """A ``Date`` header in seconds since 1970, or None if it is none."""
    try:
        moment = parsedate_to_datetime(date or "")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def skew(readings: Sequence[Reading]) -> Skew | None:
    """What all readings together allow; None without any.

    The server wrote its Date between our sending and our receiving, and up to a second after the second it names.
    Every reading therefore bounds the skew, and together they bound it more closely. Should they contradict each other
    (several machines answer to one name), the bounds are taken that hold them all.
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
    """``0.2 s ahead of the server (± 0.5 s)``; ``agrees`` where the uncertainty is the larger."""
    if found.least_s == 0:
        return f"agrees with the server's (± {found.uncertainty_s:.1f} s)"
    way = "ahead of" if found.ahead_s > 0 else "behind"
    return f"{abs(found.ahead_s):.1f} s {way} the server's (± {found.uncertainty_s:.1f} s)"
