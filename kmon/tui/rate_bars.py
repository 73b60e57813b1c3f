"""Failure rates with their intervals as bars."""

from __future__ import annotations

from kmon.stats.isolation.state import Rate
from kmon.tui.spans import Span, Spans

COUNT_CELLS, BAR_LEAST, BAR_MOST = 7, 8, 40


def bar_cells(width: int, beside: int) -> int:
    """How wide each of the two bars of a row can be, in which other things take ``beside`` cells."""
    left = width - beside - 2 * (COUNT_CELLS + 2)
    return max(BAR_LEAST, min(BAR_MOST, left // 2))


def level(rate: Rate, bar: int, style: str, ascii: bool) -> Spans:
    """The count of failures and its bar."""
    count = f"{rate.failures}/{rate.runs}" if rate.runs else "-"
    return (Span(f"{count:>{COUNT_CELLS - 1}} ", "figure.bold"), *rate_bar(rate, bar, style, ascii), Span("  "))


def rate_bar(rate: Rate, width: int, style: str, ascii: bool) -> Spans:
    """A rate from 0 (left) to 100 % (right) with its interval."""
    empty, inside, point = (".", "=", "o") if ascii else ("·", "━", "●")
    if not rate.runs:
        return (Span(empty * width, "muted"),)
    low, high, at = (
        _cell(share, width) for share in (rate.interval.low, rate.interval.high, rate.failures / rate.runs)
    )
    return (
        Span(empty * low, "muted"),
        Span(inside * (at - low), style),
        Span(point, style),
        Span(inside * (high - at), style),
        Span(empty * (width - 1 - high), "muted"),
    )


def _cell(share: float, width: int) -> int:
    return min(width - 1, int(share * width))
