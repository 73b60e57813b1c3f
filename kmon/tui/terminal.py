"""The driver of the screen: which stream it draws on, and what it does when the terminal goes away under it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import TextIO, cast

from textual.app import App
from textual.driver import Driver
from textual.message import Message


class TerminalLost(Message):
    """The terminal was closed: nobody sees the screen any more, and no key will come."""


def driver_for(stdout_is_terminal: bool, stderr_is_terminal: bool) -> type[Driver] | None:
    """A driver that draws on stderr as Textual's own, or on stdout for ``kmon 2>err.log``, and outlives its terminal.

    None where Textual's own choice is right.
    """
    if sys.platform == "win32" or os.environ.get("TEXTUAL_DRIVER"):
        return None
    from textual.drivers.linux_driver import LinuxDriver

    drawn_on = sys.__stdout__ if stdout_is_terminal and not stderr_is_terminal else sys.__stderr__

    class TerminalDriver(LinuxDriver):
        def __init__(
            self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
        ) -> None:
            super().__init__(app, debug=debug, mouse=mouse, size=size)
            assert drawn_on is not None
            self._file = cast(TextIOWrapper, LastingFile(drawn_on, self._lose))

        def _lose(self) -> None:
            let_go_of_lost_terminal()
            self._app.post_message(TerminalLost())

        def run_input_thread(self) -> None:
            try:
                super().run_input_thread()
            except OSError:
                self._lose()

    return TerminalDriver


class LastingFile:
    """Takes what is to be written even when the terminal is gone; ``lose`` is called then.

    Textual's writer thread would die of the error, and whoever writes next would wait for it for ever.
    """

    def __init__(self, file: TextIO, lose: Callable[[], None]) -> None:
        self._file, self._lose = file, lose

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError:
            self._lose()

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            self._lose()

    def fileno(self) -> int:
        return self._file.fileno()


def let_go_of_lost_terminal() -> None:
    """Point stdin, stdout and stderr at the null device where they lead to a terminal that is gone."""
    import termios

    for stream in (0, 1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:  # what a closed terminal says; a file or a pipe says ENOTTY
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, stream)
                os.close(null)
