"""Reads tnetstrings, ``LENGTH:CONTENT TYPE``: the notation of mitmproxy's files. Bounded in depth; no recursion errors.

Types: ``,`` bytes, ``;`` text, ``#`` integer, ``^`` float, ``!`` boolean, ``~`` null, ``]`` list, ``}`` dictionary.
"""

from __future__ import annotations

import re

DEPTH_LIMIT = 30
VALUES_LIMIT = 2_000_000

_LENGTH = re.compile(rb"(\d{1,12}):")


def begins(data: bytes) -> bool:
    """Whether ``data`` begins with a dictionary, as each flow is one."""
    found = _LENGTH.match(data)
    return found is not None and re.compile(rb"\d{1,12}:[A-Za-z_]").match(data, found.end()) is not None


def values(data: bytes) -> tuple[list[object], bool]:
    """The values in ``data`` one after the other, up to one that is damaged or cut; and whether all were read."""
    reader = _Reader(data)
    found: list[object] = []
    at = 0
    try:
        while at < len(data):
            value, at = reader.value(at, len(data), 0)
            found.append(value)
    except ValueError:
        return found, False
    return found, True


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = VALUES_LIMIT

    def value(self, at: int, end: int, depth: int) -> tuple[object, int]:
        """The value at ``at``, inside ``end``, and where it ends. Raises ``ValueError``."""
        self._left -= 1
        head = _LENGTH.match(self._data, at, end)
        if head is None or depth > DEPTH_LIMIT or self._left < 0:
            raise ValueError(f"no value at byte {at}")
        start = head.end()
        stop = start + int(head[1])
        if stop >= end:
            raise ValueError(f"the value at byte {at} is cut")
        return self._typed(self._data[stop : stop + 1], start, stop, depth), stop + 1

    def _typed(self, kind: bytes, start: int, stop: int, depth: int) -> object:
        if kind == b"]":
            return self._items(start, stop, depth)
        if kind == b"}":
            parts = self._items(start, stop, depth)
            return {_name(key): part for key, part in zip(parts[::2], parts[1::2], strict=False)}
        content = self._data[start:stop]
        if kind == b",":
            return content
        if kind == b";":
            return content.decode("utf-8", "replace")
        if kind == b"!":
            return content == b"true"
        if kind == b"~":
            return None
        if kind in (b"#", b"^") and len(content) < 40:
            return int(content) if kind == b"#" else float(content)
        raise ValueError(f"a value of an unknown type at byte {start}")

    def _items(self, start: int, stop: int, depth: int) -> list[object]:
        found: list[object] = []
        while start < stop:
            value, start = self.value(start, stop, depth + 1)
            found.append(value)
        return found


def _name(key: object) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
