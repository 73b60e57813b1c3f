"""Lines between server-sent events that are no field. The rules of SSE ignore them, and with them many a failure.

Servers and proxies that break off write there: JSON on one line or over several, an HTML page, plain words, a field
called ``error``. A healthy stream may hold such lines, too, so plain words count only where the answer never finished.
"""

from __future__ import annotations

import re

from kmon.dialects.delta import StreamError
from kmon.dialects.error_words import page_words, reported, words
from kmon.dialects.fault import fault, fault_of_text
from kmon.dialects.json_access import members, parsed

LIMIT_BYTES = 64 * 1024
"""How much of consecutive lines is kept."""
CLOSINGS_LIMIT = 100
"""How often lines are tried as a whole before something else follows, since each try reads all of them."""
_FIELDS = (b"data:", b"event:", b"id:", b"retry:")
_ERROR_FIELD = "error:"
_SPOILED = re.compile(rb"(?:\xef\xbb\xbf|[ \t])*data:[ \t]*[{\[]", re.IGNORECASE)


class StrayLines:
    """Consecutive stray lines, up to the next event, comment or the end of the body."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size_bytes = self._closings = 0

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, line: bytes) -> None:
        if self._size_bytes < LIMIT_BYTES:
            self._lines.append(line[:LIMIT_BYTES])
            self._size_bytes += len(line) + 1

    def closed(self) -> bool:
        """Whether the lines seem to end with the one added last, so that an error need not wait for what follows."""
        last = self._lines[-1].rstrip()[-8:].lower()
        ended = last.endswith((b"}", b"]", b"</html>")) or self._lines[0].startswith(_ERROR_FIELD.encode())
        self._closings += ended
        return ended and self._closings <= CLOSINGS_LIMIT

    def take(self) -> str:
        """The lines as one text; they are forgotten."""
        taken = self.text()
        self._lines, self._size_bytes, self._closings = [], 0, 0
        return taken

    def text(self) -> str:
        """The lines as one text."""
        return b"\n".join(self._lines).decode("utf-8", "replace")


def certain_error(text: str) -> StreamError | None:
    """The error that stray lines certainly report; None for plain words, and for JSON that reports none."""
    begins: str = text.lstrip()
    if begins.lower().startswith(_ERROR_FIELD):
        said = begins[len(_ERROR_FIELD) :].strip()
        return fault_of_text(said, frame=text) if said else None
    if page_words(begins) is not None:
        return fault_of_text(begins, frame=text)
    if begins[:1] not in ("{", "["):
        return None
    cause = reported(json_of(begins))
    return None if cause is None else fault(cause, frame=text)


def json_of(text: str) -> object:
    """The JSON value of a text; None if it is none."""
    try:
        return parsed(text.encode("utf-8", "replace"))
    except ValueError:
        return None


def whole_answer_error(text: str) -> StreamError | None:
    """The error of a body that is nothing but these lines: no stream. None if it is blank."""
    said = " ".join(text.split())
    if not said:
        return None
    value = json_of(text)
    what = "text" if value is None else "JSON"
    shown = words(members(value).get("message")) or said
    return fault(f"answered {what} instead of a stream: {shown}", kind="not-a-stream", frame=text)


def spoiled_field(line: bytes) -> bool:
    """Whether a stray line would be data but for what stands before it, or for its case. No client reads it."""
    return _SPOILED.match(line) is not None


def is_cut_field(line: bytes) -> bool:
    """Whether an unterminated last line is the beginning of a field."""
    return any(field.startswith(line) for field in _FIELDS)
