"""How much of what ended runs said is kept: everything while there is room, then the ends of the oldest.

A race may have ten thousand rounds, so what a run said cannot all be kept; how it went, its figures, always is.
"""

from __future__ import annotations

from collections import deque

from kmon.stream.attempt_view import AttemptView, Segment

WHOLE_LIMIT_CHARS = 8_000_000
"""What ended runs may hold whole, output and raw chunks of all of them together; past it the oldest are cut short."""
SHORT_CHARS, SHORT_CHUNKS = 2_000, 3
"""What stays of each attempt of a run that was cut short: the end of its output, and its last raw chunks, where the
finish reason and the usage are."""


class Keeping:
    """The runs that are kept whole, in the order they ended. A run is its list of attempts."""

    def __init__(self) -> None:
        self._whole: deque[tuple[list[AttemptView], int]] = deque()
        self._chars = 0

    def ended(self, attempts: list[AttemptView]) -> None:
        """Close the attempts of a run, and cut the oldest runs short for as long as all together hold too much."""
        chars = sum(_close(attempt) for attempt in attempts)
        self._whole.append((attempts, chars))
        self._chars += chars
        while self._chars > WHOLE_LIMIT_CHARS and len(self._whole) > 1:
            oldest, held = self._whole.popleft()
            self._chars -= held
            for attempt in oldest:
                if attempt.ending is not None:  # it may have been tried again since
                    _cut_short(attempt)

    def forget(self, attempts: list[AttemptView]) -> None:
        """Drop the reference to a run."""
        self._chars -= sum(held for other, held in self._whole if other is attempts)
        self._whole = deque((other, held) for other, held in self._whole if other is not attempts)


def _close(attempt: AttemptView) -> int:
    """Nothing is appended any more: a piece per stretch of one kind, or per tool call, will do. Returns the
    characters it holds."""
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
