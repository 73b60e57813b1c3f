"""Promises of kmon wrap about a program's life: its signals come once, its exit code is kept, nothing disturbs it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import CLIENT, KMON, wrap
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

NOWHERE = "http://127.0.0.1:9/v1"
ENDS_ON_TERM = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))"
IGNORES_TERM = "signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'told\\n'))"
COUNTS = """
import os, signal, sys
seen = []
signal.signal(signal.SIGINT, lambda *_: (seen.append(1), os.write(1, b"SIGINT\\n")))
signal.signal(signal.SIGUSR1, lambda *_: (os.write(1, b"seen %d in all\\n" % len(seen)), sys.exit(4)))
os.write(1, b"up\\n")
while True:
    signal.pause()
"""


@contextlib.contextmanager
def waiting(then: str) -> Iterator[subprocess.Popen[str]]:
    """A program that is up, and waits, behind kmon wrap; a test that failed leaves neither."""
    program = f"import os, signal, sys; {then}; os.write(1, b'up\\n')\nwhile True: signal.pause()"
    process = subprocess.Popen(
        [*KMON, "wrap", "--to", NOWHERE, "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# -- signals -----------------------------------------------------------------------------------------------------------


def test_a_second_sigterm_kills_a_program_that_ignores_the_first() -> None:
    with waiting(IGNORES_TERM) as kmon:
        assert kmon.stdout is not None
        kmon.terminate()
        assert kmon.stdout.readline() == "told\n"
        kmon.terminate()
        kmon.communicate(timeout=30)
    assert kmon.returncode == 128 + signal.SIGKILL


def test_a_program_that_ends_on_the_first_keeps_its_exit_code() -> None:
    with waiting(ENDS_ON_TERM) as kmon:
        kmon.terminate()
        kmon.communicate(timeout=30)
    assert kmon.returncode == 5


@pytest.mark.parametrize("pipeline", ["{} | cat", "echo | {}", "{}"])
def test_ctrl_c_reaches_the_program_once(pipeline: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(COUNTS)
    wrapped = f"{sys.executable} -m kmon wrap --to {NOWHERE} -- {sys.executable} {program}"
    script = f"trap '' INT USR1; {pipeline.format(f'(trap - INT USR1; echo $BASHPID > pid; exec {wrapped})')}"
    with Terminal(["-c", script], cwd=tmp_path, program=["bash"]) as terminal:
        terminal.until(lambda text: "up" in text, "the program")
        terminal.press("\x03")
        terminal.until(lambda text: "SIGINT" in text, "that it got the signal")
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR1)  # after whatever kmon did with Ctrl-C
        said = terminal.until(lambda text: "in all" in text, "how often it got it")
        terminal.ended()
    assert "seen 1 in all" in said


def test_an_interrupt_from_elsewhere_is_passed_on() -> None:
    with waiting("signal.signal(signal.SIGINT, lambda *_: sys.exit(6))") as kmon:
        kmon.send_signal(signal.SIGINT)
        kmon.communicate(timeout=30)
    assert kmon.returncode == 6


# -- a record that cannot be written -----------------------------------------------------------------------------------


def told(stderr: str) -> list[str]:
    """What is said of the record."""
    assert "Traceback" not in stderr
    return [line for line in stderr.splitlines() if "the record" in line]


def test_a_full_disk_costs_the_record_and_nothing_else(upstream: str) -> None:
    done = wrap(upstream, [sys.executable, "-c", CLIENT], "--json", "/dev/full", input="x")
    assert (done.returncode, done.stdout) == (7, "data: [DONE] x\n")
    assert told(done.stderr) == ["kmon: the record in /dev/full is incomplete: No space left on device"]
    assert "1 of 1 run ended well" in done.stderr


def test_what_fitted_is_whole_lines(upstream: str, tmp_path: Path) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    record = tmp_path / "events.jsonl"
    command = [sys.executable, "-c", CLIENT]
    done = wrap(upstream, command, "--json", str(record), input="x", preexec_fn=small_files_only)
    assert (done.returncode, done.stdout) == (7, "data: [DONE] x\n")
    assert told(done.stderr) == [f"kmon: the record in {record} is incomplete: File too large"]
    text = record.read_text()
    assert text.endswith("\n") and 0 < len(text) <= 2_000
    assert all(json.loads(line)["type"] for line in text.splitlines())


@pytest.mark.parametrize(("reads", "why"), [(True, "Broken pipe"), (False, "it was not taken as fast as it came")])
def test_a_reader_that_leaves_or_falls_asleep_disturbs_nobody(
    reads: bool, why: str, upstream: str, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    over = threading.Event()

    def read() -> None:
        with pipe.open("rb"):
            if not reads:
                over.wait(60)

    reader = threading.Thread(target=read)
    reader.start()
    twenty = (
        f"for _ in range(20):\n    try: exec({CLIENT!r})\n    except SystemExit as end: code = end.code\nsys.exit(code)"
    )
    done = wrap(upstream, [sys.executable, "-c", f"import sys\n{twenty}"], "--json", str(pipe), input="x")
    over.set()
    reader.join()
    assert (done.returncode, done.stdout.count("[DONE]")) == (7, 20)
    assert told(done.stderr) == [f"kmon: the record in {pipe} is incomplete: {why}"]


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>&1 | true"])
def test_an_exit_code_is_kept_where_nothing_can_be_said(redirection: str, tmp_path: Path) -> None:
    command = f"{' '.join(KMON)} wrap --to {NOWHERE} -- {sys.executable} -c 'import sys; sys.exit(9)' {redirection}"
    script = f"set -o pipefail; {command}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (9, "")
