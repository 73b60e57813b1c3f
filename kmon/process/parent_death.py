"""Makes a process end when its parent ends, also when the parent is killed: on Linux the kernel sends it a signal.

The rule is PR_SET_PDEATHSIG of prctl(2). macOS has no such call: there kmon's own children end at the end of their
stdin, and a program of the user's continues after kmon was killed. The kernel clears the setting when a program with
more rights is executed (sudo). It sends the signal when the *thread* that started the process ends, so the main thread
must start it.

As a script, ``python parent_death.py SIGNAL PARENT COMMAND...`` sets the signal and then executes COMMAND.
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
"""Exit codes of a shell for a command that cannot be run, and for one that does not exist."""
_LINUX = sys.platform == "linux"


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. A parent that has ended already is not noticed."""
    if _LINUX:
        _set_signal(signal.SIGKILL)()


def before_exec(number: signal.Signals) -> Callable[[], None] | None:
    """For ``preexec_fn``: the child gets signal ``number`` when this process ends.

    Use it only while this process has one thread. After the fork it makes two system calls and imports nothing.
    """
    return _follow_parent(number, os.getpid()) if _LINUX else None


def stepping_stone(number: signal.Signals) -> list[str]:
    """The same for a process with threads: arguments to put before those of the command. It costs 10 ms."""
    if not _LINUX:
        return []
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(int(number)), str(os.getpid())]  # noqa: PTH100


def _set_signal(number: int) -> Callable[[], object]:
    prctl = ctypes.PyDLL(None).prctl  # PyDLL keeps the GIL: in a forked child no thread could give it back
    arguments = [ctypes.c_int(PR_SET_PDEATHSIG), *(ctypes.c_ulong(value) for value in (number, 0, 0, 0))]
    return lambda: prctl(*arguments)


def _follow_parent(number: int, parent: int) -> Callable[[], None]:
    set_signal = _set_signal(number)

    def follow() -> None:
        set_signal()
        if os.getppid() != parent:  # the parent ended before the signal was set
            os.kill(os.getpid(), number)

    return follow


def _become(number: int, parent: int, command: list[str]) -> None:
    _follow_parent(number, parent)()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        sys.exit(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
