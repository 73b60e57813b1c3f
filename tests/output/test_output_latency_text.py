"""Promises about the printed differences in time: a block per pair, and the field report as a whole program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kmon.output.latency_text import latency_lines
from tests.support.latency import GAPS_OF_THE_REPORT, SMOOTH, latency_of, timed


def test_every_pair_has_a_block_with_a_line_per_metric() -> None:
    found = latency_of(timed("together", GAPS_OF_THE_REPORT), timed("fireworks", SMOOTH))
    assert [line.text for line in latency_lines(found)] == [
        "together is slower than fireworks (medians, rounds, difference):",
        "  longest gap 22 : 0.1 s, in 5 of 5 rounds, by 15 to 33 s, corrected p 0.0198",
        "  duration    32 : 10 s, in 5 of 5 rounds, by 15 to 33 s, corrected p 0.0476",
        "  speed       15 : 50 tokens/s, in 5 of 5 rounds, by 29 to 38 tokens/s, corrected p 0.0476",
    ]


def test_runs_that_were_cut_off_are_told_as_at_least() -> None:
    hangs = latency_of(timed("a", [60.0] * 6, outcome="hang-mid-stream"), timed("b", [*SMOOTH, 0.1]))
    assert "  longest gap over 60 : 0.1 s, in 6 of 6 rounds, by at least 60 s, corrected p" in "\n".join(
        line.text for line in latency_lines(hangs)
    )


def test_what_nobody_feels_is_left_out_and_a_watched_race_has_no_p_values() -> None:
    assert latency_lines(latency_of(timed("a", [0.11] * 9), timed("b", [0.1] * 9))) == []
    found = latency_of(timed("together", GAPS_OF_THE_REPORT), timed("fireworks", SMOOTH))
    assert not any("p 0." in line.text for line in latency_lines(found, watched=True))


@pytest.mark.slow
def test_the_field_report_on_the_simulator_ends_in_a_sentence_with_its_numbers(tmp_path: Path) -> None:
    arguments = ["--demo", "--profile", "seed-000", "--scenario", "code,code-tools", "--count", "5", "--speed", "6"]
    done = subprocess.run(
        [sys.executable, "-m", "kmon", "test", "together", "fireworks", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=110,
        env=os.environ | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
        check=False,
    )
    verdict = next(told for line in done.stdout.splitlines() if (told := json.loads(line))["type"] == "verdict")
    conclusion = verdict["conclusion"]
    assert conclusion.startswith("together (code-tools) stood still for ")
    assert "the longest of 4 in 5 of 5 rounds, by " in conclusion and "so the tools are a cause" in conclusion
    gaps = {(row["arm"], row["metric"]): row["quantiles"][0]["value"] for row in verdict["latency"]["arms"]}
    assert gaps["together (code-tools)", "worst-gap"] > 10 * gaps["fireworks (code-tools)", "worst-gap"]
