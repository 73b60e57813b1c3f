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
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_STAMP = re.compile(
    rf"\s{{0,4}}[\[(]?(?:(?P<date>\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?: ?Z|(?: ?[+-]\d\d:?\d\d))?)"
    rf"|(?P<day>(?:(?:{_MONTHS}) [ \d]\d )?{_CLOCK})"
    r"|(?P<seconds>\+?\d{1,10}\.\d{1,9}|1\d{9}(?:\d{3})?)s?)"
    r"[\])]?(?::(?=[ \r\n]|$)|,| \||\s->)?(?:[ \t]|(?=\r?\n|$))".encode()
)


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
    if found["date"] is not None:
        ms = iso_ms(found["date"].decode().replace(" Z", "Z"))
        return None if ms is None else Stamp("date", ms, found.end())
    if found["day"] is not None:
        clock = found["day"].decode().replace(",", ".").split(" ")[-1]
        hours, minutes, seconds = clock.split(":")
        return Stamp("day", (int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1e3, found.end())
    number = float(found["seconds"])
    return Stamp("seconds", number if number >= 1e11 else number * 1e3, found.end())


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
