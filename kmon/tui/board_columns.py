"""The columns of the board beside its rounds, each declared once.

Heading, cells, the room that is kept for them and the help page read :data:`COLUMNS`.
"""

from __future__ import annotations

from typing import NamedTuple

from kmon.format import Column
from kmon.stats.summary import PASS_RATE
from kmon.tui.board import RowFigures


class BoardColumns(NamedTuple):
    """``beside`` stand right of the rounds. ``wide`` stand right of those or, where rounds and name do not fit on one
    line, behind the name."""

    beside: tuple[Column[RowFigures], ...]
    wide: tuple[Column[RowFigures], ...]

    @property
    def beside_cells(self) -> int:
        return sum(1 + column.width for column in self.beside)

    @property
    def wide_cells(self) -> int:
        return sum(column.width for column in self.wide) + len(self.wide[1:])


def _median(figures: RowFigures) -> str:
    median = figures.ttft_s
    return "-" if median.seconds is None else f"{'> ' if median.kind == 'above' else ''}{median.seconds:.2f} s"


COLUMNS = BoardColumns(
    beside=(
        Column(
            "passed",
            lambda figures: f"{figures.passes}/{figures.n}",
            width=9,
            help="runs that passed, of those that count",
        ),
        Column("ttft p50", _median, width=11, help="the median time to the first token; > : so many never came"),
    ),
    wide=(PASS_RATE,),
)


def text_of(columns: tuple[Column[RowFigures], ...], figures: RowFigures | None) -> str:
    """The cells of one arm, or the headings without ``figures``; the last is not padded."""
    cells = [column.title if figures is None else column.cell(figures) for column in columns]
    padded = [cell.ljust(column.width) for column, cell in zip(columns, cells, strict=True)]
    return " ".join([*padded[:-1], *cells[-1:]])
