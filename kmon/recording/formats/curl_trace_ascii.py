"""The text of ``curl --trace-ascii``: rows of 64 characters, with a dot for each byte that is no printable ASCII.

The offset of a row tells where a line ended with CRLF. A line feed alone is a dot; where an event ends is told by its
JSON, so it can be put back. Letters outside ASCII are lost: each of their bytes stays a dot.
"""

from __future__ import annotations

import json
import re

_ROW = re.compile(rb"(?m)^([0-9a-f]{4,8}): ([^\n]*)$")
_EVENT = re.compile(rb"data: ?(?=\{)")
_SENTINEL = re.compile(rb"(\.?)(data: ?\[DONE\])(\.{0,4})")
_DOT, _LINE_END = b".", b"\n"
ENDS_LIMIT = 4
"""How many line ends may follow an event."""


def text_of(dump: bytes, size: int) -> bytes:
    """The ``size`` bytes of one block of rows."""
    rows = [(int(at, 16), said.rstrip(b"\r")) for at, said in _ROW.findall(dump)]
    found: list[bytes] = []
    for (at, said), (following, _) in zip(rows, [*rows[1:], (size, b"")], strict=True):
        missing = following - at - len(said)
        found.append(said + (b"\r\n" if missing == 2 else b" " * max(0, min(missing, 64))))
    return b"".join(found)


def with_line_ends(data: bytes) -> bytes:
    """``data`` with the line feeds around its events. Raises ``ValueError`` where an event is not whole in it."""
    found = bytearray(data)
    text, decoder = data.decode("latin-1"), json.JSONDecoder(strict=False)
    at = 0
    while (begun := _EVENT.search(data, at)) is not None:
        try:
            _, at = decoder.raw_decode(text, begun.end())
        except (ValueError, RecursionError):
            raise ValueError("it is of curl --trace-ascii, with an event that is cut in it; save --trace") from None
        _put_ends(found, begun.start(), at)
    for sentinel in _SENTINEL.finditer(data, at):
        _put_ends(found, sentinel.start(2), sentinel.end(2))
    return bytes(found)


def _put_ends(data: bytearray, start: int, end: int) -> None:
    """Line feeds in place of the dots before and after an event."""
    if data[start - 1 : start] == _DOT:
        data[start - 1 : start] = _LINE_END
    for place in range(end, min(end + ENDS_LIMIT, len(data))):
        if data[place : place + 1] != _DOT:
            break
        data[place : place + 1] = _LINE_END
