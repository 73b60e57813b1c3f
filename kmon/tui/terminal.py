"""Which stream the screen is drawn on: the one that is a terminal."""

from __future__ import annotations

import os
import sys

from textual.app import App
from textual.driver import Driver


def driver_for(stdout_is_terminal: bool, stderr_is_terminal: bool) -> type[Driver] | None:
    """A driver that draws on stdout, for ``kmon 2>err.log``; None where Textual's own choice is right.

    Textual draws on stderr everywhere but on Windows, whatever it leads to.
    """
    if sys.platform == "win32" or os.environ.get("TEXTUAL_DRIVER") or stderr_is_terminal or not stdout_is_terminal:
        return None
    from textual.drivers.linux_driver import LinuxDriver

    class StdoutDriver(LinuxDriver):
        def __init__(
            self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
        ) -> None:
            super().__init__(app, debug=debug, mouse=mouse, size=size)
            self._file = sys.__stdout__

    return StdoutDriver
