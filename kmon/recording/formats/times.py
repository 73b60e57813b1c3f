"""Reads a date and time as programs write it."""

from __future__ import annotations

import re
from datetime import datetime

_FRACTION = re.compile(r"([.,]\d{6})\d+")


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
