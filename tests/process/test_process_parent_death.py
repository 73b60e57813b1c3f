"""Promises about children whose parent is killed: on Linux none of them stays, not even one that is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kmon.process import parent_death
from tests.support.cli import clean_env
from tests.support.processes import all_gone, stopped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")

WAITS = "import os, signal; os.write(1, b'%d\\n' % os.getpid()); signal.pause()"
TELLS = (
    "import os, signal, sys\n"
    "def told(number, frame): open('told', 'w').write(signal.Signals(number).name); sys.exit()\n"
    "signal.signal(signal.SIGTERM, told); os.write(1, b'%d\\n' % os.getpid())\nsignal.pause()\n"
)
ALARM = """
import asyncio, sys
from kmon.engine.alert_hooks import AlertHookRunner, AlertHooks
from kmon.stream.target_events import Alert

async def main():
    alarm = AlertHookRunner(AlertHooks((sys.executable, "-c", sys.argv[1])), print)
    alarm.start(Alert(7, "t", "consecutive-failures", 5, 5, 12, "failed"))
    await alarm.close()

asyncio.run(main())
"""
SIMULATOR = """
import sys
from kmon.{}

with Embedded().running() as simulator:
    print(simulator.pid, flush=True)
    sys.stdin.read()
"""


def killed(parent: subprocess.Popen[bytes], child: int) -> bool:
    """Whether the child ends when its parent is killed."""
    parent.kill()
    parent.wait()
    try:
        return all_gone([child])
    finally:
        if not all_gone([child], 0):
            os.kill(child, signal.SIGKILL)


def child_of(parent: subprocess.Popen[bytes]) -> int:
    assert parent.stdout is not None
    return int(parent.stdout.readline())


def wrapping(program: str, cwd: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kmon", "wrap", "--to", "http://127.0.0.1:9/v1", "--"]
    return subprocess.Popen(
        [*command, sys.executable, "-c", program], cwd=cwd, env=clean_env(cwd), stdout=subprocess.PIPE
    )


def test_a_wrapped_program_is_asked_to_end_when_kmon_is_killed(tmp_path: Path) -> None:
    with wrapping(TELLS, tmp_path) as kmon:
        assert killed(kmon, child_of(kmon))
    assert (tmp_path / "told").read_text() == "SIGTERM"


def test_a_wrapped_program_outlives_nothing_but_its_own_end(tmp_path: Path) -> None:
    with wrapping("import os; os.write(1, b'%d\\n' % os.getpid()); raise SystemExit(7)", tmp_path) as kmon:
        assert child_of(kmon)
        assert kmon.wait(30) == 7
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize("stop", [False, True])
def test_an_alert_command_ends_when_kmon_is_killed(stop: bool, tmp_path: Path) -> None:
    hangs = f"import os, signal; open('pid', 'w').write(str(os.getpid())); os.kill(os.getpid(), {19 if stop else 0})"
    command = [sys.executable, "-c", ALARM, f"{hangs}; signal.pause()"]
    with subprocess.Popen(command, env=clean_env(tmp_path, {"HOME": str(tmp_path)}), stdout=subprocess.PIPE) as kmon:
        told = tmp_path / "pid"
        while not (told.exists() and told.read_text()):
            assert kmon.poll() is None
        child = int(told.read_text())
        assert not stop or stopped([child])
        assert killed(kmon, child)


@pytest.mark.parametrize(
    "which", ["simulator.embedded import Embedded", "openclaw.simulated.embedded import EmbeddedGateway as Embedded"]
)
def test_a_stopped_simulator_ends_when_kmon_is_killed(which: str) -> None:
    command = [sys.executable, "-c", SIMULATOR.format(which)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as kmon:
        child = child_of(kmon)
        os.kill(child, signal.SIGSTOP)
        assert stopped([child])
        assert killed(kmon, child)


def test_a_child_whose_parent_died_before_it_asked_does_not_begin(tmp_path: Path) -> None:
    step = parent_death.stepping_stone(signal.SIGTERM)
    another = str(os.getppid())  # not the parent of what is started here
    begun = tmp_path / "begun"
    done = subprocess.run([*step[:-1], another, "touch", str(begun)], check=False)
    assert (done.returncode, begun.exists()) == (-signal.SIGTERM, False)
    assert subprocess.run([*step, "touch", str(begun)], check=False).returncode == 0
    assert begun.exists()


def test_the_same_holds_between_fork_and_exec() -> None:
    prepared = parent_death.before_exec(signal.SIGTERM)
    assert prepared is not None
    script = (
        "import os, signal\nfrom kmon.process import parent_death\n"
        "prepared = parent_death.before_exec(signal.SIGTERM)\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0:\n"
        "        prepared(); os._exit(0)\n"
        "    os._exit(os.waitstatus_to_exitcode(os.wait()[1]) % 256)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == -signal.SIGTERM % 256


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/", 126)])
def test_a_step_to_what_cannot_be_run_says_why(command: str, code: int) -> None:
    done = subprocess.run(
        [*parent_death.stepping_stone(signal.SIGTERM), command], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
