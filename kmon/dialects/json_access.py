"""Reads JSON whose types cannot be trusted: any member may have any type, and accessors never raise."""

from __future__ import annotations

import json
from typing import Any

import msgspec

COUNT_LIMIT = 2**53 - 1
"""Larger numbers are not exact in most JSON parsers, so they are no counts."""

_DECODER = msgspec.json.Decoder()


def parsed(data: bytes) -> object:
    """The JSON value of ``data``. Raises ValueError if it is none.

    msgspec is fast and strict. What it refuses but providers send (invalid UTF-8, lone surrogate escapes, raw control
    characters in strings, NaN) is parsed again by ``json``.
    """
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def compact(value: object) -> str:
    """``value`` as JSON text without spaces. Surrogates are kept: a chunk boundary may split a pair."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return ""


def text(value: object) -> str:
    """``value`` if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def members(value: object) -> dict[str, Any]:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def count(value: object) -> int | None:
    """An integer from 0 to ``COUNT_LIMIT``, also written 12.0; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= COUNT_LIMIT else None


def position(value: object, default: int) -> int:
    """An index as providers write it: 0, 0.0 or "0"; ``default`` if it is missing or invalid."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    number = count(value)
    return default if number is None else number
