"""Ends a process with the one that started it, however that one ended: on Linux the kernel sends it a signal.

Nothing like it exists elsewhere (macOS): there kmon's own children end when their stdin does, unless they are stopped,
and a program of the user's outlives a kmon that was killed. The kernel also forgets it where a program gains rights
when it is started (sudo). It sends the signal when the *thread* ends that started the process, so that must be one that
lives as long as the parent: the main thread.

Run as a script it is a step between: ``python parent_death.py SIGNAL PARENT COMMAND...`` becomes COMMAND.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

TYPE_CHECKING = False  # as a script it imports no more than it needs
if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_PDEATHSIG = 1
CANNOT_RUN, NOT_FOUND = 126, 127
"""A shell's exit codes for a command that is not there, or cannot be run."""
_LINUX = sys.platform == "linux"


def end_with_parent() -> None:
    """Have this process killed with its parent. One that has lost it already must notice by itself."""
    if _LINUX:
        _asks_kernel(signal.SIGKILL)()


def before_exec(number: signal.Signals) -> Callable[[], None] | None:
    """For ``preexec_fn``: the child gets ``number`` when this process ends. Only while there is no other thread here.

    After the fork it makes two system calls through what is prepared now, and imports nothing.
    """
    return _following(number, os.getpid()) if _LINUX else None


def stepping_stone(number: signal.Signals) -> list[str]:
    """What to put before a command's arguments for the same from a process that has threads; it costs 10 ms."""
    if not _LINUX:
        return []
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(int(number)), str(os.getpid())]  # noqa: PTH100


def _asks_kernel(number: int) -> Callable[[], object]:
    prctl = ctypes.PyDLL(None).prctl  # PyDLL keeps the interpreter's lock: a forked child has nobody to give it to
    arguments = [ctypes.c_int(PR_SET_PDEATHSIG), *(ctypes.c_ulong(value) for value in (number, 0, 0, 0))]
    return lambda: prctl(*arguments)


def _following(number: int, parent: int) -> Callable[[], None]:
    ask = _asks_kernel(number)

    def follow() -> None:
        ask()
        if os.getppid() != parent:  # it died before it was asked to be followed
            os.kill(os.getpid(), number)

    return follow


def _become(number: int, parent: int, command: list[str]) -> None:
    _following(number, parent)()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        sys.exit(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
