"""Promises about being stopped and continued: the terminal is left as it was found, and all is drawn anew."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.terminal import DEMO, KMON, Terminal

pytestmark = pytest.mark.slow

FOUND = {"1049": "l", "25": "h", "7": "h", "1000": "l", "1003": "l", "1006": "l", "1015": "l", "1004": "l", "2004": "l"}
"""DEC private modes as a shell wants them: no alternate screen, cursor and line wrap on; no mouse, focus, or paste."""
STARTED = shlex.join((*KMON, *DEMO))


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


def test_whatever_stops_and_continues_it_it_draws_all_anew_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with Terminal(DEMO, cwd=tmp_path, columns=120, rows=40) as terminal:
        found = terminal.attributes
        terminal.until(streaming, "streams")
        for _ in range(2):
            stop(terminal)
            terminal.forget()
            terminal.process.send_signal(signal.SIGCONT)
            terminal.until(streaming, "the whole screen again after SIGSTOP and SIGCONT")
        terminal.forget()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(streaming, "the whole screen again after a SIGCONT that nothing had stopped it for")
        terminal.forget()
        terminal.press("\x1a")
        terminal.until(streaming, "the whole screen again after Ctrl-Z without a shell that could continue it")
        stop(terminal)
        terminal.forget()
        terminal.resize(80, 24)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(lambda text: streaming(text) and text.splitlines()[1].endswith("╮"), "a smaller screen")
        terminal.press("q")
        assert terminal.ended() == 130
        assert_left_as_found(terminal, found)


@pytest.mark.parametrize("sign", [b"\x1b[?1049h", b"\x1b[?2004h"])
def test_stopped_while_it_starts_it_goes_on(sign: bytes, tmp_path: Path) -> None:
    with Terminal(DEMO, cwd=tmp_path) as terminal:
        found = terminal.attributes
        terminal.until(lambda _: sign in terminal.raw, "the first modes")
        stop(terminal)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(streaming, "streams")
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

    def __enter__(self) -> Shell:
        self.shows_prompt()
        return self

    def started(self) -> None:
        """kmon, in the foreground."""
        self.forget()
        self.press(f"{STARTED}\r")
        self.until(streaming, "streams")

    def shows_prompt(self) -> None:
        self.until(lambda text: "at the prompt>" in text, "the prompt")


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@needs_bash
@pytest.mark.parametrize("how", ["ctrl-z", "SIGSTOP"])
def test_a_shell_that_stops_it_and_brings_it_back_has_its_terminal_in_between_and_after(
    how: str, tmp_path: Path
) -> None:
    with Shell(tmp_path) as shell:
        found = shell.settings()
        shell.started()
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
        shell.started()
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
@pytest.mark.parametrize(("how", "end"), [
    ("ctrl-z", "kill %1"), ("SIGSTOP", "kill -HUP %1; kill -CONT %1"),
    ("started with &", "kill %1"), ("started with &", "kill -HUP %1; kill -CONT %1"),
])  # fmt: skip
def test_the_shell_can_end_it_while_it_is_stopped(how: str, end: str, tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        found = shell.settings()
        shell.forget()
        if how == "started with &":
            shell.press(f"{STARTED} & wait %1\r")
        else:
            shell.started()
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
