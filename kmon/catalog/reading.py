"""Reads a file that somebody named, and no more of it than its limit, whatever stands at that path.

A size that ``stat`` tells says nothing of a device, of ``/proc``, or of a file that grows: the limit holds for what is
read. A pipe is waited for only where it may be one.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PIECE_BYTES = 1 << 20
PATIENCE_S = 3.0
"""How long nothing may come before it is said what is waited for."""
_NOBODY_HERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_OTHER_KINDS = {stat.S_IFDIR: "it is a directory", stat.S_IFSOCK: "it is a socket", stat.S_IFBLK: "it is a disk"}


class UnreadableError(Exception):
    """Why a file cannot be read, in words that can follow "cannot read PATH: "."""


class NotRegularError(UnreadableError):
    """It is a directory, a device, a pipe or a socket."""

    def __init__(self) -> None:
        super().__init__("it is not a regular file")


class TooLargeError(UnreadableError):
    """There is more in it than the limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"it is larger than {limit_bytes} bytes")


def read_regular(path: Path, limit_bytes: int) -> bytes | None:
    """The bytes of a regular file; None if there is none of that name. Never waits for anybody.

    Raises :class:`NotRegularError`, :class:`TooLargeError` or :class:`UnreadableError`.
    """
    try:
        _check_regular(path.stat())  # before it is opened: opening a pipe or a device can act on it
        with _opened(path, os.O_NONBLOCK) as fd:
            _check_regular(os.fstat(fd))
            return b"".join(_pieces(fd, limit_bytes))
    except OSError as error:
        if error.errno in _NOBODY_HERE:
            return None
        raise UnreadableError(error.strerror) from None
    except ValueError as error:
        raise UnreadableError(str(error)) from None


def read_to_end(path: Path, limit_bytes: int, say: Callable[[str], None]) -> bytes:
    """The bytes of a file, a pipe or a device up to its end. An interrupt ends the waiting for a pipe.

    ``say`` is told, once, what is waited for when nothing comes for ``PATIENCE_S``; perhaps from another thread.
    Raises :class:`TooLargeError` or :class:`UnreadableError`.
    """
    try:
        mode = path.stat().st_mode
        if problem := _OTHER_KINDS.get(stat.S_IFMT(mode)):
            raise UnreadableError(problem)
        if not stat.S_ISFIFO(mode):
            with _opened(path, os.O_NONBLOCK) as fd:
                return b"".join(_pieces(fd, limit_bytes, _waiter(fd, f"waiting for {path} to say more", say)))
        nobody_writes = threading.Timer(PATIENCE_S, say, [f"waiting for a program that writes to the pipe {path}"])
        nobody_writes.daemon = True
        nobody_writes.start()
        try:
            opening = _opened(path, 0)
            with opening as fd:
                nobody_writes.cancel()
                wait = _waiter(fd, f"waiting for the program that writes to {path} to go on or to close it", say)
                return b"".join(_pieces(fd, limit_bytes, wait))
        finally:
            nobody_writes.cancel()
            # Python aborts when it ends while another thread still holds stderr, which that thread may do for a moment
            nobody_writes.join(PATIENCE_S)
    except OSError as error:
        raise UnreadableError(error.strerror) from None
    except ValueError as error:
        raise UnreadableError(str(error)) from None


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotRegularError


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | flags)
    try:
        yield fd
    finally:
        os.close(fd)


def _pieces(fd: int, limit_bytes: int, wait: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    left = limit_bytes
    while True:
        wait()
        piece = os.read(fd, min(PIECE_BYTES, left + 1))
        if len(piece) > left:
            raise TooLargeError(limit_bytes)
        if not piece:
            return
        left -= len(piece)
        yield piece


def _waiter(fd: int, what: str, say: Callable[[str], None]) -> Callable[[], None]:
    """Waits until there is something to read, or the end; says ``what`` the first time that this takes long."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    told = False

    def wait() -> None:
        nonlocal told
        if not told and not poll.poll(PATIENCE_S * 1000):
            told = True
            say(what)
        poll.poll()

    return wait
