"""Reads TOML files, and makes errors about them with file, line and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import ValidationError

from kmon.catalog.reading import NotRegularError, TooLargeError, UnreadableError, read_regular
from kmon.catalog.toml_lines import Defined, KeyPath, TooDeepError, defined_in
from kmon.errors import UsageError

SIZE_LIMIT_BYTES = 1 << 20
"""Limit of a settings file."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_ASSIGNED = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")
_PARSER_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)\Z")
_SCHEMA_PLACE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`\Z")
_SCHEMA_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_SECRET = re.compile(r"api_?key|token\Z|secret|password|authorization", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TomlSource:
    """A parsed TOML file, with the line of each key for errors."""

    path: Path
    defined: Defined = field(repr=False)
    table: dict[str, Any] = field(repr=False)
    project: bool = False
    """Whether the file is in the project directory, not in the user's."""

    def error(self, keys: KeyPath, problem: str) -> UsageError:
        """An error about the value at ``keys``, with file, line and key."""
        return UsageError(f"{self.path} line {self.line_of(keys)}, key '{dotted(keys)}': {problem}")

    def unknown(self, keys: KeyPath, known: Iterable[str]) -> UsageError:
        """An error about an unknown key, with the closest known one."""
        name = str(keys[-1])
        if _SECRET.search(name):
            problem = "keys do not belong in this file; put the key in .env and name its variable in key_env"
            return self.error(keys, problem)
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"
        return self.error(keys, f"unknown key; {hint}")

    def invalid(self, prefix: KeyPath, error: ValidationError, known: Iterable[str]) -> UsageError:
        """An error from a schema's error about the table at ``prefix``."""
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
        """The line (from 1) on which ``keys``, or else its nearest parent, is defined."""
        return self.defined.line_of(keys)


def read_toml(path: Path) -> TomlSource | None:
    """Read a settings file; None if it does not exist. Raises :class:`UsageError` if it cannot be used."""
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
    """The bytes of a settings file; None if it does not exist.

    Raises :class:`UsageError` for a file that is not regular, too large or unreadable.
    """
    try:
        return read_regular(path, SIZE_LIMIT_BYTES)
    except NotRegularError as error:
        raise UsageError(f"cannot read {path}: {error}; move it away") from None
    except TooLargeError:
        large = f"{path} is larger than {SIZE_LIMIT_BYTES} bytes, which is no settings file; move it away"
        raise UsageError(large) from None
    except UnreadableError as error:
        raise UsageError(f"cannot read {path}: {error}; fix its permissions or move it away") from None


def parse_toml(path: Path, text: str) -> TomlSource:
    """Parse the text of ``path``. Raises :class:`UsageError` with file, line and, if known, key."""
    try:
        return TomlSource(path, defined_in(text), tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_syntax(path, text, str(error))) from None
    except TooDeepError as error:
        raise UsageError(f"{path} line {error.args[0]} is nested too deeply to be read; flatten it") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply to be read; flatten it") from None
    except ValueError:  # Python refuses to convert very long integers, and the parser does not catch that
        raise UsageError(f"{path} has a number too long to be read; shorten it") from None


def dotted(keys: KeyPath) -> str:
    """A key path in TOML notation, with list positions in brackets: ``scenarios.code.messages[0].role``."""
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
