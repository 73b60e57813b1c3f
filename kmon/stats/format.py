"""Figures in words that say no more than the figures do."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from kmon.stats.statistics import Interval, at_most, wilson


def percent(share: float, *, up: bool = False) -> str:
    """``share`` in percent, without the sign; ``up`` rounds upwards. Never rounded to 0 or 100 unless it is."""
    text = ""
    for decimals in range(4):
        scaled = share * 100
        if up:
            scaled = ceil(scaled * 10**decimals - 1e-9) / 10**decimals
        text = f"{scaled:.{decimals}f}"
        if share in (0.0, 1.0) or 0 < float(text) < 100:
            break
    return text


def interval_words(interval: Interval) -> str:
    """``31-83 %``."""
    return f"{percent(interval.low)}-{percent(interval.high)} %"


def rate_words(passes: int, n: int) -> str:
    """``60 % (31-83 %), 10 runs``; without a failure ``100 %, at most 26 % fail (95 %), 10 runs``."""
    if n == 0:
        return "no run counts"
    runs = f"{n} run{'' if n == 1 else 's'}"
    if passes == n:
        return f"100 %, at most {percent(at_most(n), up=True)} % fail (95 %), {runs}"
    return f"{percent(passes / n)} % ({interval_words(wilson(passes, n))}), {runs}"


def p_words(p: float) -> str:
    """``0.125``, ``< 0.0001``."""
    return f"{p:.3g}" if p >= 0.0001 else "< 0.0001"


def p_equals(p: float) -> str:
    """``p = 0.125``, ``p < 0.0001``."""
    words = p_words(p)
    return f"p {words}" if words.startswith("<") else f"p = {words}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
