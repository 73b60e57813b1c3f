"""Arguments of a function call that Gemini sends by path, written as the JSON text that they become.

With ``streamFunctionCallArguments`` Vertex sends pieces such as ``{"jsonPath": "$.city", "stringValue": "Par",
"willContinue": true}`` instead of JSON text. Pieces come in the order of the finished object, so each can be written at
once; joined, the written pieces are the object. A call that is cut stays cut JSON, as in the dialects that send text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kmon.dialects.json_access import compact, text

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]""")
_ESCAPED = re.compile(r"\\(.)")
DEPTH_LIMIT = 64
"""Deeper values are left out; no schema of a tool is so deep."""

Path = tuple[str | int, ...]
"""Member names and array positions from the root."""


class PathArguments:
    """Writes the arguments of one call. Each method returns the JSON text that it adds."""

    def __init__(self) -> None:
        self._at: Path = ()
        """Where the last value was written; the containers around it are open."""
        self._in_string = False

    def add(self, piece: Mapping[str, Any]) -> str:
        """The text of one of ``partialArgs``; empty for a piece without a readable path or value."""
        at, continues = path_of(text(piece.get("jsonPath"))), piece.get("willContinue") is True
        string = piece.get("stringValue")
        if not at or len(at) > DEPTH_LIMIT:
            return ""
        if isinstance(string, str):
            begun = "" if self._in_string and at == self._at else self._move(at) + '"'
            self._in_string = continues
            return begun + compact(string)[1:-1] + ("" if continues else '"')
        value = _value(piece)
        return "" if value is None else self._move(at) + value

    def close(self) -> str:
        """The end of the object: all that is open is closed."""
        if not self._at:
            return "{}"
        closed = self._end_string() + _closing(self._at)
        self._at = ()
        return closed

    def _move(self, at: Path) -> str:
        """End what is open beside ``at``, and begin what is around it, with its name."""
        ended = self._end_string()
        if not self._at:
            shared, between = 0, "{"
        else:
            pairs = zip(at[:-1], self._at[:-1], strict=False)
            shared = next((n for n, (new, old) in enumerate(pairs) if new != old), min(len(at), len(self._at)) - 1)
            between = _closing(self._at[shared + 1 :]) + ","
        self._at = at
        return ended + between + _opening(at[shared:])

    def _end_string(self) -> str:
        ended, self._in_string = '"' if self._in_string else "", False
        return ended


def path_of(written: str) -> Path:
    """The steps of a JSON path of names and positions (``$.a.b[0]['c d']``); empty if it is none."""
    if not written.startswith("$"):
        return ()
    steps: list[str | int] = []
    end = 1
    while end < len(written):
        step = _STEP.match(written, end)
        if step is None:
            return ()
        name, position, single, double = step.groups()
        quoted = single if single is not None else double
        plain = name if quoted is None else _ESCAPED.sub(r"\1", quoted)
        steps.append(plain if position is None else int(position[:9]))
        end = step.end()
    return tuple(steps) if steps and isinstance(steps[0], str) else ()


def _value(piece: Mapping[str, Any]) -> str | None:
    for name in ("numberValue", "boolValue"):
        if name in piece:
            return compact(piece[name]) or "null"
    return "null" if "nullValue" in piece else None


def _opening(steps: Path) -> str:
    """The name of the first step, and around each further one its container, with the names in it."""
    first, *rest = steps
    return _named(first) + "".join(("{" if isinstance(step, str) else "[") + _named(step) for step in rest)


def _closing(steps: Path) -> str:
    """The ends of the containers that hold these steps, the innermost first."""
    return "".join("}" if isinstance(step, str) else "]" for step in reversed(steps))


def _named(step: str | int) -> str:
    return compact(step) + ":" if isinstance(step, str) else ""
