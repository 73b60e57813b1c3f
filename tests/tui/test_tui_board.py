"""The board as a value and as rows: what a cell says, what is counted, and what is in view."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import StreamError
from kmon.engine.plan import RacePlan
from kmon.format import Column
from kmon.stats.outcome import OUTCOMES, SIGNS
from kmon.stats.statistics import rate_words
from kmon.stream import events as ev
from kmon.stream.view import RaceView
from kmon.tui.board import Board, BoardCell, RowFigures, Tally
from kmon.tui.board_columns import COLUMNS
from kmon.tui.board_drawing import cell_span, draw_board, legend, row_names, say_cell, sign
from kmon.tui.board_window import BoardPosition, BoardWindow, window
from kmon.tui.help_screen import help_content
from kmon.tui.standings import Standings
from tests.support.board_scripts import ANSWER, ARMS, BoardScript, board_plan, board_scripts
from tests.support.scripted import S, Script, race

ARM = ARMS[0]
NOW_S = 66.3
FIRST = BoardPosition(0, 1)


def board_of(scripts: Sequence[Script], plan: RacePlan | None = None, at_s: float = NOW_S) -> Board:
    view, standings, tally = RaceView(), Standings(), Tally(plan or board_plan())
    for event in race(scripts):
        if event.t_ns <= at_s * S:
            view.apply(event)
            if isinstance(event, ev.RunEnded):
                tally.add(event)
    standings.look(view, int(at_s * S))
    return tally.board(view, standings)


def drawn(
    board: Board, focus: BoardPosition = FIRST, size: tuple[int, int] = (80, 14), *, ascii: bool = False
) -> list[str]:
    view = window(row_names(board), board.rounds, board.newest, focus, *size)
    return ["".join(span.text for span in row).rstrip() for row in draw_board(board, view, focus, ascii=ascii)]


def only(script: BoardScript, at_s: float = 60.0) -> BoardCell:
    return board_of([script], at_s=at_s).rows[0].cells[script.round]


def shown(script: BoardScript, at_s: float = 60.0, *, ascii: bool = False) -> str:
    return cell_span(only(script, at_s), ascii=ascii).text.strip()


def test_the_board_is_drawn_as_promised() -> None:
    assert drawn(board_of(board_scripts()), BoardPosition(0, 7), (80, 9)) == [
        "   1   2   3   4   5   6   7   8   9  10   passed    ttft p50",
        " bedrock/kimi-k2.5                67 % (22-96 %), 6 runs",
        "   ✔   ✖T  ✔   ✖T  ✔   ✔ [ ▲6] ·   ·   ·   4/6       0.60 s",
        " bedrock/mistral-large-3          83 % (36-99.6 %), 6 runs",
        "   ✔   ✔   ✖W  ✔   ✔   ✔   ●   ·   ·   ·   5/6       0.60 s",
        " bedrock/nova-pro                 100 % (59-100 %), 7 runs",
        "   ✔   ✔   ✔   ✔   ✔   ✔   ✔   ·   ·   ·   7/7       0.35 s",
        " openrouter/moonshotai/kimi-k2.5  80 % (28-99 %), 5 runs",
        "   ✔   ✔   ✔   ✔   ⊘R  ✖H  ▲5  ·   ·   ·   4/5       0.80 s",
    ]


def test_on_a_wide_screen_an_arm_is_one_line() -> None:
    lines = drawn(board_of(board_scripts()), BoardPosition(0, 7), (200, 40))
    assert lines[0].split() == ["target", *map(str, range(1, 11)), "passed", "ttft", "p50", "pass", "rate", "(95", "%)"]
    assert lines[1].startswith(" bedrock/kimi-k2.5 ")
    assert lines[1].endswith("67 % (22-96 %), 6 runs")
    assert "[ ▲6]" in lines[1]


def test_outcomes_are_told_apart_without_colour() -> None:
    for ascii in (False, True):
        signs = [sign(name, ascii=ascii) for name in OUTCOMES]
        assert len(set(signs)) == len(OUTCOMES)
        assert all(text.isascii() for text in signs) or not ascii


def test_a_cell_goes_from_waiting_to_its_outcome() -> None:
    script = BoardScript(ARM, 1).passes(ttft_s=3.0)
    assert [shown(script, at_s) for at_s in (0.01, 0.5, 2.5, 3.05, 5.0)] == ["◌", "○", "○2", "●", "✔"]
    assert [shown(script, at_s, ascii=True) for at_s in (0.01, 2.5, 5.0)] == ["~", "o2", "+"]


def test_the_seconds_of_a_silence_are_counted_in_its_cell() -> None:
    script = BoardScript(ARM, 1)
    script.start(0.0).say(0.5, "It")
    assert [shown(script, at_s) for at_s in (2.0, 12.9, 500.0)] == ["●", "▲12", "▲99"]


def test_a_rate_limited_run_is_not_counted() -> None:
    limited = BoardScript(ARM, 1).fails(StreamError("http", "HTTP 429: slow down", 429))
    board = board_of([limited, BoardScript(ARM, 2).passes()])
    figures = board.rows[0].figures
    assert figures is not None
    assert (figures.passes, figures.n) == (1, 1)
    assert shown(limited) == "⊘R"


def test_a_retry_is_seen_but_does_not_wash_the_failure_away() -> None:
    script = BoardScript(ARM, 1).hangs()
    script.at_s = 12.0
    script.start(12.0, "retry").say(12.5, ANSWER).finish(13.0)
    script.ended(1.0, "done", text=ANSWER, ttft_s=0.5)
    assert shown(script, 12.8) == "●"
    cell = only(script, 20.0)
    assert cell_span(cell, ascii=False).text.strip() == "✖T"
    assert say_cell("it", cell, 0).head == "it: TIMEOUT, retried: OK (does not count)"
    figures = board_of([script], at_s=20.0).rows[0].figures
    assert figures is not None
    assert (figures.passes, figures.n) == (0, 1)


def test_a_run_cut_short_is_seen_as_that_and_its_retry_does_not_count() -> None:
    script = BoardScript(ARM, 1)
    script.start(0.0).say(0.5, "It")
    script.at_s = 3.0
    script.ended(3.0, "cancelled", ttft_s=0.5)
    script.start(4.0, "retry").say(4.5, ANSWER).finish(5.0)
    script.ended(5.0, "done", text=ANSWER, ttft_s=0.5)
    cell = only(script, 20.0)
    assert cell_span(cell, ascii=False).text.strip() == "⊘U"
    assert say_cell("it", cell, 0).head == "it: CUT SHORT, retried: OK (does not count)"
    figures = board_of([script], at_s=20.0).rows[0].figures
    assert figures is not None
    assert (figures.passes, figures.n, figures.words) == (0, 0, "no run counts, 1 cut short")


def test_before_the_first_run_every_arm_and_round_is_there() -> None:
    lines = drawn(board_of([]))
    assert [line.strip() for line in lines if "no run has ended" in line]
    assert all(any(arm in line for line in lines) for arm in ARMS)
    assert sum(line.count("·") for line in lines) == 4 * 10


def test_the_rate_is_said_in_the_words_of_the_verdict() -> None:
    board = board_of(board_scripts(10, open_round=False), at_s=120.0)
    figures = board.rows[0].figures
    assert figures is not None
    assert rate_words(6, 10) == figures.words
    assert any("60 % (26-88 %), 10 runs" in line for line in drawn(board))


def test_a_median_ttft_is_shown_once_there_are_runs_enough_and_never_invented() -> None:
    few = board_of([BoardScript(ARM, n).passes() for n in range(1, 5)])
    assert any(line.endswith("4/4       -") for line in drawn(few))
    silent = board_of([BoardScript(ARM, n).hangs() for n in range(1, 6)])
    assert any("0/5       > " in line for line in drawn(silent))


def test_several_scenarios_are_arms_of_their_own() -> None:
    plan = board_plan(2, arms=(ARM,), scenarios=("tool-result", "minimal"))
    runs = [BoardScript(ARM, 1, scenario=name).passes() for name in ("tool-result", "minimal")]
    board = board_of(runs, plan)
    assert [row.name for row in board.rows] == [f"{ARM} (tool-result)", f"{ARM} (minimal)"]
    assert [len(row.cells) for row in board.rows] == [1, 1]


def test_the_newest_rounds_are_in_view_and_older_ones_where_the_focus_goes() -> None:
    plan = board_plan(60, arms=(ARM,))
    board = board_of([BoardScript(ARM, n, at_s=0.0).passes() for n in range(1, 41)], plan)
    newest = drawn(board, BoardPosition(0, 40), (80, 10))[0]
    assert newest.startswith(" ◂")
    assert " 40 ▸" in newest
    older = drawn(board, BoardPosition(0, 3), (80, 10))[0]
    assert older.split()[1:3] == ["3", "4"]


def test_with_more_arms_than_lines_the_one_in_focus_is_in_view() -> None:
    arms = tuple(f"arm{n}" for n in range(20))
    board = board_of([], board_plan(5, arms=arms))
    lines = drawn(board, BoardPosition(17, 1), (80, 9))
    assert len(lines) <= 9
    assert any("arm17" in line for line in lines)
    assert not any("arm0 " in line for line in lines)
    assert lines[0].endswith(" of 20")


@given(
    arms=st.integers(1, 12), rounds=st.integers(1, 120), newest=st.integers(0, 120),
    row=st.integers(0, 11), number=st.integers(1, 120), width=st.integers(20, 220), height=st.integers(2, 60),
)  # fmt: skip
def test_the_focus_is_in_view_and_a_click_on_it_finds_it(
    arms: int, rounds: int, newest: int, row: int, number: int, width: int, height: int
) -> None:
    focus = BoardPosition(min(row, arms - 1), min(number, rounds))
    plan = board_plan(rounds, arms=tuple(f"arm{n}" for n in range(arms)))
    board = Board(board_of([], plan).rows, rounds, min(newest, rounds))
    view: BoardWindow = window(row_names(board), rounds, board.newest, focus, width, height)
    lines = ["".join(span.text for span in line) for line in draw_board(board, view, focus, ascii=True)]
    (y,) = [at for at, line in enumerate(lines) if "[" in line]
    x = lines[y].index("[")
    assert {view.place_at(x + step, y) for step in range(4)} == {focus}
    assert view.place_at(x, 0) is None
    assert view.place_at(0, y) is None


def test_the_legend_explains_what_is_on_the_board_in_whole_words() -> None:
    board = board_of(board_scripts())
    full = "".join(span.text for span in legend(board, 100, ascii=False))
    assert full.strip() == ("✔ OK  ✖T timeout  ✖H hang  ⊘R rate limit  ✖W wrong  ▲ stalled  ● streaming")
    narrow = "".join(span.text for span in legend(board, 30, ascii=False))
    assert narrow.strip() == "✔ OK  ✖T timeout  ✖H hang"


def test_ascii_boards_are_ascii() -> None:
    board = board_of(board_scripts())
    rows = drawn(board, BoardPosition(0, 7), ascii=True)
    assert all(line.isascii() for line in rows)
    assert "T" in rows[2]


def test_the_status_bar_says_how_a_cell_stands_or_how_it_came_out() -> None:
    board = board_of(board_scripts())
    kimi = board.rows[0].cells
    assert say_cell("kimi, round 8", None, 0).said.text == "not begun"
    live = say_cell("kimi, round 7", kimi[7], int(NOW_S * S))
    assert (live.said.text, live.said.alarm) == ("claims streaming, silent 6.2 s (headers, then nothing)", True)
    passed = say_cell("kimi, round 1", kimi[1], 0)
    assert (passed.head, passed.said.text, passed.said.alarm) == ("kimi, round 1: OK", ANSWER, False)
    hung = say_cell("kimi, round 2", kimi[2], 0)
    assert hung.head == "kimi, round 2: TIMEOUT"
    assert hung.said.text.startswith("nothing came in 9.0 s")
    assert hung.said.alarm


def test_the_help_explains_every_sign_of_the_board() -> None:
    for ascii in (False, True):
        page = help_content(ascii=ascii).plain
        assert all(f"{sign(name, ascii=ascii):<2} {SIGNS[name].label.lower()}" in page for name in OUTCOMES)


def test_a_column_is_one_object_for_heading_cells_room_and_help() -> None:
    toy = Column[RowFigures]("failed", lambda figures: str(figures.n - figures.passes), width=6, help="did not pass")
    columns = COLUMNS._replace(beside=(*COLUMNS.beside, toy))
    told = board_of(board_scripts())
    view = window(row_names(told), told.rounds, told.newest, FIRST, 60, 9, columns)
    assert view.rounds == window(row_names(told), told.rounds, told.newest, FIRST, 60, 9).rounds - 2
    heading, _, cells, *_ = ["".join(span.text for span in row) for row in draw_board(told, view, FIRST, ascii=False)]
    assert heading.rstrip().endswith("passed    ttft p50    failed")
    assert cells.rstrip().endswith("4/6       0.60 s      2")
    assert "failed          did not pass" in str(help_content(ascii=False, columns=columns))
