"""Numbers for people: one unit per figure, always written, never a column of mixed units."""

from __future__ import annotations

from bisect import bisect_left

from kmon.stream.timeline import S, Timeline

RATE_WINDOW_NS = 3 * S


def seconds(ns: int, decimals: int = 1) -> str:
    """``17.2 s``; whole seconds from 100 s up."""
    value_s = ns / S
    return f"{value_s:.0f} s" if value_s >= 100 else f"{value_s:.{decimals}f} s"


def threshold(ns: int) -> str:
    """``5``, ``1.84``: seconds as a user would write them, no more than two decimals."""
    return f"{round(ns / S, 2):g}"


def clock(ns: int) -> str:
    """``00:42``; hours only when there are any."""
    total_s = max(0, ns) // S
    hours, rest = divmod(total_s, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60:02}:{rest % 60:02}"


def count(number: int) -> str:
    """``128``, ``5.1 k``, ``2.3 M``."""
    if number < 1000:
        return str(number)
    return f"{number / 1000:.1f} k" if number < 999_950 else f"{number / 1_000_000:.1f} M"


def plural(number: int, word: str) -> str:
    """``1 stall``, ``2 stalls``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def rate(per_s: float) -> str:
    """``61/s``, ``0.3/s``; empty when nothing arrives."""
    if per_s <= 0:
        return ""
    return f"{per_s:.0f}/s" if per_s >= 1 else f"{per_s:.1f}/s"


def chunk_rate(timeline: Timeline, now_ns: int) -> float:
    """Progress chunks per second over the last three seconds (or since the first chunk, if that is nearer)."""
    stamps = timeline.arrivals_ns
    if not stamps:
        return 0.0
    since_ns = max(now_ns - RATE_WINDOW_NS, stamps[0])
    recent = len(stamps) - bisect_left(stamps, since_ns)
    return recent / (max(now_ns - since_ns, S) / S)
