"""The health of a target: counts over its attempts that ended.

A stream is one attempt: a retry or a further turn counts as another stream. Nudges, cancelled attempts and requests
that were never sent are not counted, because they say nothing about the target. Attempts that this machine disturbed
are counted separately.
"""

from __future__ import annotations

from collections import Counter

from kmon.catalog.signatures import KMON_LATE, OF_THIS_MACHINE
from kmon.format import percentage, plural
from kmon.stream.events import AttemptEnded
from kmon.stream.target_events import ErrorCount, TargetHealth

TOP_ERRORS = 3
_NEVER_SENT = OF_THIS_MACHINE | {"credentials", "not-sent"}
"""Kinds of errors that end an attempt on this machine before its request is sent."""


class HealthCounter:
    """Counts the streams of one target as they end."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._ok = 0
        self._failed = 0
        self._chunks = 0
        self._in_a_row = 0
        self._disturbed = 0
        self._errors: Counter[str] = Counter()

    def add(self, ended: AttemptEnded) -> TargetHealth | None:
        """Count one attempt and return the health so far; None if it does not count or none has counted yet."""
        if ended.role == "nudge" or ended.state == "cancelled":
            return None
        if ended.error is not None and ended.error.kind in _NEVER_SENT:
            return None
        if ended.signature == KMON_LATE:
            self._disturbed += 1
        elif ended.state == "done":
            self._ok += 1
            self._chunks += ended.chunks
            self._in_a_row = 0
        else:
            self._failed += 1
            self._in_a_row += 1
            self._errors[ended.signature or ended.state] += 1
        streams = self._ok + self._failed
        if not streams:
            return None
        return TargetHealth(
            ended.t_ns,
            self.target,
            streams,
            self._ok,
            self._ok / streams,
            self._in_a_row,
            self._chunks / self._ok if self._ok else None,
            tuple(ErrorCount(name, count) for name, count in self._errors.most_common(TOP_ERRORS)),
            self._disturbed,
        )


def health_words(health: TargetHealth) -> str:
    """``94.7 % of 38 streams ended well; 52.1 chunks per stream; 2 failures in a row; 2 hang-mid-stream``."""
    parts = [f"{percentage(health.success_rate)} of {plural(health.streams, 'stream')} ended well"]
    if health.chunks_per_stream is not None:
        parts.append(f"{health.chunks_per_stream:.1f} chunks per stream")
    if health.consecutive_failures > 1:
        parts.append(f"the last {health.consecutive_failures} failed")
    if health.top_errors:
        parts.append(", ".join(f"{error.count} {error.name}" for error in health.top_errors))
    if health.disturbed:
        parts.append(f"{health.disturbed} more disturbed by this machine")
    return "; ".join(parts)
