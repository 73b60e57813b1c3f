"""What stdout and stderr do with what they cannot take: characters are escaped, lost diagnostics lose nothing else."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import sys

ESCAPED = "kmon-escaped"
"""How a stream's encoding error is met, by the name under which Python knows it."""


def set_up() -> None:
    """Make the standard streams of this process take every character, and stderr be there. Call it once, first."""
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
        # JSON is UTF-8, of which ASCII is a part and Latin-1 is none.
        unicode = codecs.lookup(sys.stdout.encoding).name.startswith("utf")
        sys.stdout.reconfigure(encoding=None if unicode else "ascii", errors=ESCAPED)


class _Diagnostics(io.TextIOWrapper):
    """A stderr that nobody need read: a full disk or a reader that left must not end what it only comments on."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return self._lost(len(text))

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._lost(0)

    def _lost(self, taken: int) -> int:
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)  # else what is buffered fails again, at the very end
            os.dup2(null, self.fileno())
            os.close(null)
        return taken


def _open_closed() -> None:
    """Give the numbers 0 to 2 to the null device where they are free: the next socket would get one of them."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """``\\uXXXX`` for each character: within the strings of JSON, which is where they are, it is the same character."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
