"""The times that programs write into JSON objects, one object per event: which member it is, and its unit.

Nobody agrees on the name or the unit (``ts``, ``receivedAt``, ``elapsed_ms``, ``@timestamp``; seconds, milliseconds,
nanoseconds, ISO 8601). A name says its unit, or the size of the numbers does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from kmon.dialects.json_access import members
from kmon.recording.formats.stamps import Clock, stamp_of
from kmon.recording.formats.times import iso_ms

WIRE_TIMES = frozenset({"created_at"})
"""Of Ollama's lines: when the server made one, not when it came."""
NAME_LIMIT_CHARS = 40
SAMPLE_VALUES = 200
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_UNITS_MS = {
    "ms": 1.0, "millis": 1.0, "milliseconds": 1.0, "msec": 1.0,
    "us": 1e-3, "micros": 1e-3, "microseconds": 1e-3, "usec": 1e-3,
    "ns": 1e-6, "nanos": 1e-6, "nanoseconds": 1e-6,
    "s": 1e3, "sec": 1e3, "secs": 1e3, "seconds": 1e3,
}  # fmt: skip
_MOMENT = frozenset((
    "t", "ts", "time", "timestamp", "at", "elapsed", "offset", "arrived", "arrival", "received", "recv", "now", "when",
    "date", "datetime", "rel", "seen",
))  # fmt: skip
_STEP = frozenset(("delta", "dt", "gap", "interval", "delay", "wait", "waited"))
"""These may be the time since the event before."""
_BESIDE = frozenset((
    "chunk", "event", "real", "realtime", "monotonic", "epoch", "iso", "utc", "local", "source", "since", "start",
    "from", "unix",
))  # fmt: skip
_EPOCH = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0), (1e8, 1e3))
"""From which size on a number without a unit is one since 1970, and its unit in ms."""
_STEPS_FROM = 3
_SLOW_UNITS = 2.0
"""If most events are farther apart than so many units, the unit is no second: models are faster."""


def times_ms(values: Sequence[object], *, own: frozenset[str] = frozenset()) -> list[float | None]:
    """The time of each object (ms after some moment), by the member that tells most; all None without one.

    Members named in ``own`` are part of the wire format and do not count. One time for all of them is none.
    """
    rows = [members(value) for value in values]
    found = max((_column(rows, name) for name in _names(rows, own)), key=_distinct, default=[])
    told = len(found) == len(rows) and (_distinct(found) > 1 or len(rows) < 2)
    return found if told else [None] * len(rows)


def _distinct(column: list[float | None]) -> int:
    return len(set(column) - {None})


def _names(rows: list[dict[str, Any]], own: frozenset[str]) -> list[str]:
    named = dict.fromkeys(str(name) for row in rows[:SAMPLE_VALUES] for name in row)
    return [name for name in named if name not in own and _is_time(name)]


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)] if len(name) <= NAME_LIMIT_CHARS else []


def _is_time(name: str) -> bool:
    words = _words(name)
    known = _MOMENT.union(_STEP, _BESIDE, _UNITS_MS)
    if words == ["created", "at"]:
        return True
    return bool(words) and known.issuperset(words) and not _MOMENT.union(_STEP, _UNITS_MS).isdisjoint(words)


def _column(rows: list[dict[str, Any]], name: str) -> list[float | None]:
    read = _written(rows, name)
    numbers = [_number(row.get(name)) for row in rows] if read is None else []
    known = [number for number in numbers if number is not None]
    if read is not None or not known:
        return read or []
    words = _words(name)
    whole = not any(isinstance(row.get(name), float) for row in rows)
    unit_ms = next((_UNITS_MS[word] for word in reversed(words) if word in _UNITS_MS), None) or _unit_ms(known, whole)
    if not _STEP.isdisjoint(words) and any(after < before for before, after in pairwise(known)):
        return _added(numbers, unit_ms)
    return [None if number is None else number * unit_ms for number in numbers]


def _number(value: object) -> float | None:
    if isinstance(value, str) and value.strip().replace(".", "", 1).isdigit() and len(value) < 40:
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e20 else None


def _unit_ms(numbers: list[float], whole: bool) -> float:
    """The unit of numbers whose name has none: seconds, unless most events then were some seconds apart."""
    epoch = next((unit_ms for size, unit_ms in _EPOCH if max(numbers) >= size), None)
    if epoch is not None:
        return epoch
    steps = [after - before for before, after in pairwise(numbers) if after > before]
    slow = len(steps) >= _STEPS_FROM and median(steps) > _SLOW_UNITS
    return 1.0 if slow and (whole or not _are_round(numbers)) else 1e3


def _are_round(numbers: list[float]) -> bool:
    """Whether people wrote them: a clock has more than one digit after the point."""
    return all(round(number, 1) == number for number in numbers)


def _added(numbers: list[float | None], unit_ms: float) -> list[float | None]:
    total, found = 0.0, list[float | None]()
    for number in numbers:
        total += 0.0 if number is None else number * unit_ms
        found.append(None if number is None else total)
    return found


def _written(rows: list[dict[str, Any]], name: str) -> list[float | None] | None:
    """Times that are text; None if they are numbers."""
    first = next((row[name] for row in rows if row.get(name) is not None), None)
    if not isinstance(first, str) or _number(first) is not None:
        return None
    clock = Clock()
    return [_text_ms(row.get(name), clock.ms) for row in rows]


def _text_ms(value: object, tell: Callable[..., float]) -> float | None:
    if not isinstance(value, str) or len(value) > NAME_LIMIT_CHARS:
        return None
    if (ms := iso_ms(value)) is not None:
        return ms
    stamp = stamp_of(value.encode("utf-8", "replace") + b" ")
    return None if stamp is None else tell(stamp)
