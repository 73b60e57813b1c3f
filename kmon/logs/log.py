"""Sets up kmon's log: one file, in the state directory or where the user says, for all processes of kmon.

All processes append to the same file, so that the last record of a child that dies is kept, and records are in order.
A record is one ``write`` to a file opened with O_APPEND, which the system keeps whole. The process that finds the file
full renames it under a lock of the file. It never waits for that lock: a process that was stopped while it holds the
lock must not block the others. Before each record a process checks that the path still names the file it has open.

A log that cannot be written never stops kmon. Only a file that the user named must be usable at the start.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from kmon.logs.lines import LogLines, Redaction, described, harmless, secret_values
from kmon.process.files import make_own, state_dir

FILE_NAME = "kmon.log"
LEVELS = ("debug", "info", "warning", "error")
DEFAULT_LEVEL = "warning"
LEVEL_VARIABLE, FILE_VARIABLE, DEBUG_VARIABLE = "KMON_LOG_LEVEL", "KMON_LOG_FILE", "KMON_DEBUG"
FILE_LIMIT_BYTES = 1_000_000
OLDER_FILES = 3
"""Full files that are kept, as ``kmon.log.1`` and so on: with the open one, 4 MB at most."""
LOGGERS = ("kmon", "asyncio", "aiohttp.server")
"""Loggers whose records are kept: kmon's own, and those of packages that run its code and catch its exceptions."""
_log = logging.getLogger(__name__)


class UnusableLogError(Exception):
    """A level or a file from the user that cannot be used; the message is a sentence."""


