"""Reads files that the user names, with a limit of size, whatever kind of file the path is.

The limit applies to the bytes read, because the size in ``stat`` is wrong for devices, ``/proc`` and growing files.
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
NOTIFY_AFTER_S = 3.0
"""Time without data after which the user is notified."""
_NOT_FOUND = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_OTHER_KINDS = {stat.S_IFDIR: "it is a directory", stat.S_IFSOCK: "it is a socket", stat.S_IFBLK: "it is a disk"}


class UnreadableError(Exception):
    """A file cannot be read; the message is the reason, in words that follow "cannot read PATH: "."""


class NotRegularError(UnreadableError):
    """The path is a directory, a device, a pipe or a socket."""

    def __init__(self) -> None:
        super().__init__("it is not a regular file")


class TooLargeError(UnreadableError):
    """The file has more bytes than the limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"it is larger than {limit_bytes} bytes")


def read_regular(path: Path, limit_bytes: int) -> bytes | None:
    """The bytes of a regular file; None if it does not exist. Never blocks on a pipe or device.

    Raises :class:`NotRegularError`, :class:`TooLargeError` or :class:`UnreadableError`.
    """
    try:
        _check_regular(path.stat())  # before opening, because opening a pipe or a device can have effects
        with _opened(path, os.O_NONBLOCK) as fd:
            _check_regular(os.fstat(fd))
            return b"".join(_pieces(fd, limit_bytes))
    except OSError as error:
        if error.errno in _NOT_FOUND:
            return None
        raise UnreadableError(error.strerror) from None
    except ValueError as error:
        raise UnreadableError(str(error)) from None


def read_to_end(path: Path, limit_bytes: int, notify: Callable[[str], None]) -> bytes:
    """The bytes of a file, a pipe or a device up to its end. An interrupt ends the wait for a pipe.

    After ``NOTIFY_AFTER_S`` without data ``notify`` is called once, maybe on another thread, with a sentence.
    Raises :class:`TooLargeError` or :class:`UnreadableError`.
    """
    try:
        mode = path.stat().st_mode
        if problem := _OTHER_KINDS.get(stat.S_IFMT(mode)):
            raise UnreadableError(problem)
        if not stat.S_ISFIFO(mode):
            with _opened(path, os.O_NONBLOCK) as fd:
                return b"".join(_pieces(fd, limit_bytes, _waiter(fd, f"waiting for {path} to say more", notify)))
        no_writer = threading.Timer(NOTIFY_AFTER_S, notify, [f"waiting for a program that writes to the pipe {path}"])
        no_writer.daemon = True
        no_writer.start()
        try:
            with _opened(path, 0) as fd:
                no_writer.cancel()
                wait = _waiter(fd, f"waiting for the program that writes to {path} to go on or to close it", notify)
                return b"".join(_pieces(fd, limit_bytes, wait))
        finally:
            no_writer.cancel()
            # Python aborts at exit if another thread holds the lock of stderr, so a running notification is awaited
            no_writer.join(NOTIFY_AFTER_S)
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


def _waiter(fd: int, sentence: str, notify: Callable[[str], None]) -> Callable[[], None]:
    """A function that waits for data or end of file, and calls ``notify`` the first time that takes long."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    notified = False

    def wait() -> None:
        nonlocal notified
        if not notified and not poll.poll(NOTIFY_AFTER_S * 1000):
            notified = True
            notify(sentence)
        poll.poll()

    return wait
