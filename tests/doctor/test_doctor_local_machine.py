"""Promises of the look at left-over chat programs: zombies and strays are found, services and others left alone."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kmon.catalog.toml_source import parse_toml
from kmon.doctor.local_machine import (
    PROGRAMS,
    Process,
    elapsed_s,
    of_ps,
    processes,
    program_of,
    programs,
    terminal_name,
)
from kmon.errors import UsageError
from kmon.output.doctor import process_lines

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def named(name: str, directory: Path) -> Path:
    """A program of that name that waits until its input ends."""
    program = directory / name
    shutil.copy("/bin/cat", program)
    program.chmod(0o755)
    return program


def found(name: str, pid: int) -> Process:
    around = processes([name])
    assert around is not None
    (process,) = [process for process in around if process.pid == pid]
    return process


def test_a_zombie_is_found_and_named(tmp_path: Path) -> None:
    child = subprocess.Popen([named("kmon-zombie-tst", tmp_path)], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still not asked how
    process = found("kmon-zombie-tst", child.pid)
    child.wait()
    assert (process.state, process.parent) == ("zombie", os.getpid())
    (_, line) = process_lines([process])
    assert f"pid {child.pid}  kmon-zombie-tst  zombie  started " in line
    assert f"its parent {os.getpid()} never asked how" in line


def test_a_program_that_waits_for_its_user_is_no_trouble(tmp_path: Path) -> None:
    with subprocess.Popen([named("kmon-waiter-tst", tmp_path)], stdin=subprocess.PIPE) as child:
        process = found("kmon-waiter-tst", child.pid)
        child.communicate()
    assert process.trouble is None
    assert 0 <= process.running_s < 600


@linux
def test_a_program_whose_terminal_was_closed_is_a_stray() -> None:
    here, there = pty.openpty()
    waiting, waiter = os.pipe()
    script = f"import signal, os; signal.signal(1, signal.SIG_IGN); os.write(1, b'on'); os.read({waiting}, 1)"
    child = subprocess.Popen(
        ["kmon-stray-tst", "-c", script],
        executable=sys.executable, stdin=there, stdout=there, pass_fds=[waiting], start_new_session=True,
    )  # fmt: skip
    os.close(there)
    assert os.read(here, 2) == b"on"
    assert found("kmon-stray-tst", child.pid).trouble is None
    os.close(here)
    process = found("kmon-stray-tst", child.pid)
    os.close(waiter)
    child.wait()
    os.close(waiting)
    assert process.orphaned and process.trouble is not None
    (_, line) = process_lines([process])
    assert "orphaned  stray: the terminal or session it was started in is gone" in line


def test_programs_are_known_by_name_command_or_script() -> None:
    names = ["claude", "openclaw-gateway-x", "aider"]
    assert program_of("claude", [""], names) == "claude"
    assert program_of("node", ["/usr/bin/node", "/opt/bin/claude"], names) == "claude"
    assert program_of("python3", ["python3.11", "/opt/aider.py", "x"], names) == "aider"
    assert program_of("openclaw-gatewa", [""], names) == "openclaw-gateway-x"
    assert program_of("vim", ["vim", "claude"], names) is None
    assert program_of("", [""], names) is None


def test_terminals_have_names() -> None:
    assert [terminal_name(n) for n in (0, 34816, 34819, 136 << 8 | 1 << 20, 1025, 0x8900)] == [
        None, "pts/0", "pts/3", "pts/256", "tty1", "pts/256",
    ]  # fmt: skip


def test_ps_is_understood_where_there_is_no_proc() -> None:
    lines = [
        "  101     1 S    ttys001     02:03 /usr/local/bin/claude",
        "  102   100 Z    ??       1-00:00:01 codex",
        "  103   100 S+   ttys002  10:00:00 /bin/zsh",
        "garbage",
    ]
    one, two = of_ps(["claude", "codex"], lines)
    assert (one.pid, one.tty, one.running_s, one.orphaned) == (101, "ttys001", 123.0, True)
    assert (two.pid, two.tty, two.state, two.running_s) == (102, None, "zombie", 86_401.0)
    assert elapsed_s("soon") == 0.0


def test_what_cannot_be_seen_is_said() -> None:
    assert list(process_lines(None)) == ["chat programs    not available here"]
    assert list(process_lines([])) == ["chat programs    none running"]


def test_the_names_come_from_kmon_toml() -> None:
    assert programs([]) == PROGRAMS
    assert programs([parse_toml(Path("kmon.toml"), "[doctor]\nprograms = ['mine']\n")]) == ("mine",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("doctor = 3\n", "line 1, key 'doctor': must be a table"),
        ("[doctor]\nprogram = ['x']\n", "line 2, key 'doctor.program': unknown key; did you mean programs?"),
        ("[doctor]\nprograms = 'x'\n", "line 2, key 'doctor.programs': must be a list of program names"),
        ("[doctor]\nprograms = ['/bin/x']\n", "must be a list of program names"),
    ],
)
def test_names_that_are_none_are_told_with_their_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        programs([parse_toml(Path("kmon.toml"), text)])
