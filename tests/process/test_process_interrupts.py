"""Promises about being told to stop: at any moment of its life kmon ends with the exit code it documents."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.cli import clean_env

pytestmark = pytest.mark.slow

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NOWHERE = "http://127.0.0.1:9/v1"
STUCK = "import os, signal\nos.write(1, b'stuck')\nwhile True:\n    signal.pause()\n"
"""A module whose import never ends: the program is at that moment of its start for as long as a test wants."""


def heeding_all() -> None:
    """As a program of a shell begins: what runs the tests may ignore signals, as under nohup."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def started(
    command: Sequence[str], cwd: Path, *, stuck_in: str = "", source: str = STUCK, **options: object
) -> Iterator[subprocess.Popen[str]]:
    """A command that does not outlive its test, even one that failed."""
    modules = cwd / "modules"
    modules.mkdir()
    if stuck_in:
        (modules / f"{stuck_in}.py").write_text(source)
    process = subprocess.Popen(
        [sys.executable, "-m", "kmon", *command],
        cwd=cwd,
        env=clean_env(cwd, {"PYTHONPATH": str(modules), "PYTHONUNBUFFERED": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"preexec_fn": heeding_all, **options},  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    ("command", "module"),
    [
        (["targets"], "argparse"),
        (["decode", "-"], "msgspec"),
        (["run", "--demo"], "msgspec"),
        (["test", "--demo"], "tomllib"),
        (["proxy", "--to", NOWHERE, "--headless"], "httpcore"),
        (["wrap", "--to", NOWHERE, "--", "true"], "asyncio"),
        (["sim"], "msgspec"),
        (["gateway"], "msgspec"),
    ],
)
def test_a_signal_while_kmon_starts_is_exit_code_130_without_a_word(
    command: list[str], module: str, number: int, tmp_path: Path
) -> None:
    with started(command, tmp_path, stuck_in=module) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "stuck"
        process.send_signal(number)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 130


def test_a_signal_in_a_string_of_code_is_exit_code_130_too(tmp_path: Path) -> None:
    """As of a dataclass: Python notes the interrupt there, and would end by SIGINT although it was caught."""
    with started(["targets"], tmp_path, stuck_in="argparse", source=f"exec({STUCK!r})") as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "stuck"
        process.terminate()
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 130


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "command", [["sim"], ["sim", "--gateway"], ["proxy", "--to", NOWHERE, "--port", "0", "--headless"]]
)
def test_what_runs_until_it_is_stopped_ends_well_when_it_is(command: list[str], number: int, tmp_path: Path) -> None:
    with started(command, tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stderr if command[0] == "proxy" else process.stdout
        assert "listening on" in said.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in out + err


def test_a_hang_up_that_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    def ignoring() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    command = ["proxy", "--to", NOWHERE, "--port", "0", "--headless"]
    with started(command, tmp_path, preexec_fn=ignoring) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[3]
        process.send_signal(signal.SIGHUP)
        for _ in range(3):  # it still answers, if only that there is nobody to ask
            with pytest.raises(urllib.error.HTTPError, match="502"):
                urllib.request.urlopen(f"{url}/models")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0
