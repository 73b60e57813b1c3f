"""Times that people and tools put before every line: ``ts``, ``docker logs -t``, ``awk``, ``curl --trace-time``."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from kmon.recording.formats.times import iso_ms

DAY_MS = 86_400_000.0
_HALF_DAY_MS = DAY_MS / 2

Kind = Literal["date", "day", "seconds"]

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?"
_DAY = rf"{_WEEKDAY}(?:(?:{_MONTHS}) [ \d]\d(?: \d{{4}})?,? |\d\d? (?:{_MONTHS}) \d{{4}} )?"
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_AFTER_DAY = r"(?: [AP]M)?(?: (?:GMT|UTC|[A-Z]{3,5}|[+-]\d{4}))?(?: (?:19|20)\d\d)?"
_DATE = rf"(?P<date>\d{{4}}[-/]\d\d[-/]\d\d[T ]{_CLOCK}(?: ?Z|(?: ?[+-]\d\d:?\d\d))?)"
_TIME = rf"(?P<day>{_DAY}{_CLOCK}{_AFTER_DAY})"
_STAMP = re.compile(
    rf"\s{{0,4}}[\[(]? {{0,8}}(?:{_DATE}|{_TIME}"
    r"|(?:[tT] ?[=+:]? ?)?(?:(?P<ms>\+?\d{1,9}(?:\.\d{1,9})?) ?ms"
    r"|(?P<seconds>\+?\d{1,10}\.\d{1,9}|1\d{9}(?:\d{3}){0,3}|\+\d{1,6}(?=s))s?))"
    r"[\])]?(?::(?=[ \r\n]|$)|,|;| \||\s-(?=\s)|\s->)?(?:[ \t]|(?=\r?\n|$))".encode()
)
_INSIDE = re.compile(rf"(?:(?<![\w./-]){_DATE}|(?<![\w.:/-]){_TIME})(?!\w)".encode())
_CLOCK_IN = re.compile(rb"\d{1,2}:\d\d:\d\d(?:\.\d{1,9})?")
_NOON_HOURS = 12
_SIZES = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0))
"""From which size on a number since 1970 is in nanoseconds, microseconds, milliseconds; and that in ms."""


class Stamp(Struct, frozen=True):
    """A time before a line: ``ms`` since 1970, midnight or some moment. ``end`` is where the line itself begins."""

    kind: Kind
    ms: float
    end: int


def stamp_of(line: bytes) -> Stamp | None:
    """The stamp at the start of ``line``; None if there is none."""
    found = _STAMP.match(line[:120])
    if found is None:
        return None
    if found["ms"] is not None:
        return Stamp("seconds", float(found["ms"]), found.end())
    if found["seconds"] is not None:
        number = float(found["seconds"])
        unit_ms = next((unit_ms for size, unit_ms in _SIZES if number >= size), 1e3)
        return Stamp("seconds", number * unit_ms, found.end())
    return _of_clock(found)


def stamp_in(prefix: bytes) -> Stamp | None:
    """The first date or time of day in what a log writes before its message; None if there is none."""
    found = _INSIDE.search(prefix[:300])
    return None if found is None else _of_clock(found)


def _of_clock(found: re.Match[bytes]) -> Stamp | None:
    if found["date"] is not None:
        ms = iso_ms(found["date"].decode().replace("/", "-").replace(" Z", "Z"))
        return None if ms is None else Stamp("date", ms, found.end())
    clock = _CLOCK_IN.search(found["day"].replace(b",", b"."))
    if clock is None:
        return None
    hours, minutes, seconds = (float(part) for part in clock[0].split(b":"))
    if b" PM" in found["day"] and hours < _NOON_HOURS:
        hours += _NOON_HOURS
    if b" AM" in found["day"] and hours == _NOON_HOURS:
        hours = 0
    return Stamp("day", (hours * 3600 + minutes * 60 + seconds) * 1e3, found.end())


class Clock:
    """Stamps as one time that does not go back: a time of day goes on after midnight."""

    def __init__(self) -> None:
        self._days = 0
        self._last_ms: float | None = None

    def ms(self, stamp: Stamp) -> float:
        """The time of ``stamp``, which follows the ones before it."""
        ms = stamp.ms + self._days * DAY_MS
        if stamp.kind == "day" and self._last_ms is not None and ms < self._last_ms - _HALF_DAY_MS:
            self._days += 1
            ms += DAY_MS
        self._last_ms = ms if self._last_ms is None else max(ms, self._last_ms)
        return ms
