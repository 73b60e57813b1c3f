"""Formats log records without keys, content, or lines that text from outside could forge.

A record is one line, and each line of its traceback begins with four blanks, so only kmon writes lines that begin with
a time. A traceback has source lines and no values of variables. The message of an exception is shown if the interpreter
made it from code, without what it quotes; a message that a program composed may hold content, so only its length is
given.
"""

from __future__ import annotations

import builtins
import logging
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

MESSAGE_LIMIT_CHARS = 500
RECORD_LIMIT_CHARS = 16_000
FRAMES_LIMIT = 40
"""Frames of one traceback: the first ten and the last thirty are shown."""
FIRST_FRAMES = 10
CHAIN_LIMIT = 5
"""Exceptions shown in one record: causes, contexts and members of groups."""
SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|passw|credential|signature", re.IGNORECASE)
USER_INFO = re.compile(r"//([^/@\s]+)@")
"""User and password in a URL, as a proxy's variable has them."""
SECRET_LEAST_CHARS = 8
OVERHEARD_LIMIT = 1_000
_ROOT = str(Path(__file__).parents[2]) + "/"
_OF_CODE = (AttributeError, NameError, UnboundLocalError, TypeError, ImportError, ModuleNotFoundError)
"""The messages of these quote names in the code."""
_OF_VALUES = (
    ValueError, KeyError, IndexError, ZeroDivisionError, OverflowError, RecursionError, MemoryError, RuntimeError,
    UnicodeDecodeError, UnicodeEncodeError, BufferError,
)  # fmt: skip
"""The messages of these quote values, which may come from outside."""
_NAME = re.compile(r"(?<!\w)(['\"])[A-Za-z_][\w.]{0,60}(\(\))?\1")
_QUOTED = re.compile(r"(?:(?<!n)['\"]|['\"](?!t\b)).*", re.DOTALL)
"""From the first quotation mark to the end, since the interpreter cuts long quotations. ``can't`` has none."""
_VALUE_BEGINS = re.compile(r"[(<\[{'\"\n]")

Redaction = Callable[[tuple[str, ...]], Callable[[str], str]]
"""From secrets to a function that removes them from a text, in any encoding."""


class LogLines(logging.Formatter):
    """Formats records without the secrets given to :meth:`hide` and :meth:`hide_overheard`."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction
        self._secrets: dict[str, None] = {}
        self._overheard: dict[str, None] = {}
        """The one heard last is at the end."""
        self._without_keys: Callable[[str], str] | None = None
        """Made at the first record after :meth:`hide`, because most runs of kmon log nothing."""

    def hide(self, secrets: tuple[str, ...]) -> None:
        """Remove these from all later records."""
        self._secrets |= dict.fromkeys(secret for secret in secrets if len(secret) >= SECRET_LEAST_CHARS)
        self._without_keys = None

    def hide_overheard(self, secrets: tuple[str, ...]) -> None:
        """Remove these keys of a watched program from later records.

        Only the latest ``OVERHEARD_LIMIT`` are known, since an endless watch may see a new cookie in every request.
        """
        if not self._overheard.keys() >= set(secrets):
            self._without_keys = None
        for secret in secrets:
            if len(secret) >= SECRET_LEAST_CHARS:
                self._overheard.pop(secret, None)
                self._overheard[secret] = None
        while len(self._overheard) > OVERHEARD_LIMIT:
            del self._overheard[next(iter(self._overheard))]

    def format(self, record: logging.LogRecord) -> str:
        """The record without a line end: at most ``RECORD_LIMIT_CHARS``, and up to 20 more if it was cut."""
        from_kmon = record.name.partition(".")[0] == "kmon"
        stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = record.getMessage() if from_kmon else _foreign(record.getMessage())
        head = f"{stamp} {record.levelname} {record.name} [{record.process}] {message[:MESSAGE_LIMIT_CHARS]}"
        error = record.exc_info[1] if record.exc_info else None
        lines = [harmless(head), *(f"    {harmless(line)}" for line in (traced(error) if error is not None else ()))]
        without_keys = self._without_keys  # another thread may call hide() meanwhile
        if without_keys is None:
            self._without_keys = without_keys = self._redaction((*self._secrets, *self._overheard))
        text = without_keys("\n".join(lines))
        return text if len(text) <= RECORD_LIMIT_CHARS else f"{text[:RECORD_LIMIT_CHARS]}\n    (cut)"


def secret_values(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Values of environment variables whose names look like keys, and the passwords in URLs."""
    named = (value.strip() for name, value in variables.items() if SECRET_NAME.search(name))
    in_urls = (part for value in variables.values() for info in USER_INFO.findall(value) for part in info.split(":"))
    return (*named, *in_urls)


