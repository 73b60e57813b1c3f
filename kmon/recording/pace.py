"""The silences of a recorded answer, from the arrival times of its events. Only output ends a silence."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kmon.config.settings import UNLEARNED_STALL_S
from kmon.dialects.delta import Delta, output

REPEATED = 3
"""From so many stalls in one answer on, they are repeated."""
NEAR = 0.9
"""From this share of the threshold on, a silence is nearly a stall."""
NEAR_TIMES, NEAR_SHARE = 5, 0.5
"""So many of them, which are together so large a share of the answer's time, are no pace but repeated stalls."""


def nearly_stalled(gaps_ms: Sequence[float], span_ms: float, threshold_ms: float) -> list[float]:
    """The gaps of an answer that stood still for most of its time, each just under the threshold or over it, in ms.

    Empty if it did not. ``gaps_ms`` are between its outputs, ``span_ms`` is from the first to the last of them.
    """
    near = [gap for gap in gaps_ms if gap >= NEAR * threshold_ms]
    return near if len(near) >= NEAR_TIMES and sum(near) >= NEAR_SHARE * span_ms else []


class Gap(Struct, frozen=True):
    """A time without output between two pieces of output. ``at_ms`` is its beginning, from the first event on."""

    ms: float
    at_ms: float
    after_chunks: int
    """How many chunks with data came before it."""


class Pace:
    """Takes the deltas of an answer with their times (ms from the first event on)."""

    def __init__(self) -> None:
        self.longest: Gap | None = None
        self._stalls = 0
        self._near_ms: list[float] = []
        self._span_ms = 0.0
        self._chunks = 0
        self._last_ms: float | None = None
        self._last_chunks = 0
        self._begun_calls: set[int] = set()

    def add(self, delta: Delta, ms: float) -> None:
        self._chunks += delta.chunk
        held_back = self._is_first_of_arguments(delta)
        if not any(output(delta.text, delta.reasoning, delta.tools)):
            return
        if self._last_ms is not None:
            gap = Gap(ms - self._last_ms, self._last_ms, self._last_chunks)
            if self.longest is None or gap.ms > self.longest.ms:
                self.longest = gap
            self._stalls += gap.ms >= UNLEARNED_STALL_S * 1000 and not held_back
            if gap.ms >= NEAR * UNLEARNED_STALL_S * 1000 and not held_back:
                self._near_ms.append(gap.ms)
            self._span_ms += gap.ms
        self._last_ms, self._last_chunks = ms, self._chunks

    def _is_first_of_arguments(self, delta: Delta) -> bool:
        """Whether all output of ``delta`` is the first arguments of a call: some servers hold them until they are
        complete, which is no stall."""
        said = {fragment.index for fragment in delta.tools if fragment.arguments}
        first = bool(said) and not said & self._begun_calls and not (delta.text or delta.reasoning)
        self._begun_calls |= said
        return first

    @property
    def signature(self) -> str | None:
        """The name of the stalls that ended; None without one."""
        near = nearly_stalled(self._near_ms, self._span_ms, UNLEARNED_STALL_S * 1000)
        if self._stalls >= REPEATED or near:
            return "repeated-stalls"
        return "stall-resumed" if self._stalls else None
