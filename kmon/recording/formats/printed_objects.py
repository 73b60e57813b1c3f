"""Reads the objects that programs print among other text: Python's calls with keywords and dictionaries, JavaScript's
``util.inspect``, and JSON. They are read as data by a tokenizer with a stack, and never evaluated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress

from msgspec import Struct

from kmon.dialects.json_access import parsed

DEPTH_LIMIT = 60
TOKENS_LIMIT = 5_000_000
FALSE_STARTS_LIMIT = 50
"""How many brackets of prose may stay open."""

_START = re.compile(r"\b[A-Z]\w*\(\w+=|\b[A-Za-z_$][\w$.]* \{|[\[{(]|(?<![\w.])[a-z]\w*=(?:[\['\"{]|None\b|[A-Z]\w*\()")
_TOKEN = re.compile(
    r"(?P<string>[bBrRuU]{0,2}(?:'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")|`(?:\\.|[^`\\])*`)"
    r"|(?P<enum><[^<>\n]{1,200}>)"
    r"|(?P<number>-?\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<key>[A-Za-z_]\w*=)(?!=)"
    r"|(?P<name_key>[A-Za-z_$][\w$]*:)(?=\s)"
    r"|(?P<call>[A-Za-z_$][\w$.]*(?:\(| \{))"
    r"|(?P<name>[A-Za-z_$][\w$.]*)"
    r"|(?P<open>[\[{(])"
    r"|(?P<close>[\]})])"
    r"|(?P<comma>,)"
    r"|(?P<line>\n)"
)
_JOINED = re.compile(r"(['\"`])[ \t]*\+[ \t]*\r?\n[ \t]*\1")
"""JavaScript prints a text with line ends in it as several, joined."""
_NO_PROTOTYPE = "[Object: null prototype] "
_QUOTES = ("'", '"', "`")
_ENUM_VALUE = re.compile(r":\s*(['\"])(.*)\1>")
_NAMES: dict[str, object] = {"True": True, "False": False, "true": True, "false": False}


class Printed(Struct, frozen=True):
    """An object, and what stands in its line before it."""

    value: dict[str, object]
    prefix: str


def printed_objects(text: str) -> list[Printed]:
    """The objects printed in a text, each as a dictionary; a time and an object in a list are ``{"t", "data"}``."""
    text = _JOINED.sub("", text.replace(_NO_PROTOTYPE, ""))
    found: list[Printed] = []
    at, tokens, false_starts = 0, 0, 0
    while tokens < TOKENS_LIMIT and (begun := _START.search(text, at)) is not None:
        reader = _Reader(text, begun.start())
        closed = reader.read(TOKENS_LIMIT - tokens)
        tokens += reader.tokens
        if closed:
            line = text.rfind("\n", 0, begun.start()) + 1
            prefix = text[max(line, begun.start() - 400) : begun.start()]
            found += [Printed(value, prefix) for value in reader.found]
            at = reader.at
            continue
        false_starts += 1
        if false_starts > FALSE_STARTS_LIMIT:
            break
        at = begun.start() + 1
    return found


class _Open:
    """A container that is not closed yet. ``key`` is that of the next value in a dictionary."""

    def __init__(self, content: dict[str, object] | list[object], *, implicit: bool = False) -> None:
        self.content = content
        self.key: str | None = None
        self.implicit = implicit
        """Whether it is a line of keywords without the name of an object."""

    def add(self, value: object) -> None:
        if isinstance(self.content, list):
            self.content.append(value)
        elif self.key is not None:
            self.content[self.key] = value
            self.key = None
        elif isinstance(value, str):
            self.key = value


class _Reader:
    """Reads one object or list, from where it begins."""

    def __init__(self, text: str, at: int) -> None:
        self.at = at
        self.tokens = 0
        self.found: list[dict[str, object]] = []
        self._text = text
        self._open: list[_Open] = []

    def read(self, tokens_limit: int) -> bool:
        """Whether it was closed."""
        for token in _TOKEN.finditer(self._text, self.at):
            self.tokens += 1
            self.at = token.end()
            if self.tokens >= tokens_limit or not self._take(token.lastgroup or "", token[0]):
                return False
            if not self._open:
                return True
        return bool(self._open) and self._open[0].implicit and self._end_line()

    def _take(self, kind: str, token: str) -> bool:
        """Read one token; False if it cannot go on."""
        if kind in ("call", "open"):
            self._open.append(_Open([] if token in ("[", "(") else {}))
            return len(self._open) <= DEPTH_LIMIT
        if kind == "close":
            self._close()
        elif kind in ("key", "name_key"):
            if not self._open:
                self._open.append(_Open({}, implicit=True))
            self._open[-1].key = token[:-1]
        elif kind == "comma":
            if self._open:
                self._open[-1].key = None
        elif kind == "line":
            self._end_line()
        elif self._open:
            self._open[-1].add(_literal(kind, token))
        return True

    def _end_line(self) -> bool:
        """End an object without a name, which is one line; whether it was one."""
        ends = len(self._open) == 1 and self._open[0].implicit
        if ends:
            self._close()
        return ends

    def _close(self) -> None:
        if not self._open:
            return
        content = self._open.pop().content
        if self._open:
            self._open[-1].add(content)
        else:
            self.found += _objects(content)


def _objects(content: object) -> Iterator[dict[str, object]]:
    if isinstance(content, list) and len(content) == 2 and not isinstance(content[0], dict | list):
        content = [content]
    for one in content if isinstance(content, list) else [content]:
        if isinstance(one, dict):
            yield one
        elif isinstance(one, list) and len(one) == 2 and isinstance(one[1], dict):
            yield {"t": one[0], "data": one[1]}


def _literal(kind: str, token: str) -> object:
    if kind == "string":
        return _string(token)
    if kind == "number":
        plain = token.replace("_", "")
        return int(plain) if plain.lstrip("-").isdigit() and len(plain) < 20 else float(plain)
    if kind == "enum":
        said = _ENUM_VALUE.search(token)
        return None if said is None else said[2]
    return _NAMES.get(token)


def _string(token: str) -> str:
    if "\\" not in token and token[0] in _QUOTES:
        return token[1:-1]
    if token.startswith('"'):
        with suppress(ValueError):
            return str(parsed(token.encode("utf-8", "replace")))
    try:
        value: object = ast.literal_eval(token)
    except (ValueError, SyntaxError, MemoryError):
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
