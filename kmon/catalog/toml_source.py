"""TOML files whose errors say where: file, line and key, although the parser keeps no positions."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import ValidationError

from kmon.catalog.errors import UsageError

SIZE_LIMIT_BYTES = 1 << 20
"""A settings file larger than this is some other file."""

KeyPath = Sequence[str | int]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_ASSIGNED = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")
_PARSER_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)\Z")
_SCHEMA_PLACE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`\Z")
_SCHEMA_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_SECRET = re.compile(r"api_?key|token\Z|secret|password|authorization", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TomlSource:
    """A parsed TOML file that remembers its text, so that a complaint about a key can name the line."""

    path: Path
    text: str = field(repr=False)
    table: dict[str, Any] = field(repr=False)
    project: bool = False
    """Whether it belongs to the project kmon is started in, and not to its user."""

    def error(self, keys: KeyPath, problem: str) -> UsageError:
        """A complaint about the value at ``keys``: file, line, key, problem."""
        return UsageError(f"{self.path} line {self.line_of(keys)}, key '{dotted(keys)}': {problem}")

    def unknown(self, keys: KeyPath, known: Iterable[str]) -> UsageError:
        """A complaint about a key nobody reads."""
        name = str(keys[-1])
        if _SECRET.search(name):
            problem = "keys do not belong in this file; put the key in .env and name its variable in key_env"
            return self.error(keys, problem)
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"
        return self.error(keys, f"unknown key; {hint}")

    def invalid(self, prefix: KeyPath, error: ValidationError, known: Iterable[str]) -> UsageError:
        """A complaint about the first thing a schema did not like in the table at ``prefix``."""
        problem = str(error)
        keys = list(prefix)
        if place := _SCHEMA_PLACE.search(problem):
            problem = problem[: place.start()]
            keys += [name or int(index) for name, index in _SCHEMA_STEP.findall(place[1])]
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem, re.DOTALL):
            if len(keys) == len(prefix):
                return self.unknown([*keys, unknown[1]], known)
            return self.error([*keys, unknown[1]], "unknown key")
        return self.error(keys, problem[:1].lower() + problem[1:].replace("`", ""))

    def line_of(self, keys: KeyPath) -> int:
        """The line (from 1) on which ``keys`` is defined, or the nearest of its parents that can be found."""
        lines = self.text.split("\n")
        for length in range(len(keys), 0, -1):
            path = keys[:length]
            name = next((str(key) for key in reversed(path) if isinstance(key, str)), "")
            for at, line in enumerate(lines):
                if name in line and _defines(lines, at, path):
                    return at + 1
        return 1


def read_toml(path: Path) -> TomlSource | None:
    """Read a settings file; None if there is none. Raises :class:`UsageError` if it cannot be used."""
    raw = read_settings(path)
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path} line {line} is not UTF-8 text; save the file as UTF-8") from None
    return parse_toml(path, text)


def read_settings(path: Path) -> bytes | None:
    """The bytes of a settings file; None if there is none. Only a regular file is opened: a pipe would never end.

    Raises :class:`UsageError` for one that is something else, too large or not to be read.
    """
    try:
        if not path.exists():
            return None
        if not path.is_file():
            raise UsageError(f"cannot read {path}: it is not a regular file; move it away")
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; fix its permissions or move it away") from None
    if len(raw) > SIZE_LIMIT_BYTES:
        raise UsageError(f"{path} is larger than {SIZE_LIMIT_BYTES} bytes, which is no settings file; move it away")
    return raw


def parse_toml(path: Path, text: str) -> TomlSource:
    """Parse the text of ``path``; a syntax error becomes a sentence with file, line and, where there is one, key."""
    try:
        return TomlSource(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_syntax(path, text, str(error))) from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply to be read; flatten it") from None
    except ValueError:  # the parser lets Python's refusal of absurdly long integers through
        raise UsageError(f"{path} has a number too long to be read; shorten it") from None


def dotted(keys: KeyPath) -> str:
    """A key path as TOML writes it, with list positions in brackets: ``scenarios.code.messages[0].role``."""
    out = ""
    for key in keys:
        if isinstance(key, int):
            out += f"[{key}]"
        else:
            quoted = key if _BARE_KEY.match(key) else ascii(key)
            out += f".{quoted}" if out else quoted
    return out


def _syntax(path: Path, text: str, message: str) -> str:
    lines = text.split("\n")
    at = len(text.rstrip("\n").split("\n"))
    if place := _PARSER_PLACE.search(message):
        at = int(place[1] or at)
        message = message[: place.start()]
    assigned = _ASSIGNED.match(lines[at - 1])
    where = f"line {at}, key '{assigned[1]}'" if assigned else f"line {at}"
    return f"{path} {where}: not valid TOML ({message[:1].lower()}{message[1:]}); fix that line"


def _defines(lines: Sequence[str], at: int, keys: KeyPath) -> bool:
    """True when the statement that starts on line ``at`` (from 0) is the first to define ``keys``."""
    before = _parsed(lines[:at])
    if before is None or _has(before, keys):
        return False
    ends = (_parsed(lines[: end + 1]) for end in range(at, len(lines)))
    after = next((table for table in ends if table is not None), None)
    return after is not None and _has(after, keys)


def _parsed(lines: Sequence[str]) -> dict[str, Any] | None:
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return None


def _has(node: object, keys: KeyPath) -> bool:
    for key in keys:
        try:
            node = node[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return False
    return True
