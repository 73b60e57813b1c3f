"""Promises of ``kmon test`` as a program that is interrupted, or stopped for a while by its machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import KMON, clean_env

pytestmark = pytest.mark.slow
HANG = ("test", "--demo", "groq", "--fault", "hang-mid-stream:after_tokens=5", "--scenario", "minimal", "--speed", "1")


class Program:
    """A test that prints JSON, and what it has printed."""

    def __init__(self, cwd: Path, *flags: str) -> None:
        command = [*KMON, *HANG, "--json", *flags]
        env = {**clean_env(cwd), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True)
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        """It does not outlive its test."""
        self.process.kill()
        self.process.communicate()

    def until(self, kind: str, count: int) -> None:
        assert self.process.stdout is not None
        while sum(event["type"] == kind for event in self.events) < count:
            line = self.process.stdout.readline()
            assert line, f"it ended without {count} of {kind}"
            self.events.append(json.loads(line))

    def end(self) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
        """The exit code, the verdict and the outcomes."""
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        code = self.process.wait(60)
        (verdict,) = (event for event in self.events if event["type"] == "verdict")
        return code, verdict, [event for event in self.events if event["type"] == "test_outcome"]


@pytest.mark.parametrize(("limit_s", "outcome"), [("0.8", "hang-mid-stream"), ("50", "cut-short")])
def test_ctrl_c_keeps_the_hangs_that_are_open(tmp_path: Path, limit_s: str, outcome: str) -> None:
    flags = ("--count", "4", "--concurrency", "4", "--per-target", "4", "--stall", "1", "--pass-max-gap", limit_s)
    with Program(tmp_path, *flags, "--fail-under", "0.9", "--junit", "t.xml") as program:
        program.until("stall_started", 4)
        program.process.send_signal(signal.SIGINT)
        code, verdict, outcomes = program.end()
    assert code == 130
    assert {one["outcome"] for one in outcomes} == {outcome} and len(outcomes) == 4
    (arm,) = verdict["arms"]
    failed = outcome != "cut-short"
    assert (arm["n"], arm["passes"], arm["cut_short"]) == ((4, 0, 0) if failed else (0, 0, 4))
    assert verdict["thresholds"][0]["decision"] == ("missed" if failed else "undecided")
    assert (tmp_path / "t.xml").exists()


@pytest.mark.parametrize("stall", ["2", "30"])
def test_a_limit_that_passed_while_kmon_was_stopped_says_nothing_about_the_target(tmp_path: Path, stall: str) -> None:
    with Program(tmp_path, "--count", "1", "--timeout", "4", "--stall", stall, "--max-stall", "2") as program:
        program.until("delta", 3)
        os.kill(program.process.pid, signal.SIGSTOP)
        time.sleep(5)
        os.kill(program.process.pid, signal.SIGCONT)
        code, verdict, outcomes = program.end()
    (arm,) = verdict["arms"]
    assert [one["outcome"] for one in outcomes] == ["disturbed"]
    assert (arm["n"], arm["disturbed"], arm["failures"]) == (0, 1, {})
    assert (code, verdict["thresholds"][0]["decision"]) == (4, "undecided")


def test_a_hang_that_was_not_kmons_fails_as_ever(tmp_path: Path) -> None:
    with Program(tmp_path, "--count", "1", "--timeout", "4", "--stall", "2", "--max-stall", "2") as program:
        code, verdict, outcomes = program.end()
    assert [one["outcome"] for one in outcomes] == ["hang-mid-stream"]
    assert (code, verdict["thresholds"][0]["decision"]) == (1, "missed")
