"""The base of all events: a stamp, and the name of the event in JSON."""

from __future__ import annotations

from msgspec import Struct


class Stamped(Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """Encodes to one JSON object with the member ``type``. ``t_ns`` is CLOCK_MONOTONIC of the machine that measured."""

    t_ns: int
