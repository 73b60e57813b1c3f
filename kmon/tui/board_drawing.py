"""The board as rows: a pure function of the board, the window on it and the cell in focus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kmon.stats.outcome import CUT, FINISHED, SIGNS, UNCOUNTED, OutcomeName, RunOutcome
from kmon.stream.state import ENDED
from kmon.stream.timeline import S
from kmon.tui import status_text
from kmon.tui.board import Board, BoardCell, BoardRow, RowFigures
from kmon.tui.board_columns import BoardColumns, text_of
from kmon.tui.board_window import MARGIN, PITCH, BoardPosition, BoardWindow
from kmon.tui.spans import BLANK, Span, Spans, fit, one_line, row_width, shorten
from kmon.tui.status_text import StatusText


def draw_board(board: Board, view: BoardWindow, focus: BoardPosition, *, ascii: bool) -> list[Spans]:
    """The heading, then each arm in view. Rows are as wide as they need to be."""
    rows = [_heading(board, view, ascii)]
    for at in range(view.first_row, min(view.first_row + view.rows, len(board.rows))):
        row = board.rows[at]
        in_focus = focus.round if focus.row == at else None
        shown = shorten(one_line(row.name), view.name_cells)
        name = (Span(" " * MARGIN), Span(shown, "title" if in_focus is None else "border.focus"))
        cells = (*_cells(row, view, in_focus, ascii), _beside(view.columns, row.figures, "figure"))
        if view.stacked:
            rows.append((*fit(name, MARGIN + view.name_cells + 2), _wide(view.columns, row.figures)))
            rows.append((Span(" " * MARGIN), *cells))
        else:
            rows.append((*fit(name, view.cells_x), *cells, _wide(view.columns, row.figures)))
        rows += [BLANK] * view.blank_lines
    return rows


def _heading(board: Board, view: BoardWindow, ascii: bool) -> Spans:
    older, newer = ("<", ">") if ascii else ("◂", "▸")
    numbers = " ".join(f"{number % 1000:^{PITCH - 1}}" for number in range(view.first_round, view.last_round + 1))
    hidden = view.rows < len(board.rows)
    return (
        Span("" if view.stacked else f"{' ' * MARGIN}target", "muted"),
        Span(" " * (view.cells_x - (0 if view.stacked else MARGIN + len("target")))),
        Span(older if view.first_round > 1 else " ", "cursor"),
        Span(numbers, "muted"),
        Span(newer if view.last_round < board.rounds else " ", "cursor"),
        _beside(view.columns, None, "muted"),
        Span("" if view.stacked else text_of(view.columns.wide, None), "muted"),
        Span(f"  {view.first_row + 1}-{view.first_row + view.rows} of {len(board.rows)}" if hidden else "", "muted"),
    )


def _cells(row: BoardRow, view: BoardWindow, in_focus: int | None, ascii: bool) -> Iterator[Span]:
    """The slots of one arm, a bracket or a blank before each and one after the last."""
    for number in range(view.first_round, view.last_round + 1):
        before = "[" if number == in_focus else "]" if number - 1 == in_focus else " "
        yield Span(before, "border.focus")
        yield cell_span(row.cells.get(number), ascii=ascii)
    yield Span("]" if view.last_round == in_focus else " ", "border.focus")


def cell_span(cell: BoardCell | None, *, ascii: bool) -> Span:
    """Three cells: a symbol and the class of an outcome, or a live state and the seconds of silence."""
    if cell is None:
        return Span(f" {status_text.symbol('queued', ascii=ascii)} ", "state.queued")
    if cell.outcome is not None:
        return Span(sign(cell.outcome.name, ascii=ascii).center(PITCH - 1), _style(cell.outcome.name))
    state, gap_ns = cell.seen.state, cell.seen.open_gap_ns or 0
    text = status_text.symbol(state, ascii=ascii)
    if state in ("stalled", "waiting") and gap_ns >= S:
        text += f"{min(gap_ns // S, 99)}"
    return Span(text.center(PITCH - 1), f"state.{state}")


def sign(name: OutcomeName, *, ascii: bool) -> str:
    """A shape for passed, failed or not counted, and a letter for the class of what did not pass."""
    mark = SIGNS[name].mark
    if ascii:
        return mark
    if name == "pass":
        return status_text.symbol("done", ascii=False)
    if name == "cancelled":
        return status_text.symbol("cancelled", ascii=False)
    return f"{status_text.symbol('cancelled' if name in UNCOUNTED else 'failed', ascii=False)}{mark}"


def _style(name: OutcomeName) -> str:
    if name == "pass":
        return "state.done"
    if name in UNCOUNTED:
        return "state.cancelled"
    return "state.incomplete" if name in FINISHED else "state.timed-out" if name in CUT else "state.failed"


def _beside(columns: BoardColumns, figures: RowFigures | None, style: str) -> Span:
    """The columns right of the rounds; a heading is ``muted``, and an arm of which no run has ended is blank."""
    blank = figures is None and style != "muted"
    text = "" if blank else f" {text_of(columns.beside, figures)}"
    return Span(text.ljust(columns.beside_cells), style)


def _wide(columns: BoardColumns, figures: RowFigures | None) -> Span:
    if figures is None:
        return Span("no run has ended", "muted")
    return Span(text_of(columns.wide, figures), "figure.bold")


def legend(board: Board, width: int, *, ascii: bool) -> Spans:
    """What the symbols in view mean, as many as fit: outcomes first, the commonest failures before the rare."""
    row: Spans = (Span(" " * MARGIN),)
    outcomes = {name for name, count in board.outcomes.items() if count} | {"pass"}
    states = [state for state in board.live if state not in ENDED]
    items = [
        *(
            (sign(name, ascii=ascii), SIGNS[name].label.lower() if name != "pass" else "OK", _style(name))
            for name in SIGNS
            if name in outcomes
        ),
        *((status_text.symbol(state, ascii=ascii), state, f"state.{state}") for state in states),
    ]
    for symbol, meaning, style in items:
        longer = (*row, Span(symbol, style), Span(f" {meaning}  ", "muted"))
        if row_width(longer) - 2 > width:
            break
        row = longer
    return row


class CellStatus(NamedTuple):
    """What the status bar says of a cell: which it is, and how it stands."""

    head: str
    said: StatusText


def say_cell(who: str, cell: BoardCell | None, now_ns: int) -> CellStatus:
    """The cell in words: live, how it stands; ended, how it came out, and that a retry does not count."""
    if cell is None:
        return CellStatus(who, StatusText("not begun"))
    if cell.outcome is None:
        return CellStatus(who, status_text.situation(cell.run, cell.seen, now_ns))
    retried = f", retried: {cell.retried.signs.label} (does not count)" if cell.retried else ""
    head = f"{who}: {cell.outcome.signs.label}{retried}"
    return CellStatus(head, StatusText(one_line(cell.outcome.sentence), _failed(cell.outcome)))


def _failed(outcome: RunOutcome) -> bool:
    return outcome.counted and not outcome.passed


def row_names(board: Board) -> Sequence[int]:
    """How many cells each arm's name takes."""
    return [row_width((Span(one_line(row.name)),)) for row in board.rows]


def lines_needed(board: Board, view: BoardWindow) -> int:
    """Lines that show every arm, without blank ones between them."""
    return 1 + len(board.rows) * (1 + view.stacked)
