"""Writes a scenario as a table that a ``kmon.toml`` can hold.

Strings may come from anywhere: characters that are not printable are escaped, so that the file can be shown on any
terminal and is read back as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from kmon.model import Scenario

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_IN_FILES = frozenset({"name", "stream"})


def scenario_toml(scenario: Scenario, note: str) -> str:
    """The table of a scenario, after a comment. Its name becomes one that a file can have; see :func:`file_name`.

    Raises ValueError for a text that no TOML file can hold: a lone surrogate.
    """
    values = msgspec.to_builtins(scenario)
    empty = msgspec.to_builtins(Scenario(name="", messages=()))
    lines = [
        f"# {''.join(each if each.isprintable() else ' ' for each in note)}",
        f"[scenarios.{_key(file_name(scenario.name))}]",
    ]
    for key, value in values.items():
        if key not in _NOT_IN_FILES and value != empty.get(key):
            lines += _setting(key, value)
    return "\n".join(lines) + "\n"


def file_name(name: str) -> str:
    """A name as a scenario of a file may have it: ``long-context-5000`` for ``long-context:5000``."""
    return _NOT_IN_NAMES.sub("-", name).strip(".-_") or "scenario"


def _setting(key: str, value: object) -> Iterator[str]:
    if isinstance(value, list | tuple) and value:
        yield f"{key} = ["
        yield from (f"    {_value(each)}," for each in value)
        yield "]"
    else:
        yield f"{key} = {_value(value)}"


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Mapping():
            return _table(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return _string(str(value))


def _table(value: Mapping[str, Any]) -> str:
    members = [f"{_key(name)} = {_value(each)}" for name, each in value.items() if each is not None]
    return f"{{ {', '.join(members)} }}" if members else "{}"


def _key(name: str) -> str:
    return name if _BARE.match(name) else _string(name)


def _string(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if 0xD800 <= ord(character) <= 0xDFFF:
        raise ValueError("a text with half a character cannot be written to a file")
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\U{ord(character):08X}")
