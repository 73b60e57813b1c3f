"""What ``print(chunk)`` of a Python program wrote: objects of an SDK as calls with keywords, and dictionaries.

Read as data by a tokenizer with a stack, and never evaluated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kmon.recording.event_bodies import TimedEvent, interactions_of
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

DEPTH_LIMIT = 60
TOKENS_LIMIT = 5_000_000
SAMPLE_BYTES = 4096

_BEGINS = re.compile(r"\s*\[?\s*(?:[A-Z]\w*\(\w+=|\{\s*'\w+'\s*:|[a-z]\w*=(?:[\['\"{]|None\b|[A-Z]\w*\())")
_TOKEN = re.compile(
    r"(?P<string>[bBrRuU]{0,2}(?:'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"))"
    r"|(?P<enum><[^<>\n]{1,200}>)"
    r"|(?P<number>-?\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<key>[A-Za-z_]\w*=)(?!=)"
    r"|(?P<call>[A-Za-z_][\w.]*\()"
    r"|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<open>[\[{(])"
    r"|(?P<close>[\]})])"
    r"|(?P<comma>,)"
    r"|(?P<line>\n)"
)
_ENUM_VALUE = re.compile(r":\s*(['\"])(.*)\1>")
_NAMES: dict[str, object] = {"True": True, "False": False}


def _looks_like(source: Source) -> bool:
    return _BEGINS.match(source.data[:SAMPLE_BYTES].decode("utf-8", "replace")) is not None


def _read(source: Source) -> list[Interaction]:
    found = interactions_of([TimedEvent(value) for value in values(source.data.decode("utf-8", "replace"))])
    if not found:
        raise ValueError(
            "it is what Python prints of objects, and they are no chunks; save chunk.model_dump_json(), one per line"
        )
    return found


def values(printed: str) -> list[dict[str, object]]:
    """The objects printed in a text, each as a dictionary of its keywords; what is neither is left out."""
    reader = _Reader()
    for place, token in enumerate(_TOKEN.finditer(printed)):
        if place >= TOKENS_LIMIT or not reader.take(token.lastgroup or "", token[0]):
            break
    reader.end_line()
    return reader.found


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
    def __init__(self) -> None:
        self.found: list[dict[str, object]] = []
        self._open: list[_Open] = []

    def take(self, kind: str, token: str) -> bool:
        """Read one token; False if it cannot go on."""
        if kind in ("call", "open"):
            self._open.append(_Open([] if token in "[(" else {}))
            return len(self._open) <= DEPTH_LIMIT
        if kind == "close":
            self._close()
        elif kind == "key":
            if not self._open:
                self._open.append(_Open({}, implicit=True))
            self._open[-1].key = token[:-1]
        elif kind == "comma":
            if self._open:
                self._open[-1].key = None
        elif kind == "line":
            self.end_line()
        elif self._open:
            self._open[-1].add(_literal(kind, token))
        return True

    def end_line(self) -> None:
        """End an object without a name, which is one line."""
        if len(self._open) == 1 and self._open[0].implicit:
            self._close()

    def _close(self) -> None:
        if not self._open:
            return
        content = self._open.pop().content
        if self._open:
            self._open[-1].add(content)
        else:
            self.found += _objects(content)


def _objects(content: object) -> Iterator[dict[str, object]]:
    for one in content if isinstance(content, list) else [content]:
        if isinstance(one, dict):
            yield one


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
    try:
        value = ast.literal_eval(token)
    except (ValueError, SyntaxError, MemoryError):
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


PYTHON_OUTPUT = Format("what Python printed of chunks", _looks_like, _read)
