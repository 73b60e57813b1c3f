"""Finds the line on which each key of a TOML file is defined, because the parser keeps no positions.

It stops at a syntax error without an error of its own: the parser reports it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

KeyPath = Sequence[str | int]

PARTS_LIMIT = 32
"""Parts of one key; kmon's keys have at most six. The time of the parser grows with the square of their number."""

_BLANK = re.compile(r"[ \t\r]*")
_NOTHING = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*+")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*'""")
_NOTABLE = re.compile(r"\"\"\"|'''|[\"'#\n\[\]{},=.]")
_REST = {
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*+"{3,5}', re.DOTALL),
    "'''": re.compile(r"(?:[^']|'(?!''))*+'{3,5}"),
    '"': re.compile(r'(?:[^"\\\n]|\\.)*+"'),
    "'": re.compile(r"[^'\n]*'"),
    "#": re.compile(r"[^\n]*"),
}


class TooDeepError(Exception):
    """A key has more than ``PARTS_LIMIT`` parts; the argument is the line, from 1."""


@dataclass(slots=True)
class Defined:
    """The line (from 1) that first defines a key, and the keys defined in it."""

    line: int
    within: dict[str | int, Defined] = field(default_factory=dict)

    def line_of(self, keys: KeyPath) -> int:
        """The line on which ``keys``, or else its nearest parent, is defined."""
        node = self
        for key in keys:
            if (inner := node.within.get(key)) is None:
                break
            node = inner
        return node.line


class _Statement(NamedTuple):
    line: int
    kind: str
    """``[`` for a table, ``[[`` for an element of an array of tables, ``=`` for a key with a value."""
    key: tuple[str, ...]


def defined_in(text: str) -> Defined:
    """The lines of all keys of ``text``. Raises :class:`TooDeepError`."""
    root = Defined(1)
    table = root
    for statement in _statements(text):
        above = table if statement.kind == "=" else root
        for part in statement.key[:-1]:
            above = _latest(_inner(above, part, statement.line))
        inner = _inner(above, statement.key[-1], statement.line)
        if statement.kind == "[[":
            table = inner.within[len(inner.within)] = Defined(statement.line)
        elif statement.kind == "[":
            table = inner
    return root


def _inner(node: Defined, key: str, line: int) -> Defined:
    return node.within.setdefault(key, Defined(line))


def _latest(node: Defined) -> Defined:
    """The last table of an array of tables, which later headers refer to; else the table itself."""
    return node.within.get(len(node.within) - 1, node)


def _statements(text: str) -> Iterator[_Statement]:
    at, line, counted = 0, 1, 0
    while (at := _end(_NOTHING, text, at)) < len(text):
        line += text.count("\n", counted, at)
        counted = at
        kind = "[[" if text.startswith("[[", at) else "[" if text.startswith("[", at) else "="
        found = _key(text, at if kind == "=" else at + len(kind), line)
        if found is None:
            return
        key, at = found
        if not text.startswith({"[[": "]]", "[": "]", "=": "="}[kind], at):
            return
        yield _Statement(line, kind, key)
        end = _end_of_value(text, at + 1, line) if kind == "=" else text.find("\n", at)
        if end < 0:
            return
        at = end


def _key(text: str, at: int, line: int) -> tuple[tuple[str, ...], int] | None:
    """The parts of the key at ``at``, and the position after it; None if there is no key."""
    parts: list[str] = []
    while True:
        found = _PART.match(text, _end(_BLANK, text, at))
        if found is None or (part := _plain(found[0])) is None:
            return None
        parts.append(part)
        if len(parts) > PARTS_LIMIT:
            raise TooDeepError(line)
        at = _end(_BLANK, text, found.end())
        if not text.startswith(".", at):
            return tuple(parts), at
        at += 1


def _plain(part: str) -> str | None:
    if part[0] not in "\"'":
        return part
    if "\\" not in part:
        return part[1:-1]
    try:
        return str(tomllib.loads(f"part = {part}")["part"])
    except tomllib.TOMLDecodeError:
        return None


def _end_of_value(text: str, at: int, line: int) -> int:
    """The end of the line on which the value at ``at`` ends; -1 if it does not end."""
    depth = dots = 0
    while (found := _NOTABLE.search(text, at)) is not None:
        at, sign = found.end(), found[0]
        if rest := _REST.get(sign):
            ended = rest.match(text, at)
            if ended is None:
                return -1
            at = ended.end()
            continue
        dots = dots + 1 if sign == "." else 0
        if dots >= PARTS_LIMIT:  # a key in an inline table
            raise TooDeepError(line)
        if sign == "\n" and depth <= 0:
            return found.start()
        depth += (sign in "[{") - (sign in "]}")
    return -1


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None  # both patterns match the empty string
    return found.end()
