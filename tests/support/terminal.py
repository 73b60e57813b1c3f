"""A program in a real pseudo-terminal: what it draws as a person would see it, and every byte that reached it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import pyte

# with SIGHUP heeded, which whatever runs the tests may ignore, as nohup does
_TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
)
KMON = (sys.executable, "-m", "kmon")
DEMO = ("--demo", "--fps", "4")
"""A simulated race with streams that never end, drawn no oftener than a test needs."""


class Terminal:
    """``with Terminal([...]) as terminal``: runs ``python -m kmon ARGS``, or another ``program``, on a terminal.

    ``stderr`` is where its diagnostics go instead, as with ``2>file``. Unless ``controlling``, it is a terminal that
    sends no signals: no SIGHUP when it is closed.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        columns: int = 80,
        rows: int = 24,
        env: Mapping[str, str] | None = None,
        stderr: IO[bytes] | None = None,
        controlling: bool = True,
        program: Sequence[str] = KMON,
    ) -> None:
        self.raw = bytearray()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.process = subprocess.Popen(
            [*((sys.executable, "-c", _TAKE_TERMINAL) if controlling else ()), *program, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=stderr or slave,
            cwd=cwd,
            env={
                **kept,
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "XDG_CONFIG_HOME": str(cwd),
                **(env or {}),
            },
            start_new_session=True,
        )
        os.close(slave)
        self._open = True

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def text(self) -> str:
        """The screen, line by line."""
        return "\n".join(self._screen.display)

    def until(self, seen: Callable[[str], bool], what: str, limit_s: float = 30.0) -> str:
        """Read until the screen satisfies ``seen``; fails with the screen after ``limit_s``."""
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            self._pump(0.1)
            if seen(self.text):
                return self.text
        raise AssertionError(f"never saw {what}; the screen was:\n{self.text}")

    def drain(self) -> None:
        """Read what was written before now."""
        self._pump(0.0)

    def fileno(self) -> int:
        """Of the side of the terminal that a person sits at."""
        return self._master

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, as its window would."""
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def forget(self) -> None:
        """Empty the picture, here alone: what is seen next was drawn after this."""
        self._screen.reset()

    @property
    def attributes(self) -> list[object]:
        """The terminal's modes and special characters (termios)."""
        return list(termios.tcgetattr(self._master))

    def hang_up(self) -> None:
        """Close the terminal, as its window would."""
        if self._open:
            self._open = False
            os.close(self._master)

    def ended(self, limit_s: float = 20.0) -> int:
        """Wait for the program, reading what it still says; its exit code."""
        deadline_s = time.monotonic() + limit_s
        while self.process.poll() is None and time.monotonic() < deadline_s:
            self._pump(0.05)
        self._pump(0.2)
        return self.process.wait(1)

    def _pump(self, wait_s: float) -> None:
        """Read what comes within ``wait_s``; only wait if nothing can come any more."""
        while self._open and select.select([self._master], [], [], wait_s)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # Linux says EIO when the last writer is gone
                data = b""
            if not data:
                break
            self.raw += data
            self._stream.feed(data)
            wait_s = 0.0
        else:
            if self._open:
                return
        time.sleep(wait_s)
