"""Promises of the table: aligned, in seconds, complete in a file and never wider than a terminal."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import StreamError
from kmon.output.summary import table, totals
from kmon.stream.events import RunEnded
from kmon.stream.stall import Stall

DONE = RunEnded(
    0, "r1.1", "together", 1, "done", None, "", None, 412.0, 17_600.0, (Stall("mid-text", 1.0, 17_600.0, True),), 767,
    "text", "", (), "stop", None, "id", {}, label="together/kimi", scenario="code-tools", duration_ms=32_580.0,
)  # fmt: skip
FAILED = msgspec.structs.replace(
    DONE, run="r1.2", target="nvidia", state="failed", signature="rate-limited", ttft_ms=None, max_gap_ms=None,
    stalls=(), error=StreamError("http", "HTTP 429: slow down, please, and read the terms of the tier you are on", 429),
)  # fmt: skip


def test_durations_are_seconds_and_what_is_not_there_is_a_dash() -> None:
    head, first, second = table([DONE, FAILED]).splitlines()
    assert head.split()[:5] == ["run", "target", "state", "total", "s"]
    assert first.split()[4:9] == ["32.58", "0.41", "17.60", "1", "767"]
    assert second.split()[5:7] == ["-", "-"]
    assert "rate-limited: HTTP 429: slow down" in second


def test_scenarios_are_named_when_there_are_several() -> None:
    assert "scenario" not in table([DONE])
    assert "scenario" in table([DONE, msgspec.structs.replace(DONE, scenario="code")])


def test_totals_name_the_longest_silence_and_whose_it_was() -> None:
    line = totals([DONE, FAILED])
    assert line == "1 of 2 runs ended well; 1 stall, the longest silence 17.6 s (together, code-tools)"


def test_one_run_is_one_run() -> None:
    assert totals([FAILED]) == "0 of 1 run ended well"


@given(st.integers(70, 300))
def test_a_terminal_is_never_overrun(columns: int) -> None:
    assert all(len(line) <= columns for line in table([DONE, FAILED], columns=columns).splitlines())


def test_a_narrow_terminal_still_says_what_happened() -> None:
    assert "\n    rate-limited: HTTP 429" in table([DONE, FAILED], columns=80)
