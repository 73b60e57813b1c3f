"""Which panes are shown and in what order: filter and sort.

Runs that have settled keep their place, found once as they settle; only those that are open are placed again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, overload

from kmon.stream.state import ENDED, ObservedState, State
from kmon.stream.view import RunView
from kmon.tui.status_text import state_word

RESORT_NS = 1_000_000_000
"""Panes are sorted again once a second, and when there are new ones: panes that move more often cannot be read."""

_SEVERITY: tuple[State, ...] = (
    "stalled", "failed", "timed-out", "incomplete", "waiting", "connecting", "streaming", "finishing", "queued",
    "cancelled", "done",
)  # fmt: skip


class Seen(NamedTuple):
    """A run together with its observation at one moment."""

    run: RunView
    observation: ObservedState


def matches(seen: Seen, query: str) -> bool:
    """True when every word of the query occurs in the run's state, target, model or scenario."""
    if not query:
        return True
    run = seen.run
    state = seen.observation.state
    haystack = (f"{state} {state_word(state)} {run.target} {run.label} {run.scenario} round {run.round}").casefold()
    return all(term in haystack for term in query.casefold().split())


def _longest_ns(run: RunView, now_ns: int) -> int:
    return (run.main.timeline.max_gap_ns(now_ns) or 0) if run.main else 0


Rank = Callable[[Seen, int], tuple[int, int]]
"""Two figures of a run at a moment, compared one after the other, less first. Equal runs stay as queued."""

SORTS: Mapping[str, Rank] = {
    "queued order": lambda seen, now_ns: (0, 0),
    "worst first": lambda seen, now_ns: (_SEVERITY.index(seen.observation.state), -(seen.observation.open_gap_ns or 0)),
    "longest gap first": lambda seen, now_ns: (-_longest_ns(seen.run, now_ns), 0),
}
"""The orders of the panes by name, as the sort key goes through them."""
NEWEST_FIRST: Mapping[str, Rank] = {
    "newest first": lambda seen, now_ns: (seen.observation.state in ENDED, -seen.run.place)
}
"""For a watch, which does not end: open runs stay at the top."""
_RANKS = {**SORTS, **NEWEST_FIRST}

SortKey = tuple[int, int, int, str]
"""What is compared, less first: the two figures of the sort, the place in the queue, and the run's id."""


def key(seen: Seen, sort: str, now_ns: int) -> SortKey:
    """Where a run belongs in the order of that name."""
    return (*_RANKS[sort](seen, now_ns), seen.run.place, seen.run.run)


class Order(Sequence[str]):
    """Ids of runs in order: ``kept`` ones are sorted already, ``placed`` ones are merged in. Valid for one frame."""

    def __init__(self, kept: Sequence[SortKey], placed: Iterable[SortKey]) -> None:
        self._kept = kept
        self._placed = sorted(placed)
        self._at = [bisect_left(kept, one) + n for n, one in enumerate(self._placed)]

    def __len__(self) -> int:
        return len(self._kept) + len(self._placed)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        before = bisect_left(self._at, index)
        if before < len(self._at) and self._at[before] == index:
            return self._placed[before][-1]
        return self._kept[index - before][-1]

    def position(self, one: SortKey) -> int | None:
        """Where the run with this key stands; None when it is not shown."""
        at = bisect_left(self._placed, one)
        if at < len(self._placed) and self._placed[at] == one:
            return self._at[at]
        at = bisect_left(self._kept, one)
        if at < len(self._kept) and self._kept[at] == one:
            return at + bisect_left(self._placed, one)
        return None


class Arrangement:
    """The order of one sort and one filter, kept up to date. Call :meth:`settle` once for each run that has settled."""

    def __init__(self, sort: str, query: str) -> None:
        self.sort, self.query = sort, query
        self._kept: list[SortKey] = []
        self._keys: dict[str, SortKey] = {}
        """Of every run that is shown."""
        self._settling: dict[str, Seen] = {}
        self._open: set[str] = set()
        self._placed_ns: int | None = None
        self.order = Order((), ())

    def settle(self, seen: Seen) -> None:
        """A run has ended; it gets its place when panes are next sorted."""
        self._settling[seen.run.run] = seen

    def reopen(self, run: RunView) -> None:
        """A run that had settled is open again."""
        self._settling.pop(run.run, None)
        before = self._keys.get(run.run)
        if before is not None and (at := bisect_left(self._kept, before)) < len(self._kept):
            del self._kept[at : at + (self._kept[at] == before)]

    def place(self, opened: Sequence[Seen], now_ns: int) -> Order:
        """The order with these runs that are open."""
        moving = {seen.run.run: seen for seen in opened}
        for name in self._open - moving.keys() - self._settling.keys():
            self._keys.pop(name, None)
        self._open = set(moving)
        due = self._placed_ns is None or now_ns - self._placed_ns >= RESORT_NS
        due = due or any(name not in self._keys for name in (*self._settling, *moving))
        if due:
            self._placed_ns = now_ns
            for name, seen in self._settling.items():
                self._keys.pop(name, None)
                if matches(seen, self.query):
                    self._keys[name] = one = key(seen, self.sort, now_ns)
                    insort(self._kept, one)
            self._settling.clear()
            self._keys |= {name: key(seen, self.sort, now_ns) for name, seen in moving.items()}
        shown = (seen for seen in (*self._settling.values(), *moving.values()) if matches(seen, self.query))
        self.order = Order(self._kept, [self._keys[seen.run.run] for seen in shown])
        return self.order

    def position(self, name: str) -> int | None:
        """Where a run stands in the order; None when it is not shown."""
        one = self._keys.get(name)
        return None if one is None else self.order.position(one)
