"""The view of one attempt: its output so far, its clocks and its end. Retention bounds what ended runs hold.

A race may have ten thousand rounds, so the output of all runs cannot be kept; figures and endings always are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from kmon.dialects.delta import StreamError, Usage
from kmon.stream import events as ev
from kmon.stream.blame import Blame
from kmon.stream.claim import Claim
from kmon.stream.timeline import Timeline

TEXT_LIMIT_CHARS = 200_000
RAW_LIMIT_CHUNKS = 2_000


class Segment(NamedTuple):
    """A stretch of output of one kind: ``text``, ``reasoning`` or ``tool``.

    ``name`` is the tool's where its call begins; the text of a call is its arguments.
    """

    kind: str
    text: str
    name: str = ""

    @property
    def chars(self) -> int:
        return len(self.text) + len(self.name)


class RawChunk(NamedTuple):
    """A chunk as it arrived, for the raw view. ``gap_ns`` is the time since the chunk before it."""

    t_ns: int
    gap_ns: int
    kind: str
    raw: str


@dataclass(slots=True)
class AttemptView:
    """One request and its answer so far."""

    number: int
    role: ev.AttemptRole
    timeline: Timeline
    url: str = ""
    proxy: str | None = None
    status: int | None = None
    request_ids: dict[str, str] = field(default_factory=dict)
    segments: deque[Segment] | tuple[Segment, ...] = field(default_factory=deque)
    """While the attempt is open a deque, one segment per chunk; then a tuple, one per stretch of one kind."""
    segment_chars: int = 0
    segments_dropped: int = 0
    """Characters of output dropped, oldest first, to bound the memory."""
    raw: deque[RawChunk] | tuple[RawChunk, ...] = field(default_factory=lambda: deque(maxlen=RAW_LIMIT_CHUNKS))
    raw_dropped: int = 0
    """Raw chunks dropped, oldest first."""
    revision: int = 0
    """Incremented whenever output is appended, so that a pane knows whether to wrap the text again."""
    finish_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    upstream: str | None = None
    error: StreamError | None = None
    ending: ev.Ending | None = None
    signature: str | None = None
    evidence: str = ""
    turn: int = 1
    target: str = ""
    """The target of the request if it differs from the run's own, that is, after a fallback."""
    blame: Blame | None = None
    """Blame of the open stall; once the attempt has ended, of its longest stall."""
    blames: list[Blame | None] = field(default_factory=list)
    """Blame of each closed stall, in order."""
    claim: Claim | None = None
    """What the watched chat program shows; None for an HTTP client, whose claim follows from the stream."""
    claim_ns: int = 0
    """Since when it has shown this activity (ns); its connection text may have changed since."""
    gateway_run: str = ""
    opened_ns: int | None = None
    unread: bool = False
    """Whether it is a stream that kmon does not read."""
    unread_dialect: str = ""
    """The name of its dialect, where kmon recognises it."""

    def append(self, kind: str, text: str, name: str = "") -> None:
        """Append output; neighbouring pieces of one kind stay separate so that appending is O(1)."""
        if not (text or name) or isinstance(self.segments, tuple):
            return
        self.segments.append(Segment(kind, text, name))
        self.segment_chars += len(text) + len(name)
        self.revision += 1
        while self.segment_chars > TEXT_LIMIT_CHARS and len(self.segments) > 1:
            gone = self.segments.popleft()
            self.segment_chars -= gone.chars
            self.segments_dropped += gone.chars

    def is_own(self, start_ns: int, end_ns: int, ended: bool) -> bool:
        """Whether this machine caused the stall that is about to be closed, by the ``stall_ended`` event before it."""
        at = len(self.timeline.stalls)
        blame = self.blames[at] if at < len(self.blames) else None
        return blame is not None and blame.own

    def joined(self, kind: str) -> str:
        """All output kept of one kind."""
        return "".join(segment.text for segment in self.segments if segment.kind == kind)

    def add_raw(self, chunk: RawChunk) -> None:
        """Keep a raw chunk; past ``RAW_LIMIT_CHUNKS`` the oldest is dropped."""
        if isinstance(self.raw, tuple):
            return
        self.raw_dropped += len(self.raw) == RAW_LIMIT_CHUNKS
        self.raw.append(chunk)


WHOLE_LIMIT_CHARS = 8_000_000
"""Output and raw chunks that all ended runs together may hold (chars); past it the oldest runs are cut short."""
SHORT_CHARS, SHORT_CHUNKS = 2_000, 3
"""What stays of each attempt of a run that was cut short: the end of its output, and its last raw chunks, which
hold the finish reason and the usage."""


class Retention:
    """The ended runs that are not cut short, in the order they ended. A run is its list of attempts."""

    def __init__(self) -> None:
        self._whole: deque[tuple[list[AttemptView], int]] = deque()
        self._chars = 0

    def ended(self, attempts: list[AttemptView]) -> None:
        """Close the attempts of a run, then cut the oldest runs short until all fit into ``WHOLE_LIMIT_CHARS``."""
        chars = sum(_close(attempt) for attempt in attempts)
        self._whole.append((attempts, chars))
        self._chars += chars
        while self._chars > WHOLE_LIMIT_CHARS and len(self._whole) > 1:
            oldest, held = self._whole.popleft()
            self._chars -= held
            for attempt in oldest:
                if attempt.ending is not None:  # else the run was started again
                    _cut_short(attempt)

    def forget(self, attempts: list[AttemptView]) -> None:
        """Drop the reference to a run."""
        self._chars -= sum(held for other, held in self._whole if other is attempts)
        self._whole = deque((other, held) for other, held in self._whole if other is not attempts)


def _close(attempt: AttemptView) -> int:
    """Join the segments per stretch of one kind, or per tool call; returns the characters the attempt holds."""
    stretches: list[list[Segment]] = []
    for segment in attempt.segments:
        if not stretches or segment.name or segment.kind != stretches[-1][0].kind:
            stretches.append([])
        stretches[-1].append(segment)
    attempt.segments = tuple(stretch[0]._replace(text="".join(s.text for s in stretch)) for stretch in stretches)
    attempt.raw = tuple(attempt.raw)
    return attempt.segment_chars + sum(len(chunk.raw) for chunk in attempt.raw)


def _cut_short(attempt: AttemptView) -> None:
    kept, room = [], SHORT_CHARS
    for segment in reversed(attempt.segments):
        if room > 0:
            kept.append(segment._replace(text=segment.text[-room:]))
            room -= segment.chars
    chars = sum(segment.chars for segment in kept)
    attempt.segments_dropped += attempt.segment_chars - chars
    attempt.segment_chars = chars
    attempt.raw_dropped += max(0, len(attempt.raw) - SHORT_CHUNKS)
    attempt.segments, attempt.raw = tuple(reversed(kept)), tuple(attempt.raw)[-SHORT_CHUNKS:]
    attempt.timeline.thin()
