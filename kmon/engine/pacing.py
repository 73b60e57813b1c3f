"""When the rounds of a race may begin: evenly over a long time, with jitter, or a least time apart. Pure.

The schedule is on the monotonic clock, which no clock change moves and which stands still while the machine sleeps. The
boot clock goes on then, so that a round that begins late after a sleep is told.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from kmon.format import NS_PER_S, duration_words

JITTER = 0.25
"""The start of a round moves by up to this share of the spacing, so that rounds do not keep step with whatever happens
at the provider every minute or hour. Two rounds are at least half of the spacing apart."""
LATE_LEAST_S = 2.0
"""Less than this after its time, a round is not late."""
LATE_SHARE = 0.25
"""A round is late from this share of the spacing on."""


class Now(NamedTuple):
    """Two clocks read at once, in ns. ``boot_ns`` counts the time in which the machine sleeps as well."""

    monotonic_ns: int
    boot_ns: int


class Pacer:
    """Says how long to wait before each round. Rounds are numbered from 0 in the order in which they begin."""

    def __init__(self, *, rounds: int, spacing_s: float, over_s: float | None, seed: int | None) -> None:
        """``over_s`` spreads ``rounds`` over so many seconds, and ``spacing_s`` is the least time between two; only
        one of them is set."""
        self._spacing_s = spacing_s
        self._offsets_s = None if over_s is None else offsets_s(rounds, over_s, seed)
        self._between_s = over_s / rounds if over_s is not None else spacing_s
        self._first: Now | None = None
        self._last_ns = 0

    def wait_s(self, round_number: int, now_ns: int) -> float:
        """Seconds from ``now_ns`` on until the round may begin, 0 for one that is due."""
        if self._first is None:
            return 0.0
        if self._offsets_s is None:
            due_ns = self._last_ns + int(self._spacing_s * NS_PER_S)
        else:
            due_ns = self._first.monotonic_ns + int(self._offsets_s[round_number] * NS_PER_S)
        return max(0.0, (due_ns - now_ns) / NS_PER_S)

    def begin(self, round_number: int, now: Now) -> str:
        """Note that the round begins; returns a sentence if it is late, else empty."""
        if self._first is None:
            self._first = now
        self._last_ns = now.monotonic_ns
        if self._offsets_s is None:
            return ""
        late_s = (now.boot_ns - self._first.boot_ns) / NS_PER_S - self._offsets_s[round_number]
        if late_s < max(LATE_LEAST_S, LATE_SHARE * self._between_s):
            return ""
        slept_s = (now.boot_ns - self._first.boot_ns - now.monotonic_ns + self._first.monotonic_ns) / NS_PER_S
        why = "this machine slept" if slept_s >= late_s / 2 else "earlier runs were still open"
        return f"round {round_number + 1} begins {duration_words(late_s)} later than planned: {why}"


def offsets_s(rounds: int, over_s: float, seed: int | None) -> Sequence[float]:
    """The start of each round in s after the first: at even distances over ``over_s``, jittered by ``seed``."""
    between_s, jitter = over_s / rounds, random.Random(f"{seed}:pace")
    return [0.0, *(between_s * (number + jitter.uniform(-JITTER, JITTER)) for number in range(1, rounds))]
