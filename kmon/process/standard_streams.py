"""Sets up stdin, stdout and stderr: characters that cannot be encoded are escaped, a failing stderr is ignored."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import sys

ESCAPED = "kmon-escaped"
"""Name of the encoding error handler that is registered with ``codecs``."""


def set_up() -> None:
    """Make stdout and stderr accept every character, and open those that are closed. Call it once, first."""
    _open_closed()
    codecs.register_error(ESCAPED, _escaped)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
    if sys.stderr is None or (sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper)):
        encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
        sys.stderr = _Diagnostics(
            open(2, "wb", closefd=False),  # noqa: SIM115
            encoding=encoding,
            errors=ESCAPED,
            line_buffering=True,
        )
    if isinstance(sys.stdout, io.TextIOWrapper):
        # JSON must be UTF-8: ASCII is a subset of it, Latin-1 is not.
        unicode = codecs.lookup(sys.stdout.encoding).name.startswith("utf")
        sys.stdout.reconfigure(encoding=None if unicode else "ascii", errors=ESCAPED)


class _Diagnostics(io.TextIOWrapper):
    """A stderr whose write errors (disk full, reader gone) are ignored, since they must not end the command."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return self._discard(len(text))

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._discard(0)

    def _discard(self, taken: int) -> int:
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)  # else the buffered text fails again when the interpreter exits
            os.dup2(null, self.fileno())
            os.close(null)
        return taken


def _open_closed() -> None:
    """Open the null device for the descriptors 0 to 2 that are closed; else the next socket would get that number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """``\\uXXXX`` for each character: in a JSON string, that is the same character."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
