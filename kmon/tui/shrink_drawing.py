"""A reduction as rows: its parts, and how often requests fail with and without each. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from kmon.format import plural
from kmon.isolate.shrinking import Shrinking
from kmon.tui.rate_bars import COUNT_CELLS, bar_cells, level
from kmon.tui.spans import Span, Spans, shorten

MARGIN, STANDING_CELLS = 1, 14
NAME_LEAST = 16


def part_rows(shrinking: Shrinking, width: int, most: int, ascii: bool) -> Iterator[Spans]:
    """A heading, and at most ``most`` rows: those of parts that are left first, where not all have room."""
    longest = max(len(part.words) for part in shrinking.parts) + 4
    names = max(NAME_LEAST, min(longest, width // 2))
    bar = bar_cells(width, MARGIN + names + 1 + STANDING_CELLS)
    cells = COUNT_CELLS + bar + 2
    yield (
        Span(f"{' ' * MARGIN}{'part':<{names + 1}}", "muted"),
        Span(f"{'failed with it':<{cells}}{'failed without it':<{cells}}", "muted"),
    )
    left = set(shrinking.request.remaining(shrinking.smallest))
    order = range(len(shrinking.parts))
    shown = order if len(order) <= most else sorted(order, key=lambda at: (at not in left, at))[: max(0, most - 1)]
    for at in shown:
        yield _part_row(shrinking, at, names, bar, ascii, left=at in left)
    if len(shown) < len(order):
        yield (Span(f"{' ' * MARGIN}and {plural(len(order) - len(shown), 'more part')}", "muted"),)


def _part_row(shrinking: Shrinking, at: int, names: int, bar: int, ascii: bool, *, left: bool) -> Spans:
    found = shrinking.result is not None and shrinking.result.outcome == "smallest"
    style = "muted" if not left else "border.focus" if found else "text"
    words = f"{at + 1:>2}  {shorten(shrinking.parts[at].words, names - 4)}"
    kept, without = shrinking.rates(at)
    return (
        Span(f"{' ' * MARGIN}{words:<{names + 1}}", style),
        *level(kept, bar, "gap.stall", ascii),
        *level(without, bar, "gap.calm", ascii),
        Span(("needed" if found else "open") if left else "not needed", style),
    )
