"""The zoomed raw view: the chunks as they came, with arrival, the gap before, and their kind."""

from __future__ import annotations

from collections import deque

from kmon.format import plural
from kmon.stream.timeline import S
from kmon.stream.view import AttemptView, RawChunk, RunView
from kmon.tui.spans import Span, Spans, one_line, shorten


class RawRows:
    """One row per kept chunk of the deciding attempt; made when looked at."""

    def __init__(self) -> None:
        self._chunks: deque[RawChunk] | tuple[RawChunk, ...] = ()
        self._dropped = 0
        self._start_ns = 0
        self._stall_ns = 5 * S
        self._width = 80

    def follow(self, run: RunView, width: int) -> None:
        attempt: AttemptView | None = run.main
        self._width = width
        if attempt is not None:
            self._chunks, self._dropped = attempt.raw, attempt.raw_dropped
            self._start_ns, self._stall_ns = (
                attempt.timeline.t_start,
                attempt.timeline.threshold_ns(attempt.timeline.answer_phase()),
            )

    def __len__(self) -> int:
        return len(self._chunks) + bool(self._dropped)

    def row(self, index: int) -> Spans:
        if self._dropped:
            if index == 0:
                return (Span(f"({plural(self._dropped, 'chunk')} before this let go)", "muted"),)
            index -= 1
        chunk = self._chunks[index]
        late = chunk.gap_ns >= self._stall_ns
        head = f"{(chunk.t_ns - self._start_ns) / S:9.3f} s {chunk.gap_ns / S:+8.3f} s  "
        kind_style = {"reasoning": "reasoning", "tool": "tool", "error": "error"}.get(chunk.kind, "text")
        return (
            Span(head, "gap.stall" if late else "muted"),
            Span(f"{chunk.kind:<10}", kind_style),
            Span(shorten(one_line(chunk.raw), max(4, self._width - len(head) - 10)), "text"),
        )
