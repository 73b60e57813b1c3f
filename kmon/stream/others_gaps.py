"""The gaps of a closed attempt that this machine did not cause: what may be held against the other side. Pure."""

from __future__ import annotations

from kmon.stream.timeline import MS, Timeline


def others_gap_ns(timeline: Timeline) -> int | None:
    """The longest gap that this machine did not cause; None where it caused none."""
    own = timeline.own_starts_ns
    if not own:
        return None
    found = [gap_ns for gap_ns, start_ns in timeline.gaps() if start_ns not in own]
    found += [int(stall.duration_ms * MS) for stall in timeline.stalls if not stall.own]
    last_ns = timeline.progress.last_ns
    if last_ns is not None and last_ns not in own:
        found.append(timeline.tail_gap_ns)
    return max(found, default=0)


def mid_gap_ns(timeline: Timeline) -> int | None:
    """The longest gap after the first token that this machine did not cause and in which output was due; None without
    a token."""
    last_ns = timeline.watched_clock.last_ns
    if last_ns is None:
        return None
    own = timeline.own_starts_ns
    tail_ns = 0 if last_ns in own else timeline.tail_gap_ns
    return max([tail_ns, *(gap_ns for gap_ns, start_ns in timeline.gaps() if start_ns not in own)])
