"""What a race has shown, as rows below the board: sentences wrapped, tables kept whole and moved sideways."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from kmon.tui.spans import Span, Spans, crop, cut_head

_COLUMN_GAP = "  "
"""Two blanks inside a line make it a line of a table."""


@dataclass(frozen=True, slots=True)
class ConclusionRows:
    """Finished rows."""

    rows: tuple[Spans, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> Spans:
        return self.rows[index]


def conclusion_rows(text: str, width: int, left: int) -> ConclusionRows:
    """Rows of ``width`` cells. Tables are shown from their column ``left`` on, as far as the widest reaches."""
    lines = text.splitlines()
    widest = max((cell_len(line) for line in lines if _is_table(line)), default=0)
    left = max(0, min(left, widest - width))
    rows: list[Spans] = []
    for line in lines:
        if _is_table(line):
            rows.append((Span(line[len(crop(line, left)) :]),))
            continue
        while cell_len(line) > width > 1:
            head, line = cut_head(line, width)
            rows.append((Span(head),))
        rows.append((Span(line),))
    return ConclusionRows(tuple(rows))


def _is_table(line: str) -> bool:
    return _COLUMN_GAP in line.strip()
