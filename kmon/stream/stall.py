"""A stall and its phase, as values that events carry. :mod:`kmon.stream.timeline` finds stalls."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

StallPhase = Literal[
    "before-first-token", "mid-text", "mid-reasoning", "mid-tool-arguments", "mid-hidden-reasoning", "mid-server-tool",
    "after-last-delta",
]  # fmt: skip
WatchedClock = Literal["progress", "byte"]
"""The clock on which an attempt's silences are watched: ``byte`` where kmon does not read the stream."""


class Stall(Struct, frozen=True, omit_defaults=True):
    """A progress gap over the threshold. ``start_ms`` counts from the start of its attempt."""

    phase: StallPhase
    start_ms: float
    duration_ms: float
    ended: bool
    own: bool = False
    """Whether this program or its machine certainly caused it; then it counts in no verdict."""
