"""Promises about being stopped and continued: the terminal is left as it was found, and all is drawn anew."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.terminal.pseudo import Terminal

FOUND = {"1049": "l", "25": "h", "7": "h", "1000": "l", "1003": "l", "1006": "l", "1015": "l", "1004": "l", "2004": "l"}
"""DEC private modes as a shell wants them: no alternate screen, cursor and line wrap on; no mouse, focus, or paste."""
DEMO = ["-m", "kmon", "--demo"]


def modes(raw: bytes) -> dict[str, str]:
    """How the program left the modes of the terminal that it touched."""
    return dict(re.findall(r"\x1b\[\?(\d+)([hl])", raw.decode("utf-8", "replace")))


def streaming(text: str) -> bool:
    return text.startswith(" kmon") and "streaming" in text and "quit" in text.splitlines()[-1]


def stop(terminal: Terminal, number: signal.Signals = signal.SIGSTOP) -> None:
    """Stop it, and wait until it is."""
    terminal.process.send_signal(number)
    os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED | os.WNOWAIT)
    terminal.drain()


def assert_left_as_found(terminal: Terminal, attributes: Sequence[object]) -> None:
    assert modes(terminal.raw) == modes(terminal.raw) | FOUND
    assert terminal.raw.count(b"\x1b[<u") == len(re.findall(rb"\x1b\[>\d+u", terminal.raw))  # keyboard protocol
    assert terminal.attributes == attributes


@pytest.mark.parametrize("times", [1, 3])
def test_stopped_and_continued_it_draws_all_anew_and_leaves_the_terminal_as_it_was(times: int, tmp_path: Path) -> None:
    with Terminal(["--demo"], cwd=tmp_path) as terminal:
        found = terminal.attributes
        terminal.until(streaming, "streams")
        for _ in range(times):
            stop(terminal)
            terminal.forget()
            terminal.process.send_signal(signal.SIGCONT)
            terminal.until(streaming, "the whole screen again")
        terminal.press("q")
        assert terminal.ended() == 130
        assert_left_as_found(terminal, found)


def test_resized_while_it_was_stopped_it_draws_at_the_new_size(tmp_path: Path) -> None:
    with Terminal(["--demo"], cwd=tmp_path) as terminal:
        terminal.until(streaming, "streams")
        stop(terminal)
        terminal.forget()
        terminal.resize(80, 24)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(lambda text: streaming(text) and text.splitlines()[1].endswith("╮"), "a smaller screen")
        terminal.press("q")
        assert terminal.ended() == 130


def test_told_to_go_on_without_having_been_stopped_it_does(tmp_path: Path) -> None:
    with Terminal(["--demo"], cwd=tmp_path) as terminal:
        found = terminal.attributes
        terminal.until(streaming, "streams")
        terminal.forget()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(streaming, "the whole screen again")
        terminal.press("q")
        assert terminal.ended() == 130
        assert_left_as_found(terminal, found)


@pytest.mark.parametrize("sign", [b"\x1b[?1049h", b"\x1b[?2004h"])
def test_stopped_while_it_starts_it_goes_on(sign: bytes, tmp_path: Path) -> None:
    with Terminal(["--demo"], cwd=tmp_path) as terminal:
        found = terminal.attributes
        terminal.until(lambda _: sign in terminal.raw, "the first modes")
        stop(terminal)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(streaming, "streams")
        terminal.press("q")
        assert terminal.ended() == 130
        assert_left_as_found(terminal, found)


def test_ctrl_z_without_a_shell_that_could_continue_it_does_not_stop_it(tmp_path: Path) -> None:
    with Terminal(["--demo"], cwd=tmp_path) as terminal:
        found = terminal.attributes
        terminal.until(streaming, "streams")
        terminal.forget()
        terminal.press("\x1a")
        terminal.until(streaming, "the whole screen again")
        terminal.press("q")
        assert terminal.ended() == 130
        assert_left_as_found(terminal, found)


# -- under a shell -----------------------------------------------------------------------------------------------------


class Shell(Terminal):
    """An interactive bash that has told its settings of the terminal."""

    def __init__(self, cwd: Path) -> None:
        super().__init__(
            ["--norc", "--noprofile", "--noediting", "-i"], cwd=cwd, program=["bash"], env={"PS1": "at the prompt> "}
        )
        self._asked = 0

    def settings(self) -> str:
        """What ``stty -a`` says, wherever on the screen it stands."""
        self._asked += 1
        self.forget()
        self.press(f"stty -a; echo that was''-{self._asked}\r")
        text = self.until(lambda text: f"that was-{self._asked}" in text, "the settings")
        return " ".join(text[text.index("speed") : text.index("that was-")].split())

    def shows_prompt(self) -> None:
        self.until(lambda text: "at the prompt>" in text, "the prompt")


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@needs_bash
@pytest.mark.parametrize("how", ["ctrl-z", "SIGSTOP"])
def test_a_shell_that_stops_it_and_brings_it_back_has_its_terminal_in_between_and_after(
    how: str, tmp_path: Path
) -> None:
    with Shell(tmp_path) as shell:
        shell.shows_prompt()
        found = shell.settings()
        shell.press(f"{sys.executable} {' '.join(DEMO)}\r")
        shell.until(streaming, "streams")
        for _ in range(2):
            shell.forget()
            if how == "ctrl-z":
                shell.press("\x1a")
            else:
                os.killpg(os.tcgetpgrp(shell.fileno()), signal.SIGSTOP)
            shell.until(lambda text: "Stopped" in text and "at the prompt>" in text, "the shell")
            assert shell.settings() == found
            if how == "ctrl-z":
                assert modes(shell.raw) == modes(shell.raw) | FOUND
            shell.forget()
            shell.press("fg\r")
            shell.until(streaming, "the whole screen again")
        shell.press("q")
        shell.until(lambda text: "cancelled" in text and "at the prompt>" in text, "the summary")
        assert shell.settings() == found
        assert modes(shell.raw) == modes(shell.raw) | FOUND
        shell.press("exit\r")
        shell.ended()


@needs_bash
def test_in_the_background_it_does_not_draw_over_the_shell(tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        shell.shows_prompt()
        shell.press(f"{sys.executable} {' '.join(DEMO)}\r")
        shell.until(streaming, "streams")
        shell.press("\x1a")
        shell.until(lambda text: "Stopped" in text and "at the prompt>" in text, "the shell")
        shell.forget()
        drawn = len(shell.raw)
        shell.press("bg; wait %1; jobs\r")
        shell.until(lambda text: text.count("Stopped") and "at the prompt>" in text, "that it stopped again")
        assert b"\x1b[?1049h" not in shell.raw[drawn:]
        shell.forget()
        shell.press("fg\r")
        shell.until(streaming, "the whole screen again")
        shell.press("q")
        shell.until(lambda text: "cancelled" in text and "at the prompt>" in text, "the summary")
        shell.press("exit\r")
        shell.ended()


@needs_bash
@pytest.mark.parametrize("how", ["ctrl-z", "SIGSTOP", "started with &"])
@pytest.mark.parametrize("end", ["kill %1", "kill -HUP %1; kill -CONT %1"])
def test_the_shell_can_end_it_while_it_is_stopped(how: str, end: str, tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        shell.shows_prompt()
        found = shell.settings()
        shell.forget()
        if how == "started with &":
            shell.press(f"{sys.executable} {' '.join(DEMO)} & wait %1\r")
        else:
            shell.press(f"{sys.executable} {' '.join(DEMO)}\r")
            shell.until(streaming, "streams")
            shell.forget()
            if how == "ctrl-z":
                shell.press("\x1a")
            else:
                os.killpg(os.tcgetpgrp(shell.fileno()), signal.SIGSTOP)
        shell.until(lambda text: "Stopped" in text and "at the prompt>" in text, "the shell")
        shell.press(f"{end}; wait -f %1; echo ended-$?\r")
        shell.until(lambda text: "ended-130" in text, "its end")
        assert shell.settings() == found
        assert modes(shell.raw) == modes(shell.raw) | (FOUND if how != "started with &" else {})
        shell.press("exit\r")
        shell.ended()
