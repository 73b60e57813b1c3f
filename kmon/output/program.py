"""A program that is run in kmon's stead: the terminal, the signals and the exit code are its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from kmon.errors import UsageError
from kmon.process import spawn

PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
"""Beside those that ask kmon to end."""
FROM_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
NO_SUCH_PROGRAM = "there is no program {!r}; check its name and PATH"


class Program:
    """Signals that kmon gets are passed on; a second SIGTERM kills it, for whoever sends two means it.

    If kmon itself is killed the program gets SIGTERM (on Linux).
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._early: list[int] = []
        self._asked_to_end = False

    async def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it. Raises :class:`UsageError` where it cannot be. This process must have no other thread yet."""
        self._process = await _started(command, env)
        for number in self._early:
            self.signal(number)

    async def wait(self) -> int:
        """Its exit code, or 128 and the number of the signal that ended it."""
        assert self._process is not None
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """End it now, if it has not ended."""
        self._send(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """One that kmon got."""
        if self._process is None:
            self._early.append(number)
        elif number in FROM_THE_KEYBOARD and _in_foreground():
            pass  # the terminal gave it to the program as well
        elif number == signal.SIGTERM and self._asked_to_end:
            self.kill()
        else:
            self._asked_to_end = self._asked_to_end or number == signal.SIGTERM
            self._send(number)

    def _send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


async def _started(command: Sequence[str], env: Mapping[str, str]) -> asyncio.subprocess.Process:
    try:
        return await spawn.wrapped(command, env)
    except FileNotFoundError:
        raise UsageError(NO_SUCH_PROGRAM.format(command[0])) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot run {command[0]!r}: {why}") from None


def _in_foreground() -> bool:
    """Whether what is typed at the terminal, such as Ctrl-C, goes to this process and those it started."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:  # there is none
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
