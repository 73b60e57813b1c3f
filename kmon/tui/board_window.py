"""Which rounds and arms of the board are in view, and where: geometry alone, so that drawing and clicking agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kmon.tui.board_columns import COLUMNS, BoardColumns

PITCH = 4
"""Cells from one round to the next: three for what is shown, one between them for the brackets of the focus."""
NAME_CELLS = 32
MARGIN = 1


class BoardPosition(NamedTuple):
    """A cell of the board: the arm by its place from 0, the round from 1."""

    row: int
    round: int


@dataclass(frozen=True, slots=True)
class BoardWindow:
    """The part of the board in view. ``stacked``: the cells of an arm stand below its name, not beside it."""

    stacked: bool
    name_cells: int
    first_round: int
    rounds: int
    first_row: int
    rows: int
    blank_lines: int
    columns: BoardColumns = COLUMNS

    @property
    def row_lines(self) -> int:
        return 1 + self.stacked + self.blank_lines

    @property
    def cells_x(self) -> int:
        """Where the first round's slot begins; its left bracket is the first cell of it."""
        return MARGIN if self.stacked else MARGIN + self.name_cells + 1

    @property
    def last_round(self) -> int:
        return self.first_round + self.rounds - 1

    def place_at(self, x: int, y: int) -> BoardPosition | None:
        """The cell under a point of the board, whose first line is the heading; None beside the cells."""
        row, line = divmod(y - 1, self.row_lines)
        column = (x - self.cells_x) // PITCH
        if y < 1 or x < self.cells_x or column >= self.rounds or row >= self.rows or line != int(self.stacked):
            return None
        return BoardPosition(self.first_row + row, self.first_round + column)


def window(
    names: Sequence[int],
    rounds: int,
    newest: int,
    focus: BoardPosition,
    width: int,
    height: int,
    columns: BoardColumns = COLUMNS,
) -> BoardWindow:
    """Lay out arms whose names are ``names`` cells wide in ``width`` x ``height`` cells.

    The newest rounds are in view, unless the focus is on an older one; the arm in focus is always in view.
    """
    name_cells = min(max(names, default=0), NAME_CELLS)
    beside = (width - 2 * MARGIN - name_cells - 1 - columns.wide_cells - columns.beside_cells) // PITCH
    stacked = beside < rounds
    fitting = max(1, (width - 2 * MARGIN - columns.beside_cells) // PITCH if stacked else beside)
    shown = max(1, min(fitting, rounds))
    last = max(newest, shown)
    if focus.round <= last - shown:
        last = focus.round + shown - 1
    last = min(max(last, focus.round), max(rounds, 1))
    lines = max(1, height - 1)
    blank_lines = int(len(names) * (2 + stacked) - 1 <= lines)
    rows = max(1, min(len(names), (lines + blank_lines) // (1 + stacked + blank_lines)))
    first_row = max(0, focus.row - rows + 1)
    return BoardWindow(stacked, name_cells, last - shown + 1, shown, first_row, rows, blank_lines, columns)
