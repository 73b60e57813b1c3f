"""Decodes server-sent events from bytes in any split, by the WHATWG rules, and is bounded.

Lines end at CR LF, LF or CR only; a CR ends its line at once, and an LF directly after it is skipped, even in the next
read. Comments are kept, because they are keep-alives. kmon does not reconnect, so ``id`` and ``retry`` are ignored.
Beyond the rules, four things are reported instead of dropped: an unterminated last event, lines that are no field
(some gateways print a bare JSON error), an event that is too large, and one that is called ``error`` and has no data.
"""

from __future__ import annotations

from msgspec import Struct

EVENT_LIMIT_BYTES = 8 * 1024 * 1024
"""Limit of the data of one event, and of one line."""
EVIDENCE_BYTES = 8_000
"""The part of an oversized event that is kept."""
BOM = b"\xef\xbb\xbf"


class Event(Struct, frozen=True):
    """A dispatched event. ``complete`` is False for the tail of a body that ended before the closing blank line."""

    data: bytes
    name: str = ""
    complete: bool = True


class Comment(Struct, frozen=True):
    """A line that starts with a colon, as received."""

    line: bytes


class Stray(Struct, frozen=True):
    """A line that is neither field nor comment. ``complete`` is False for a body's unterminated last line."""

    line: bytes
    complete: bool = True


class Overflow(Struct, frozen=True):
    """An event over :data:`EVENT_LIMIT_BYTES`; it is skipped. ``start`` is how it began."""

    start: bytes


Item = Event | Comment | Stray | Overflow
ERROR_NAME = "error"
_FIELDS = (b"data", b"event", b"id", b"retry")


class SSEDecoder:
    """Takes reads of any size; :meth:`end` returns what is pending. Never raises."""

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._head: bytes | None = b""
        self._skip_lf = False
        self._line: list[bytes] = []
        self._line_bytes = 0
        self._line_dropped = False
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = ""
        self._dropping = False

    def feed(self, data: bytes) -> list[Item]:
        """The items completed by ``data``, in order."""
        if self._head is not None:
            data = self._without_bom(data)
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        items: list[Item] = []
        *lines, rest = data.split(b"\n")
        if lines and (self._line or self._line_dropped):
            self._piece(lines[0], items)
            lines[0] = b"".join(self._line)
            if self._line_dropped:
                del lines[0]
            self._line, self._line_bytes, self._line_dropped = [], 0, False
        for line in lines:
            self._take(line, items)
        if rest:
            self._piece(rest, items)
        return items

    def end(self) -> list[Item]:
        """What the body left pending: an unterminated line, an event without its closing blank line."""
        items: list[Item] = []
        if self._head:
            head, self._head = self._head, None
            items += self.feed(head)
        tail, self._line, self._line_bytes = b"".join(self._line), [], 0
        if tail and not self._line_dropped:
            if tail.partition(b":")[0] in _FIELDS or tail.startswith(b":"):
                self._take(tail, items)
            elif not self._dropping:
                items.append(Stray(tail, complete=False))
        if self._data:
            items.append(Event(b"\n".join(self._data), self._name, complete=False))
            self._data = []
        return items

    def _without_bom(self, data: bytes) -> bytes:
        """Hold back the first bytes until it is known whether they are a byte order mark."""
        data = (self._head or b"") + data
        if len(data) < len(BOM) and BOM.startswith(data):
            self._head = data
            return b""
        self._head = None
        return data.removeprefix(BOM)

    def _piece(self, piece: bytes, items: list[Item]) -> None:
        """Add to the current line; drop it and its event if it exceeds the limit."""
        if self._line_dropped:
            return
        self._line.append(piece)
        self._line_bytes += len(piece)
        if self._line_bytes > self._limit_bytes:
            self._overflow(b"".join(self._line), items)
            self._line_dropped = True
            self._line = []

    def _take(self, line: bytes, items: list[Item]) -> None:
        if not line:
            if self._data:
                items.append(Event(self._data[0] if len(self._data) == 1 else b"\n".join(self._data), self._name))
            elif self._name == ERROR_NAME and not self._dropping:
                items.append(Event(b"", self._name))
            self._data, self._data_bytes, self._name, self._dropping = [], 0, "", False
        elif len(line) > self._limit_bytes:
            self._overflow(line, items)
        elif line.startswith(b"data:"):
            self._add(line[5:].removeprefix(b" "), items)
        elif line.startswith(b":"):
            items.append(Comment(line))
        elif line == b"data":
            self._add(b"", items)
        else:
            field, _, value = line.partition(b":")
            if field == b"event":
                self._name = value.removeprefix(b" ").decode("utf-8", "replace")
            elif field not in _FIELDS and not self._dropping:
                items.append(Stray(line))

    def _add(self, value: bytes, items: list[Item]) -> None:
        if self._dropping:
            return
        self._data.append(value)
        self._data_bytes += len(value) + 1
        if self._data_bytes > self._limit_bytes:
            self._overflow(b"\n".join(self._data), items)

    def _overflow(self, start: bytes, items: list[Item]) -> None:
        if not self._dropping:
            items.append(Overflow(start[: min(EVIDENCE_BYTES, self._limit_bytes)]))
        self._dropping = True
        self._data, self._data_bytes = [], 0
