"""The lengths of one target's long silences and how each ended: the sample from which an open one is estimated.

All progress gaps of at least ``LEAST_NS`` are counted, per phase: how many of each length ended in which way. Lengths
are kept in classes that are at most 1/32 (3 %) wide, so that a race of any length needs a bounded memory (32 classes
for each doubling of the length) and leaves no silence out. A window of the latest ones of each kind would favour the
rare kind: it reached back further.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from kmon.stream.events import Ending
from kmon.stream.stall import StallPhase
from kmon.stream.timeline import S, Timeline

LEAST_NS = 1 * S
"""Shorter gaps are normal and not kept."""
_CLASSES_BITS = 5
"""Classes in each doubling of the length, as a power of two."""
_UNIT_NS = LEAST_NS >> _CLASSES_BITS
"""Width of the narrowest class: a whole second up to 64 s is always the beginning of one."""

Fate = Literal["ended", "never", "cut-short"]
"""``ended``: output came. ``never``: the stream broke first. ``cut-short``: kmon's timeout or the user ended the
wait, so the observation is censored."""
_FATE: dict[Ending, Fate] = {
    "done": "cut-short", "incomplete": "never", "failed": "never", "timed-out": "cut-short", "cancelled": "cut-short",
}  # fmt: skip


def length_class(length_ns: int, *, up: bool = False) -> int:
    """Where the class of a length begins, in ns; with ``up`` the first beginning that is not below the length."""
    width_ns = _UNIT_NS << max(0, (length_ns // _UNIT_NS).bit_length() - _CLASSES_BITS - 1)
    return (-(-length_ns // width_ns) if up else length_ns // width_ns) * width_ns


@dataclass(slots=True)
class SilenceCounts:
    """How many silences ended in which way, by the beginning of the class of their length in ns."""

    by_fate: dict[Fate, dict[int, int]] = field(default_factory=dict)

    def add(self, length_ns: int, fate: Fate) -> None:
        counts, at_ns = self.by_fate.setdefault(fate, {}), length_class(length_ns)
        counts[at_ns] = counts.get(at_ns, 0) + 1

    def reaching(self, length_ns: int, fate: Fate) -> Iterator[tuple[int, int]]:
        """Class and number of the silences with this fate that lasted ``length_ns``, to the precision of a class."""
        least_ns = length_class(length_ns, up=True)
        return ((at_ns, n) for at_ns, n in self.by_fate.get(fate, {}).items() if at_ns >= least_ns)


@dataclass(slots=True)
class GapHistory:
    """The long silences of one target, and the timelines of its open attempts."""

    by_phase: dict[StallPhase, SilenceCounts] = field(default_factory=dict)
    open: list[Timeline] = field(default_factory=list)

    def follow(self, timeline: Timeline) -> None:
        """Add the gaps of an attempt that begins, as they end."""
        timeline.on_gap = self.on_gap
        self.open.append(timeline)

    def on_gap(self, phase: StallPhase, length_ns: int) -> None:
        """Add a gap that an arrival ended."""
        self.add(phase, length_ns, "ended")

    def on_attempt_ended(self, timeline: Timeline, ending: Ending, t_ns: int) -> None:
        """Add the open gap of an attempt that ends at ``t_ns``. Call it before the timeline is closed."""
        gap_ns = timeline.open_gap_ns(t_ns)
        own = gap_ns is not None and timeline.is_own is not None and timeline.is_own(t_ns - gap_ns, t_ns, False)
        if gap_ns is not None and not own:
            self.add(timeline.stall_phase(), gap_ns, _FATE[ending])
        self.open = [other for other in self.open if other is not timeline]

    def add(self, phase: StallPhase, length_ns: int, fate: Fate) -> None:
        """Add a silence if it is long enough and in a phase that is estimated."""
        if length_ns >= LEAST_NS and phase != "after-last-delta":  # kmon itself ends the wait for the end
            self.by_phase.setdefault(phase, SilenceCounts()).add(length_ns, fate)
