"""The output of an attempt as rows of a given width, wrapped once as it arrives.

Reasoning, text and tool arguments are told apart by a gutter, not by colour. Full rows do not change
again, so a frame costs only what arrived since the last one.
"""

from __future__ import annotations

from rich.cells import cell_len

from kmon.stream.attempt_view import AttemptView
from kmon.stream.view import RunView
from kmon.tui.spans import GLYPH_LIMIT, Span, Spans, cut_head, one_line

GUTTERS = {"text": "", "reasoning": "┊ ", "tool": "→ "}
ASCII_GUTTERS = {"text": "", "reasoning": ": ", "tool": "> "}
TAB_CELLS = 4
SLICE_CHARS = 2_000
"""Long pieces are wrapped a slice at a time, so that one without a newline costs linear time."""

NAME_CHARS = 128


class TextWrap:
    """Rows of one attempt's output. Keeps about ``limit`` rows, the latest ones."""

    def __init__(self, width: int, limit: int, *, ascii: bool = False) -> None:
        self.width = max(4, width)
        self.limit = max(1, limit)
        self.rows: list[Spans] = []
        self._gutters = ASCII_GUTTERS if ascii else GUTTERS
        self._kind = ""
        self._line = ""
        self._seen = 0

    @property
    def open_text(self) -> str:
        """The line that is still being written."""
        return self._line

    def follow(self, attempt: AttemptView) -> bool:
        """Wrap what ``attempt`` got since the last call; True when there was something."""
        fresh = attempt.revision - self._seen
        self._seen = attempt.revision
        if fresh <= 0:
            return False
        segments = attempt.segments
        if isinstance(segments, tuple):  # it has ended since, and its pieces are no longer those of the chunks
            self.rows.clear()
            self._kind = self._line = ""
            fresh = len(segments)
        if fresh > len(segments):
            fresh = len(segments)
        wanted_chars = self.limit * self.width
        start, chars = len(segments), 0
        while start > len(segments) - fresh and chars < wanted_chars:
            start -= 1
            chars += segments[start].chars
        for index in range(start, len(segments)):
            self.feed(*segments[index])
        return True

    def feed(self, kind: str, text: str, name: str = "") -> None:
        """Append one piece of output. With a ``name`` a tool call begins, on a line of its own."""
        text = text[-self.limit * self.width :]
        if kind != self._kind or name:
            self._finish_line()
            self._kind = kind
            text = f"{one_line(name)[:NAME_CHARS]} {text}" if name else text.removeprefix("\n")
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " " * TAB_CELLS)
        first, *further = text.split("\n")
        self._extend(first)
        for part in further:
            self._end_line()
            self._extend(part)
        if len(self.rows) > self.limit * 2:
            del self.rows[: -self.limit]

    def tail(self, count: int, cursor: str = "") -> list[Spans]:
        """The last ``count`` rows, the unfinished one with ``cursor`` behind it included."""
        if count <= 0:
            return []
        if not self._line and not cursor:
            return self.rows[-count:]
        gutter = self._gutters.get(self._kind, "")
        open_row: Spans = (*_gutter(gutter, self._kind), Span(self._line, self._kind or "text"))
        if cursor and cell_len(gutter) + cell_len(self._line) < self.width:
            open_row = (*open_row, Span(cursor, "cursor"))
        return [*self.rows[max(0, len(self.rows) - count + 1) :], open_row]

    def _extend(self, part: str) -> None:
        room = self.width - cell_len(self._gutters.get(self._kind, ""))
        for at in range(0, len(part), SLICE_CHARS):
            self._line += part[at : at + SLICE_CHARS]
            while cell_len(self._line) > room or len(self._line) > room * GLYPH_LIMIT:
                row, self._line = cut_head(self._line, room)
                self._emit(row)

    def _finish_line(self) -> None:
        if self._line:
            self._end_line()

    def _end_line(self) -> None:
        self._emit(self._line)
        self._line = ""

    def _emit(self, text: str) -> None:
        self.rows.append((*_gutter(self._gutters.get(self._kind, ""), self._kind), Span(text, self._kind)))


def _gutter(gutter: str, kind: str) -> Spans:
    return (Span(gutter, f"{kind}.gutter"),) if gutter else ()


def output_text(run: RunView) -> str:
    """Everything the deciding attempt said, for the clipboard; kinds are set apart by a blank line."""
    attempt = run.main
    if attempt is None:
        return ""
    parts: list[str] = []
    kind = ""
    for segment in attempt.segments:
        if parts and segment.kind != kind:
            parts.append("\n\n")
        kind = segment.kind
        parts.append(f"\n{segment.name}({segment.text}" if segment.name else segment.text)
    return "".join(parts)
