"""The health of a target: how its streams went so far, as a fold over the attempts that ended.

A stream is an attempt, so a retry or a further turn is one more. Nudges, what the user cancelled and what was never
sent say nothing about the target and are left out; what this machine disturbed is counted apart. The figures are those
of the field report kmon was born from.
"""

from __future__ import annotations

from collections import Counter

from kmon.catalog.signatures import KMON_LATE, OF_THIS_MACHINE
from kmon.format import percentage, plural
from kmon.stream.events import AttemptEnded, ErrorCount, TargetHealth

TOP_ERRORS = 3
_NEVER_SENT = OF_THIS_MACHINE | {"credentials", "not-sent"}
"""Kinds of errors that ended an attempt on this machine, before anything was asked."""


class Streams:
    """The streams of one target, counted as they end."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._ok = 0
        self._failed = 0
        self._chunks = 0
        self._in_a_row = 0
        self._disturbed = 0
        self._errors: Counter[str] = Counter()

    def add(self, ended: AttemptEnded) -> TargetHealth | None:
        """Count an attempt; the health with it, or None if it does not count."""
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


def words(health: TargetHealth) -> str:
    """``94.7 % of 38 streams ended well; 52.1 chunks per stream; 2 failures in a row; 2 hang-mid-stream``."""
    said = [f"{percentage(health.success_rate)} of {plural(health.streams, 'stream')} ended well"]
    if health.chunks_per_stream is not None:
        said.append(f"{health.chunks_per_stream:.1f} chunks per stream")
    if health.consecutive_failures > 1:
        said.append(f"the last {health.consecutive_failures} failed")
    if health.top_errors:
        said.append(", ".join(f"{error.count} {error.name}" for error in health.top_errors))
    if health.disturbed:
        said.append(f"{health.disturbed} more disturbed by this machine")
    return "; ".join(said)
