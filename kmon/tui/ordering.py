"""Which panes are shown and in what order: filter and sort as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kmon.probe.events import State
from kmon.probe.state import ENDED, Observation
from kmon.probe.view import RunView
from kmon.tui.words import state_word

SORTS = ("queued order", "worst first", "longest gap first")
NEWEST_FIRST = "newest first"
"""For a watch that never ends: what is still open stays in view, however much came after it."""

_SEVERITY: tuple[State, ...] = (
    "stalled", "failed", "timed-out", "incomplete", "waiting", "connecting", "streaming", "finishing", "queued",
    "cancelled", "done",
)  # fmt: skip


class Seen(NamedTuple):
    """A run together with its observation at one moment."""

    run: RunView
    observation: Observation


def matches(seen: Seen, query: str) -> bool:
    """True when every word of the query occurs in the run's state, target, model or scenario."""
    run = seen.run
    state = seen.observation.state
    haystack = (f"{state} {state_word(state)} {run.target} {run.label} {run.scenario} round {run.round}").casefold()
    return all(term in haystack for term in query.casefold().split())


def live(runs: Sequence[Seen], wanted_round: int) -> list[Seen]:
    """Of many rounds those that are worth a pane: the newest, the one wanted, and what is still open of the others."""
    newest = max((seen.run.round for seen in runs), default=1)
    return [seen for seen in runs if seen.run.round in (newest, wanted_round) or seen.observation.state not in ENDED]


def ordered(runs: Sequence[Seen], sort: str, now_ns: int) -> list[Seen]:
    """The runs in the order named by one of ``SORTS``, or ``NEWEST_FIRST``; equal ones stay in queued order."""
    if sort == "worst first":
        return sorted(runs, key=lambda s: (_SEVERITY.index(s.observation.state), -(s.observation.open_gap_ns or 0)))
    if sort == "longest gap first":
        return sorted(runs, key=lambda s: -_longest_ns(s.run, now_ns))
    if sort == NEWEST_FIRST:
        newest = list(reversed(runs))
        return sorted(newest, key=lambda s: s.observation.state in ENDED)
    return list(runs)


def _longest_ns(run: RunView, now_ns: int) -> int:
    return (run.main.timeline.max_gap_ns(now_ns) or 0) if run.main else 0
