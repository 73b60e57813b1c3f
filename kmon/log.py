"""kmon's log: one file, in the state directory or where the user says, that every process of kmon's writes to.

All processes append to the same file, so that what a child says just before it dies is kept and stands in order beside
what the others say. A record is one ``write`` to a file opened for appending, which the system keeps whole. Whoever
finds the file full renames it under a lock of the file itself, and never waits for that lock: a process that was
stopped while it holds it must not stop the others. Everybody looks before each record whether the name still leads to
the file that is open.

The log never stops kmon. Only a file that the user named must be usable at the start.
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

from kmon.log_lines import LogLines, Redaction, described, harmless, secret_values
from kmon.own_directory import make_own, state_dir

FILE_NAME = "kmon.log"
LEVELS = ("debug", "info", "warning", "error")
DEFAULT_LEVEL = "warning"
LEVEL_VARIABLE, FILE_VARIABLE, DEBUG_VARIABLE = "KMON_LOG_LEVEL", "KMON_LOG_FILE", "KMON_DEBUG"
FILE_LIMIT_BYTES = 1_000_000
OLDER_FILES = 3
"""Full files that are kept, as ``kmon.log.1`` and so on: with the open one, 4 MB at most."""
LOGGERS = ("kmon", "asyncio", "aiohttp.server")
"""Whose records are taken: kmon's own, and those of what runs its code and catches what it raises."""
_log = logging.getLogger(__name__)


class UnusableLogError(Exception):
    """A level or a file of the user's that cannot be used; the message is a sentence."""


class SharedFile(logging.Handler):
    """Appends whole records to a file that other processes append to, and that any of them may rename when it is full.

    ``RotatingFileHandler`` is for one process: others would go on writing to the file that it renamed. ``makes_parent``
    is whether the directory is kmon's to make. The file is opened with the first record; a record that cannot be
    written is let go, and ``problem`` says why until one can be.
    """

    def __init__(self, path: Path, *, makes_parent: bool, limit_bytes: int = FILE_LIMIT_BYTES) -> None:
        super().__init__()
        self.path = path
        self._makes_parent, self._limit_bytes = makes_parent, limit_bytes
        self._fd: int | None = None
        self.problem = ""

    def open(self) -> int:
        """Open the file, if that has not been done. Raises ``OSError``, and ``ValueError`` for a name that is none."""
        if self._fd is None:
            if self._makes_parent:
                make_own(self.path.parent)
            # not to be blocked by a pipe that nobody reads
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
        except Exception as error:  # whatever is wrong with the log, its caller must go on
            self.problem = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__

    def close(self) -> None:
        self._let_go()
        super().close()

    def _make_room(self, size_bytes: int) -> None:
        """Have the file open that the name leads to, and put a full one aside."""
        if self._fd is not None and not self._is_current(self._fd):
            self._let_go()
        fd = self.open()
        if os.fstat(fd).st_size + size_bytes <= self._limit_bytes:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process is putting it aside, and this record goes with it
            return
        try:
            if self._is_current(fd):
                for number in range(OLDER_FILES - 1, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        self._older(number).rename(self._older(number + 1))
                self.path.rename(self._older(1))
        finally:
            self._let_go()  # and of the lock

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _let_go(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def begin(level: str | None, file: str | None, environ: Mapping[str, str], redaction: Redaction) -> None:
    """Log from here on, in place of what was set up before.

    ``level`` and ``file`` win over the variables of ``environ``, whose keys are left out of every record. Raises
    :class:`UnusableLogError`.
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
    """Log, in a process that kmon started, to where its parent does; and log what would end it. Never raises."""
    log_uncaught()
    if path := environ.get(FILE_VARIABLE):
        level = environ.get(LEVEL_VARIABLE, DEFAULT_LEVEL)
        _attach([SharedFile(Path(path), makes_parent=True)], level, environ, redaction)


def log_uncaught() -> None:
    """Log what nobody catches, in the main thread, where it is also said in one line, and in others.

    A hook that somebody else has set, such as a test's, stays.
    """

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, Exception):
            sys.__excepthook__(kind, error, trace)
            return
        _log.error("what nobody caught", exc_info=error)
        print(f"kmon: {failed('kmon itself failed', error)}", file=sys.stderr)

    def in_thread(told: threading.ExceptHookArgs) -> None:
        if _shared() is None or told.exc_value is None:
            threading.__excepthook__(told)
        elif not isinstance(told.exc_value, SystemExit):
            _log.error("a thread failed", exc_info=told.exc_value)

    def unraisable(told: sys.UnraisableHookArgs) -> None:
        if _shared() is None or told.exc_value is None:
            sys.__unraisablehook__(told)
        else:
            _log.error("an error where none can be raised", exc_info=told.exc_value)

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = in_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = unraisable


def begun() -> bool:
    """Whether anything is logged."""
    return _shared() is not None


def end() -> None:
    """Log nothing any more, and close the file."""
    for handler in _handlers():
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)
        handler.close()


def leave_stderr() -> None:
    """Say nothing on stderr any more, where the screen is drawn."""
    for handler in _handlers():
        if isinstance(handler, _Stderr):
            for name in LOGGERS:
                logging.getLogger(name).removeHandler(handler)


def hide(secrets: tuple[str, ...]) -> None:
    """Leave these out of every record from here on, in any form."""
    for handler in _handlers():
        cast(LogLines, handler.formatter).hide(secrets)


def hide_variables(variables: Mapping[str, str]) -> None:
    """The same for the values of variables whose names say that they are keys."""
    hide(secret_values(variables))


def for_children() -> dict[str, str]:
    """The variables that tell a process of kmon's where to log; none where nothing is logged."""
    shared = _shared()
    if shared is None:
        return {}
    level = logging.getLevelName(logging.getLogger("kmon").level).lower()
    return {FILE_VARIABLE: str(shared.path), LEVEL_VARIABLE: level}


def default_path() -> Path:
    """Where the log is unless the user names a file."""
    return state_dir() / FILE_NAME


def where() -> tuple[Path, str]:
    """The file of the log, which is made with the first record, and the level from which on records are kept."""
    told = for_children()
    return Path(told.get(FILE_VARIABLE, default_path())), told.get(LEVEL_VARIABLE, DEFAULT_LEVEL)


def failed(what: str, error: BaseException) -> str:
    """A sentence for the user about an error of kmon's own that was logged: ``WHAT: KeyError in ...; details in ...``.

    Call it after the error was logged: it says so when that could not be done.
    """
    return f"{what}: {described(error)}; {whereabouts()}"


def whereabouts() -> str:
    """Where the traceback of an error is that was just logged."""
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
        """A stderr that is closed takes nothing, and that is no error."""


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
