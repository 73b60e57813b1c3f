"""Reads the times that recorders and people write: members of JSON objects, and stamps before a line."""

from __future__ import annotations

import re
from datetime import datetime

_SECONDS = (
    "t",
    "ts",
    "time",
    "timestamp",
    "rel",
    "at",
    "elapsed",
    "offset",
    "t_s",
    "elapsed_s",
    "received_at",
    "created_at",
)
_MILLISECONDS = ("t_ms", "ms", "time_ms", "timestamp_ms", "elapsed_ms", "offset_ms", "delay_ms", "at_ms")
_NANOSECONDS = ("t_ns", "time_ns", "timestamp_ns")
_UNITS_MS = dict.fromkeys(_MILLISECONDS, 1.0) | dict.fromkeys(_NANOSECONDS, 1e-6) | dict.fromkeys(_SECONDS, 1e3)
"""The unit of each name in ms; the first that a value has is used."""
_ORDER = {name: place for place, name in enumerate(_UNITS_MS)}
_EPOCH_MS_FROM = 1e11
"""A larger number of seconds is a number of milliseconds since 1970: as seconds it would be after the year 5000."""
_FRACTION = re.compile(r"([.,]\d{6})\d+")


def ms_of(value: object) -> float | None:
    """The time (ms after some moment) in a JSON object, by the name of its member; None if it has none."""
    if not isinstance(value, dict):
        return None
    for name in sorted(value.keys() & _UNITS_MS.keys(), key=_ORDER.__getitem__):
        if (found := _ms(value[name], _UNITS_MS[name])) is not None:
            return found
    return None


def _ms(value: object, unit_ms: float) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) and 0 <= value < 1e20:
        return float(value) if unit_ms == 1e3 and value >= _EPOCH_MS_FROM else float(value) * unit_ms
    return iso_ms(value) if isinstance(value, str) else None


def iso_ms(written: str) -> float | None:
    """An ISO 8601 date and time in ms since 1970, without a zone as if in UTC; None if it is none."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", written.strip()).replace(",", "."))
        return (moment.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds() * 1e3 - _zone_ms(moment)
    except (ValueError, OverflowError):
        return None


def _zone_ms(moment: datetime) -> float:
    offset = moment.utcoffset()
    return 0.0 if offset is None else offset.total_seconds() * 1e3
