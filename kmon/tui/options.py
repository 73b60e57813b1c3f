"""What the command line hands to the screen, and what the screen hands back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kmon.engine.alert_hooks import NO_HOOKS, AlertHooks
from kmon.engine.api import Action, EventSource
from kmon.engine.plan import RacePlan
from kmon.format import TextLine
from kmon.stats.trial import Trial
from kmon.stream.events import RunEnded
from kmon.stream.view import RaceView

NOTHING_YET = "starting: no run yet"


@dataclass(frozen=True, kw_only=True)
class ScreenOptions:
    """How to show one race.

    ``open_source`` is awaited when the race starts, and again whenever the user starts it anew. ``fps`` is frames
    per second, None chooses 10, or 5 above 16 panes. ``clock`` is CLOCK_MONOTONIC in ns, the clock of the stamps.
    ``origin`` says where the streams come from when it is no provider: ``simulated``, ``replayed``; by default what
    the plan says.

    ``board`` opens on the board, one cell per run, instead of the panes. ``judge`` is called once for every end of a
    run, as it is folded; the first sentence it returns is shown, and no further round is started. ``conclude`` says,
    when the race has ended, what it has shown; its lines stand below the board.
    """

    plan: RacePlan
    open_source: Callable[[], Awaitable[EventSource]]
    start_now: bool = True
    board: bool = False
    judge: Callable[[RunEnded], str | None] | None = None
    conclude: Callable[[RaceView], Sequence[TextLine]] | None = None
    origin: str = ""
    nothing_yet: str = NOTHING_YET
    """What the screen says while there is no run."""
    hint: str = ""
    """What to do first: a toast, and in the status bar until something is amiss there or a run was nudged."""
    plan_notes: Sequence[str] = ()
    """What the plan screen says of this plan besides, a sentence each."""
    earlier: Sequence[Trial] = ()
    """The runs of the test that is continued: the figures of the board include them, its cells do not."""
    impossible: Mapping[Action, str] = field(default_factory=dict)
    """Commands that cannot be executed here, each with the reason as a sentence."""
    round_word: str = "round"
    """What the number of a run counts."""
    sort: str = "queued order"
    """The order of the panes at first, a name in ``ordering.SORTS`` or ``NEWEST_FIRST``."""
    theme: str = "kmon-dark"
    user_theme_dirs: Sequence[Path] = ()
    fps: int | None = None
    bell: bool = False
    alarm: AlertHooks = NO_HOOKS
    """What an alert sets off besides a toast and the bell."""
    ascii: bool = False
    clock: Callable[[], int] = time.monotonic_ns
    key_notes: Mapping[str, str] = field(default_factory=dict)
    """By target name, where its key was found; never the key."""

    @property
    def shown_origin(self) -> str:
        return self.origin or ("simulated" if self.plan.simulated else "")


@dataclass(frozen=True)
class ScreenOutcome:
    """What the screen returns when it is closed, for the summary on stdout.

    ``interrupted`` is True when the user left before the race had ended; ``engine_error`` is the sentence for an
    engine that could not be started or was lost.
    """

    race: RaceView
    interrupted: bool
    engine_error: str | None
