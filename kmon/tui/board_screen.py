"""The board on the screen: every run of a test as a cell, filling as it happens, and in the end what it has shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from kmon.format import TextLine
from kmon.stream.state import ENDED
from kmon.stream.view import RunView
from kmon.tui import status_text
from kmon.tui.board import Board, BoardCell
from kmon.tui.board_drawing import draw_board, legend, lines_needed, row_names, say_cell
from kmon.tui.board_window import BoardPosition, BoardWindow, window
from kmon.tui.keymap import bindings
from kmon.tui.line_widget import LineWidget, Styles
from kmon.tui.pane import Pane
from kmon.tui.pane_drawing import Look, Notes
from kmon.tui.row_view import FixedRows, RowView
from kmon.tui.screen import OverviewScreen
from kmon.tui.shown_race import ShownRace
from kmon.tui.spans import Span, Spans, crop, cut_head, fit, shorten
from kmon.tui.status_text import StatusText

CONCLUSION_LINES = 8
"""The least room for the conclusion; the board gives way when there are many arms."""
PREVIEW_LINES = 7
"""The least height of the pane of the run in focus; with less room it is left out."""
ROOMY_LINES = 20
"""From here up the status bar has two lines: which cell, and its sentence in full."""
SIDEWAYS_CELLS = 16


class BoardCells(LineWidget):
    """The cells. A click posts :class:`Chosen` with the cell under it."""

    class Chosen(Message):
        """A cell was clicked; ``enter`` when it was a double click."""

        def __init__(self, place: BoardPosition, *, enter: bool) -> None:
            super().__init__()
            self.place, self.enter = place, enter

    def __init__(self, styles: Styles) -> None:
        super().__init__(styles, id="board")
        self.window: BoardWindow | None = None

    def on_click(self, event: events.Click) -> None:
        place = self.window.place_at(event.x, event.y) if self.window else None
        if place is not None:
            self.post_message(self.Chosen(place, enter=event.chain == 2))


class BoardScreen(OverviewScreen):
    """One row per arm, one cell per round."""

    SCOPE = "board"
    BINDINGS: ClassVar[list[BindingType]] = bindings("board")

    def __init__(self, shown: ShownRace) -> None:
        super().__init__(shown, id="board-screen")
        styles = shown.styles
        self.cells = BoardCells(styles)
        self.legend_line = LineWidget(styles, id="legend", classes="line")
        self.conclusion = RowView(styles, id="conclusion", follow=True)
        self.conclusion.can_focus = False
        self.focus_place = BoardPosition(0, 1)
        self.board: Board | None = None
        self.preview: Pane | None = None
        self._moved = False
        self._said: Sequence[TextLine] = ()
        self._concluded_at = 0
        self._left = 0
        self._shown: tuple[Sequence[TextLine], int, int] | None = None

    def compose(self) -> ComposeResult:
        yield self.header_line
        yield self.cells
        yield self.legend_line
        yield self.conclusion
        yield self.status_line
        yield self.hint_line

    # -- drawing ---------------------------------------------------------------------------------------------------

    @property
    def cell(self) -> BoardCell | None:
        """The cell in focus; None while its run has not begun."""
        if self.board is None or self.focus_place.row >= len(self.board.rows):
            return None
        return self.board.rows[self.focus_place.row].cells.get(self.focus_place.round)

    @property
    def current(self) -> RunView | None:
        """The run that keys act on."""
        return self.cell.run if self.cell is not None else None

    def draw(self, now_ns: int) -> None:
        """Draw one frame as of ``now_ns``."""
        shown = self.shown
        width, height = self.size
        ascii = shown.options.ascii
        board = self.board = shown.tally.board(shown.race, shown.standings)
        if not self._moved:
            self.focus_place = BoardPosition(self.focus_place.row, max(1, board.newest))
        self.set_class(height < 10, "-short")
        self.set_class(height >= ROOMY_LINES, "-roomy")
        self._conclude()
        free = height - 3 - (2 if height >= ROOMY_LINES else 1)
        room = self._room(board, width, free)
        self.cells.styles.height = max(1, room)
        view = window(row_names(board), board.rounds, board.newest, self.focus_place, width, room)
        self.cells.window = view
        self.cells.update(draw_board(board, view, self.focus_place, ascii=ascii)[: max(1, room)])
        self._preview(now_ns, shown=room < free and not self._said)
        self.legend_line.update([legend(board, width, ascii=ascii)])
        self.draw_header(board.states, now_ns)
        self._draw_status(board, now_ns, width)
        self.draw_hints("concluded" if self._said else "board")

    def _room(self, board: Board, width: int, free: int) -> int:
        """Lines for the cells, of ``free``: the rest is for the run in focus or, in the end, for the conclusion."""
        view = window(row_names(board), board.rounds, board.newest, self.focus_place, width, free)
        needed = lines_needed(board, view)
        if self._said:
            return min(needed, max(2, free - CONCLUSION_LINES))
        spaced = needed + len(board.rows)
        return next((lines for lines in (spaced, needed) if free - lines >= PREVIEW_LINES), free)

    def _preview(self, now_ns: int, *, shown: bool) -> None:
        """The pane of the run in focus, where there is room for it."""
        cell = self.cell
        if self.preview is None:
            if cell is None or not shown:
                return
            self.preview = Pane(cell.run, self.shown.styles, self._look())
            self.preview.can_focus = False
            self.mount(self.preview, after=self.legend_line)
        self.preview.display = shown
        self.preview.visible = cell is not None
        if cell is not None and shown:
            notes = Notes(self.shown.reader.broken.get(cell.run.run, ""))
            self.preview.draw(cell.run, cell.seen, now_ns, self._look(), notes)

    def _look(self) -> Look:
        options = self.shown.options
        return Look(ascii=options.ascii, scenario="," in options.plan.scenario, round=True, lost=self.shown.lost)

    def _draw_status(self, board: Board, now_ns: int, width: int) -> None:
        shown, error = self.shown, self.shown.reader.engine_error
        who = f"{board.rows[self.focus_place.row].name}, round {self.focus_place.round}"
        head, said = say_cell(who, self.cell, now_ns)
        if error and not shown.race.runs:
            head, said = "no run", StatusText(error, True)
        elif shown.announcement:
            head, said = "enough", StatusText(shown.announcement)
        elif error and self.cell is not None and self.cell.seen.state not in ENDED:
            said = StatusText(status_text.unmeasured(self.cell.seen))
        if self.status_line.size.height < 2:
            self.status_line.update([self.status_bar(said._replace(text=f"{head}: {said.text}"))])
            return
        style = "status.alarm" if said.alarm else "status"
        below = fit((Span(shorten(f" {said.whole}", width), style),), width, "status")
        self.status_line.update([self.status_bar(StatusText(head, said.alarm)), below])

    def _conclude(self) -> None:
        """Once the race has ended, and again when a retry has: ask what it has shown."""
        reader, conclude = self.shown.reader, self.shown.options.conclude
        if conclude is None:
            return
        if reader.over and self._concluded_at != reader.endings:
            self._concluded_at = reader.endings
            self._said = tuple(conclude(reader.race))
            self.set_class(bool(self._said), "-concluded")
        wanted = (self._said, self.conclusion.room, self._left)
        if self._said and self.conclusion.room > 0 and wanted != self._shown:
            self._shown = wanted
            self.conclusion.show(conclusion_rows(*wanted))

    # -- what the keys do ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Reset for a new race."""
        self.board, self.focus_place, self._moved = None, BoardPosition(0, 1), False
        self._said, self._concluded_at, self._left, self._shown = (), 0, 0, None
        self.remove_class("-concluded")

    def focus_on(self, place: BoardPosition) -> None:
        """Put the focus on a cell, or on the nearest there is."""
        board = self.board
        if board is None or not board.rows:
            return
        self._moved = True
        self.shown.announcement = ""
        self.focus_place = BoardPosition(
            max(0, min(place.row, len(board.rows) - 1)),
            max(1, min(place.round, board.rounds)),
        )
        self.shown.redraw()

    def focus_run(self, run: RunView) -> None:
        """Put the focus on a run's cell, if it has one."""
        for at, row in enumerate(self.board.rows if self.board is not None else ()):
            cell = row.cells.get(run.round)
            if cell is not None and cell.run.run == run.run:
                self.focus_on(BoardPosition(at, run.round))

    def action_move(self, down: int, right: int) -> None:
        self.focus_on(BoardPosition(self.focus_place.row + down, self.focus_place.round + right))

    def action_to_round(self, number: int) -> None:
        self.focus_on(BoardPosition(self.focus_place.row, number))

    def action_to_newest(self) -> None:
        """Back to the newest round, and stay with it."""
        self.focus_on(BoardPosition(self.focus_place.row, self.board.newest if self.board is not None else 1))
        self._moved = False

    def action_to_row(self, number: int) -> None:
        self.focus_on(BoardPosition(number - 1, self.focus_place.round))

    def action_read(self, by: int) -> None:
        if by < 0:
            self.conclusion.action_page_up()
        else:
            self.conclusion.action_page_down()

    def action_sideways(self, by: int) -> None:
        self._left = max(0, self._left + by * SIDEWAYS_CELLS)
        self.shown.redraw()

    def on_board_cells_chosen(self, message: BoardCells.Chosen) -> None:
        self.focus_on(message.place)
        if message.enter and self.current is not None:
            self.post_message(Pane.Chosen(self.current.run))


def conclusion_rows(lines: Sequence[TextLine], width: int, left: int) -> FixedRows:
    """Rows of ``width`` cells, sentences wrapped. Tables are shown whole from their column ``left`` on, as far as the
    widest reaches."""
    widest = max((cell_len(text) for text, table in lines if table), default=0)
    left = max(0, min(left, widest - width))
    rows: list[Spans] = []
    for text, table in lines:
        if table:
            rows.append((Span(text[len(crop(text, left)) :]),))
            continue
        rest = text
        while cell_len(rest) > width > 1:
            head, rest = cut_head(rest, width)
            rows.append((Span(head),))
        rows.append((Span(rest),))
    return FixedRows(tuple(rows))
