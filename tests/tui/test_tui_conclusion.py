"""The conclusion below the board: sentences wrapped, tables whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmon.format import TextLine
from kmon.tui.board_screen import conclusion_rows
from kmon.tui.spans import row_width

LINES = [
    TextLine("target   rate                failures", table=True),
    TextLine("bedrock  60 % (26-88 %)      4 hang", table=True),
    TextLine(""),
    TextLine("Conclusion: it fails more often."),
]


def lines(width: int, left: int = 0) -> list[str]:
    return ["".join(span.text for span in row) for row in conclusion_rows(LINES, width, left).rows]


def test_sentences_wrap_and_tables_do_not() -> None:
    assert lines(20) == [
        "target   rate                failures", "bedrock  60 % (26-88 %)      4 hang", "",
        "Conclusion: it fails", "more often.",
    ]  # fmt: skip


def test_tables_move_sideways_together_and_stop_at_their_end() -> None:
    assert lines(20, 9)[:2] == ["rate                failures", "60 % (26-88 %)      4 hang"]
    assert lines(20, 1000)[0] == "            failures"
    assert lines(100, 1000)[0].startswith("target")
    assert lines(20, 9)[3] == "Conclusion: it fails"


@given(text=st.text(alphabet="ab漢 ", max_size=120), width=st.integers(2, 40))
def test_no_sentence_is_wider_than_the_screen_and_no_word_is_lost(text: str, width: int) -> None:
    rows = conclusion_rows([TextLine(text)], width, 0).rows
    assert all(row_width(row) <= width for row in rows)
    said = "".join(span.text for row in rows for span in row)
    assert "".join(said.split()) == "".join(text.split())