def harmless(text: str) -> str:
    """``text`` on one line; characters that control a terminal are escaped as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def described(error: BaseException) -> str:
    """The type and place of an exception, for a sentence: ``KeyError in kmon/engine/run.py line 12``."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(f"{_ROOT}kmon/")] or frames
    where = f" in {_short(own[-1].filename)} line {own[-1].lineno}" if own else ""
    return harmless(f"{type(error).__name__}{where}")


def traced(error: BaseException) -> Iterator[str]:
    """The lines of a traceback, outermost frame first, then those of its causes."""
    seen: set[int] = set()
    waiting = [("", error)]
    while waiting and len(seen) < CHAIN_LIMIT:
        relation, one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        frames = traceback.extract_tb(one.__traceback__)
        yield f"{relation}{_kind(one)}{_message(one, frames)}"
        left_out = range(FIRST_FRAMES, len(frames) - FRAMES_LIMIT + FIRST_FRAMES)
        for at, frame in enumerate(frames):
            if at not in left_out:
                yield f"  {_short(frame.filename)}:{frame.lineno} {frame.name}: {frame.line or ''}"
            elif at == FIRST_FRAMES:
                yield f"  ({len(left_out)} frames left out)"
        if isinstance(one, BaseExceptionGroup):
            waiting += [("one of the group: ", member) for member in one.exceptions]
        if one.__cause__ is not None:
            waiting.append(("caused by ", one.__cause__))
        elif one.__context__ is not None and not one.__suppress_context__:
            waiting.append(("raised while handling ", one.__context__))


def _kind(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == builtins.__name__ else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException, frames: traceback.StackSummary) -> str:
    """``: `` and the message of ``error``, without parts that may hold content."""
    if isinstance(error, OSError) and isinstance(error.errno, int):
        own = type(error).__module__ == builtins.__name__  # other packages, such as ssl, number errors differently
        return f": [Errno {error.errno}]" + (f" {os.strerror(error.errno)}" if own else "")
    try:
        message = str(error)
    except Exception:  # the text of another package's exception may fail in any way
        return " (a message that cannot be read)"
    if not message:
        return ""
    by_interpreter = bool(frames and frames[-1].line) and not (frames[-1].line or "").startswith(("raise", "assert"))
    if type(error) in _OF_CODE and by_interpreter and not _QUOTED.search(_NAME.sub("", message)):
        return f": {message[:MESSAGE_LIMIT_CHARS]}"
    if type(error) in (*_OF_CODE, *_OF_VALUES) and by_interpreter:
        return f": {_QUOTED.sub('(quoted)', message)[:MESSAGE_LIMIT_CHARS]}"
    return f" (a message of {len(message)} characters)"


def _short(filename: str) -> str:
    """``kmon/engine/run.py``; for an installed package, the path from its name on."""
    return filename.removeprefix(_ROOT).rpartition("site-packages/")[2]


def _foreign(message: str) -> str:
    """The start of another package's message, before the first value: ``Exception in callback Stream._read``."""
    return _VALUE_BEGINS.split(message, maxsplit=1)[0].strip()
