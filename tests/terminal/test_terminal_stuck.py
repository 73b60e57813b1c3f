"""Promises about an engine or a simulator that does not answer any more: leaving ends them all the same, in a while."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.processes import all_gone, offspring, stopped
from tests.support.terminal import DEMO, Terminal

pytestmark = pytest.mark.slow

needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc, which only Linux has")
LIMIT_S = 40.0
"""Well above the sum of what may be waited for: 3 s for the engine, 4 s for last words, 3 s for each simulator."""
BUSY = "open({!r}, 'w').close()\nwhile True:\n    pass\n"


def leave(terminal: Terminal, how: str) -> None:
    match how:
        case "q":
            terminal.press("q")
        case "SIGTERM":
            terminal.process.terminate()
        case "hang-up":
            terminal.hang_up()
        case "SIGKILL":
            terminal.process.kill()


@needs_proc
@pytest.mark.parametrize("how", ["q", "SIGTERM", "hang-up", "SIGKILL"])
def test_a_stopped_engine_and_simulator_are_killed(how: str, tmp_path: Path) -> None:
    with Terminal(DEMO, cwd=tmp_path) as terminal:
        terminal.until(lambda text: "streaming" in text, "streams")
        with offspring(terminal.process.pid, 2) as both:
            for pid in both:
                os.kill(pid, signal.SIGSTOP)
            assert stopped(both)
            leave(terminal, how)
            assert terminal.ended(LIMIT_S) == (-signal.SIGKILL if how == "SIGKILL" else 130)
            assert all_gone(both)


@needs_proc
def test_killed_while_it_is_stopped_itself_kmon_leaves_no_stopped_child(tmp_path: Path) -> None:
    with Terminal(DEMO, cwd=tmp_path) as terminal:
        terminal.until(lambda text: "streaming" in text, "streams")
        with offspring(terminal.process.pid, 2) as both:
            for pid in (*both, terminal.process.pid):
                os.kill(pid, signal.SIGSTOP)
            assert stopped(both)
            leave(terminal, "SIGKILL")
            terminal.ended()
            assert all_gone(both)


@needs_proc
def test_an_engine_in_an_endless_loop_is_killed(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "aiobotocore.py").write_text(BUSY.format(str(tmp_path / "busy")))  # which only the engine imports
    with Terminal([*DEMO, "bedrock"], cwd=tmp_path, env={"PYTHONPATH": str(modules)}) as terminal:
        terminal.until(lambda _: (tmp_path / "busy").exists(), "an engine that is busy")
        with offspring(terminal.process.pid, 2) as both:
            terminal.press("q")
            assert terminal.ended(LIMIT_S) == 130
            assert all_gone(both)
