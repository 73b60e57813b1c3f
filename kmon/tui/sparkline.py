"""The stall-gap sparkline: gaps on a fixed logarithmic scale, so that a tall column means the same in every pane.

Eight levels from 50 ms to 60 s. The stall threshold falls exactly on a level boundary: a column at or over it is
always taller than one below it, so a stall can be seen without colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kmon.stream.timeline import MS, S
from kmon.tui.spans import Span, Spans, merged

FLOOR_NS = 50 * MS
CEILING_NS = 60 * S
LEVELS = 8
STALL_LEVEL = 5
"""The lowest level of a gap at or over the threshold; with 5 s the scale is nearly evenly logarithmic."""

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-~=+*#"


def level(gap_ns: int, threshold_ns: int) -> int:
    """The level of a gap, 0 to 7."""
    if gap_ns >= threshold_ns:
        ceiling_ns = max(CEILING_NS, threshold_ns * 2)
        share = math.log(gap_ns / threshold_ns) / math.log(ceiling_ns / threshold_ns)
        return min(LEVELS - 1, STALL_LEVEL + int(share * (LEVELS - STALL_LEVEL)))
    floor_ns = min(FLOOR_NS, threshold_ns / 2)
    if gap_ns <= floor_ns:
        return 0
    share = math.log(gap_ns / floor_ns) / math.log(threshold_ns / floor_ns)
    return min(STALL_LEVEL - 1, int(share * STALL_LEVEL))


def sparkline(gaps_ns: Sequence[int | None], threshold_ns: int, *, ascii: bool = False) -> Spans:
    """One column per gap, oldest first; None leaves a blank."""
    bars = ASCII_BARS if ascii else BARS

    def column(gap_ns: int | None) -> Span:
        if gap_ns is None:
            return Span(" ", "gap.calm")
        return Span(bars[level(gap_ns, threshold_ns)], "gap.stall" if gap_ns >= threshold_ns else "gap.calm")

    return merged(column(gap_ns) for gap_ns in gaps_ns)


def chart(gaps_ns: Sequence[int | None], threshold_ns: int, *, ascii: bool = False) -> list[Spans]:
    """The same scale drawn eight rows high, top first, with a rule where the threshold lies."""
    full, rule = ("#", "-") if ascii else ("█", "┄")
    levels = [None if gap is None else level(gap, threshold_ns) for gap in gaps_ns]

    def cell(reached: int | None, step: int) -> Span:
        if reached is None or reached < step:
            return Span(rule if step == STALL_LEVEL else " ", "gap.threshold")
        return Span(full, "gap.stall" if reached >= STALL_LEVEL else "gap.calm")

    return [merged(cell(reached, step) for reached in levels) for step in range(LEVELS - 1, -1, -1)]
