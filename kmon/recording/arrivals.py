"""When the events of a recorded body arrived, from the times of the pieces that a recorder wrote down.

A mark ``(end, ms)`` says that the bytes before the offset ``end`` were there ``ms`` milliseconds after some moment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from kmon.recording.sniff import framing_of

Marks = Sequence[tuple[int, float]]
"""In order of their ends."""


def arrivals_ms(body: bytes, marks: Marks) -> tuple[float, ...]:
    """The arrival of each event of ``body``, relative to the first; empty if it is not known of each.

    One time for the whole body is that of a tool which had put it together, and tells nothing of its events.

    An event arrived with the piece that completed it. A clock that was set back gives no negative times.
    """
    framing = framing_of(body) if marks else None
    if framing is None or marks[0][0] >= len(body):
        return ()
    ends = [end for end, _ in marks]
    found: list[float] = []
    at = 0
    for event in framing.split(body):
        at += len(event)
        place = bisect_left(ends, at)
        if place == len(ends):
            return ()
        found.append(max(marks[place][1], found[-1] if found else marks[place][1]))
    return tuple(ms - found[0] for ms in found)


def within(marks: Marks, start: int, end: int) -> list[tuple[int, float]]:
    """The marks of ``[start, end)``, relative to ``start``."""
    place = bisect_left(marks, start + 1, key=lambda mark: mark[0])
    found: list[tuple[int, float]] = []
    for mark_end, ms in marks[place:]:
        found.append((min(mark_end, end) - start, ms))
        if mark_end >= end:
            break
    return found


def marked(pieces: Iterable[tuple[bytes, float | None]]) -> tuple[bytes, list[tuple[int, float]]]:
    """Pieces with their times (ms) as one body with marks. A piece without a time came with the one before it."""
    data, marks, at, last = [], list[tuple[int, float]](), 0, None
    for piece, ms in pieces:
        at += len(piece)
        last = last if ms is None else ms
        data.append(piece)
        if last is not None:
            marks.append((at, last))
    return b"".join(data), marks