class SharedFile(logging.Handler):
    """Appends whole records to a file that several processes share; the process that finds it full rotates it.

    ``RotatingFileHandler`` is for one process: others would continue to write to the renamed file. ``makes_parent``:
    kmon may create the directory. The file is opened at the first record. A record that cannot be written is dropped,
    and ``problem`` holds the reason until the next record is written.
    """

    def __init__(self, path: Path, *, makes_parent: bool, limit_bytes: int = FILE_LIMIT_BYTES) -> None:
        super().__init__()
        self.path = path
        self._makes_parent, self._limit_bytes = makes_parent, limit_bytes
        self._fd: int | None = None
        self.problem = ""

    def open(self) -> int:
        """Open the file if it is not open; return its descriptor. Raises ``OSError`` and ``ValueError``."""
        if self._fd is None:
            if self._makes_parent:
                make_own(self.path.parent)
            # O_NONBLOCK: a pipe without a reader must not block
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise OSError(errno.EINVAL, "it is no regular file")
            self._fd = fd
        return self._fd

    def emit(self, record: logging.LogRecord) -> None:
        try:
            data = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
            self._make_room(len(data))
            os.write(self.open(), data)
            self.problem = ""
        except Exception as error:  # an error of the log must not stop the caller
            self.problem = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__

    def close(self) -> None:
        self._close_file()
        super().close()

    def _make_room(self, size_bytes: int) -> None:
        """Reopen the file if it was renamed, and rotate it if the next ``size_bytes`` do not fit."""
        if self._fd is not None and not self._is_current(self._fd):
            self._close_file()
        fd = self.open()
        if os.fstat(fd).st_size + size_bytes <= self._limit_bytes:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process rotates it now; this record goes into the old file
            return
        try:
            if self._is_current(fd):
                for number in range(OLDER_FILES - 1, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        self._older_path(number).rename(self._older_path(number + 1))
                self.path.rename(self._older_path(1))
        finally:
            self._close_file()  # this also releases the lock

    def _older_path(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _close_file(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def begin(level: str | None, file: str | None, environ: Mapping[str, str], redaction: Redaction) -> None:
    """Set up the log; an earlier setup is replaced.

    ``level`` and ``file`` take precedence over the variables of ``environ``. The keys in ``environ`` are removed from
    every record. Raises :class:`UnusableLogError`.
    """
    debug = bool(environ.get(DEBUG_VARIABLE))
    asked = (level, "--log-level") if level else (environ.get(LEVEL_VARIABLE, "").strip(), LEVEL_VARIABLE)
    chosen = asked[0].lower() or ("debug" if debug else DEFAULT_LEVEL)
    if chosen not in LEVELS:
        raise UnusableLogError(f"{asked[1]} must be {', '.join(LEVELS[:-1])} or {LEVELS[-1]}, not {asked[0]!r}")
    named, by = (file, "--log-file") if file else (environ.get(FILE_VARIABLE, "").strip(), FILE_VARIABLE)
    shared = SharedFile(Path(named).absolute() if named else default_path(), makes_parent=not named)
    if named:
        try:
            shared.open()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UnusableLogError(f"{by} {named}: cannot be written ({why}); name another file") from None
    _attach([shared, *([_Stderr()] if debug else [])], chosen, environ, redaction)
    log_uncaught()


def begin_in_child(environ: Mapping[str, str], redaction: Redaction = lambda _: str) -> None:
    """Set up the log in a process that kmon started, with the parent's file and level. Never raises."""
    log_uncaught()
    if path := environ.get(FILE_VARIABLE):
        level = environ.get(LEVEL_VARIABLE, DEFAULT_LEVEL)
        _attach([SharedFile(Path(path), makes_parent=True)], level, environ, redaction)


def log_uncaught() -> None:
    """Log uncaught exceptions of all threads; one of the main thread is also printed to stderr, in one line.

    Hooks that other code has set, such as a test's, are kept.
    """

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, Exception):
            sys.__excepthook__(kind, error, trace)
            return
        _log.error("what nobody caught", exc_info=error)
        print(f"kmon: {failed('kmon itself failed', error)}", file=sys.stderr)

    def in_thread(hook: threading.ExceptHookArgs) -> None:
        if _shared() is None or hook.exc_value is None:
            threading.__excepthook__(hook)
        elif not isinstance(hook.exc_value, SystemExit):
            _log.error("a thread failed", exc_info=hook.exc_value)

    def unraisable(hook: sys.UnraisableHookArgs) -> None:
        if _shared() is None or hook.exc_value is None:
            sys.__unraisablehook__(hook)
        else:
            _log.error("an error where none can be raised", exc_info=hook.exc_value)

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = in_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = unraisable


def begun() -> bool:
    """Whether the log is set up."""
    return _shared() is not None


def end() -> None:
    """Stop logging and close the file."""
    for handler in _handlers():
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)
        handler.close()


def leave_stderr() -> None:
    """Stop logging to stderr, because the screen is drawn there."""
    for handler in _handlers():
        if isinstance(handler, _Stderr):
            for name in LOGGERS:
                logging.getLogger(name).removeHandler(handler)


def hide(secrets: tuple[str, ...]) -> None:
    """Remove these secrets, in any encoding, from every later record."""
    for handler in _handlers():
        cast(LogLines, handler.formatter).hide(secrets)


def hide_overheard(secrets: tuple[str, ...]) -> None:
    """Remove these keys of a program that kmon watches from every later record."""
    for handler in _handlers():
        cast(LogLines, handler.formatter).hide_overheard(secrets)


def hide_variables(variables: Mapping[str, str]) -> None:
    """Remove the values of variables whose names look like keys from every later record."""
    hide(secret_values(variables))


def for_children() -> dict[str, str]:
    """Environment variables with the file and level of the log for a child; empty if there is no log."""
    shared = _shared()
    if shared is None:
        return {}
    level = logging.getLevelName(logging.getLogger("kmon").level).lower()
    return {FILE_VARIABLE: str(shared.path), LEVEL_VARIABLE: level}


def default_path() -> Path:
    """The path of the log unless the user names a file."""
    return state_dir() / FILE_NAME


def where() -> tuple[Path, str]:
    """The file of the log, which is created at the first record, and the lowest level that is kept."""
    variables = for_children()
    return Path(variables.get(FILE_VARIABLE, default_path())), variables.get(LEVEL_VARIABLE, DEFAULT_LEVEL)


def failed(what: str, error: BaseException) -> str:
    """A sentence for the user about an internal error: ``WHAT: KeyError in ...; details in ...``.

    Call it after the error was logged, because it says whether that worked.
    """
    return f"{what}: {described(error)}; {whereabouts()}"


def whereabouts() -> str:
    """Where the user finds the traceback of the error that was just logged."""
    shared = _shared()
    if shared is None:
        return f"{DEBUG_VARIABLE}=1 shows more"
    if shared.problem:
        return f"it could not be logged ({shared.problem}), {DEBUG_VARIABLE}=1 shows more"
    return f"details in {_at_home(shared.path)}"


class _Stderr(logging.StreamHandler[Any]):
    """Errors on stderr, for ``KMON_DEBUG=1``."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setLevel(logging.ERROR)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Ignore errors: stderr may be closed."""


def _attach(handlers: list[logging.Handler], level: str, environ: Mapping[str, str], redaction: Redaction) -> None:
    end()
    lines = LogLines(redaction)
    lines.hide(secret_values(environ))
    for handler in handlers:
        handler.setFormatter(lines)
        for name in LOGGERS:
            logging.getLogger(name).addHandler(handler)
    logging.getLogger("kmon").setLevel(level.upper())


def _handlers() -> list[logging.Handler]:
    return [one for one in logging.getLogger("kmon").handlers if isinstance(one, SharedFile | _Stderr)]


def _shared() -> SharedFile | None:
    return next((one for one in _handlers() if isinstance(one, SharedFile)), None)


def _at_home(path: Path) -> str:
    """The path with ``~`` for the home directory."""
    home = Path("~").expanduser()
    return harmless(f"~/{path.relative_to(home)}" if home != Path("/") and path.is_relative_to(home) else str(path))
