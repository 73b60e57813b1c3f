"""The events about a target: the health of all its attempts, and alerts when it crosses a threshold."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kmon.stream.stamped import Stamped

AlertRule = Literal["success-rate", "consecutive-failures", "chunks-per-stream"]


class ErrorCount(Struct, frozen=True):
    """How many streams failed with a signature, or ended in a state without one."""

    name: str
    count: int


class TargetHealth(Stamped, frozen=True, tag="target_health"):
    """The results of one target's ended attempts so far, without nudges and attempts that the user cancelled.

    ``success_rate`` is ``ok / streams``, from 0 to 1. ``chunks_per_stream`` is the mean over the ``ok`` ones, None
    before the first.
    """

    target: str
    streams: int
    ok: int
    success_rate: float
    consecutive_failures: int
    chunks_per_stream: float | None
    top_errors: tuple[ErrorCount, ...]
    disturbed: int = 0
    """Streams that this machine disturbed; no other figure counts them."""


class Alert(Stamped, frozen=True, tag="alert"):
    """A target's health crossed a threshold. Emitted once, and again only after the target has recovered."""

    target: str
    rule: AlertRule
    figure: float
    threshold: float
    streams: int
    sentence: str
