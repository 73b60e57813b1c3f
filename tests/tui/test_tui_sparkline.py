"""The gap scale is fixed, logarithmic, and shows a stall by height."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmon.stream.timeline import MS, S
from kmon.tui.sparkline import STALL_LEVEL, chart, level, sparkline


def test_the_scale_runs_from_50_ms_to_60_s() -> None:
    assert level(20 * MS, 5 * S) == 0
    assert level(50 * MS, 5 * S) == 0
    assert level(60 * S, 5 * S) == 7
    assert level(600 * S, 5 * S) == 7


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(100 * MS, 60 * S))
def test_a_longer_gap_is_never_lower(one: int, other: int, threshold_ns: int) -> None:
    low, high = sorted((one, other))
    assert level(low, threshold_ns) <= level(high, threshold_ns)


@given(st.integers(0, 10**12), st.integers(100 * MS, 120 * S))
def test_a_stall_is_taller_than_anything_under_the_threshold(gap_ns: int, threshold_ns: int) -> None:
    assert (level(gap_ns, threshold_ns) >= STALL_LEVEL) == (gap_ns >= threshold_ns)


def test_each_gap_is_one_column_and_unknown_slices_are_blank() -> None:
    row = sparkline([None, 20 * MS, 500 * MS, 4_900 * MS, 5 * S, 60 * S], 5 * S)
    assert "".join(span.text for span in row) == " ▁▃▅▆█"
    assert [span.style for span in row] == ["gap.calm", "gap.stall"]


def test_ascii_columns_are_ascii() -> None:
    row = sparkline([20 * MS, 5 * S, 60 * S], 5 * S, ascii=True)
    assert "".join(span.text for span in row) == "_+#"


def test_the_chart_rules_the_threshold_across() -> None:
    rows = chart([20 * MS, 60 * S, None], 5 * S)
    drawn = ["".join(span.text for span in row) for row in rows]
    assert drawn == [" █ ", " █ ", "┄█┄", " █ ", " █ ", " █ ", " █ ", "██ "]
