"""The one place that says streaming, stalled, idle.

:func:`derive` looks at a run's view at a moment and returns the observed state, the claim (what an ordinary client
would show at this moment) and, when the two disagree for longer than the stall threshold, the contradiction in words.
Panes, status bar, headless lines and reports call it; none of them decides for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from kmon.probe.events import StallPhase, State
from kmon.probe.timeline import S
from kmon.probe.view import AttemptView, RunView

SYMBOLS: dict[State, str] = {
    "queued": "·", "connecting": "◌", "waiting": "○", "streaming": "●", "stalled": "▲", "finishing": "◐",
    "done": "✔", "incomplete": "◑", "failed": "✖", "timed-out": "⧗", "cancelled": "⊘",
}  # fmt: skip
ASCII_SYMBOLS: dict[State, str] = {
    "queued": ".", "connecting": "~", "waiting": "o", "streaming": "*", "stalled": "!", "finishing": "%",
    "done": "+", "incomplete": "?", "failed": "x", "timed-out": "T", "cancelled": "-",
}  # fmt: skip
ENDED: frozenset[State] = frozenset({"done", "incomplete", "failed", "timed-out", "cancelled"})
BAD: frozenset[State] = frozenset({"incomplete", "failed", "timed-out"})


@dataclass(frozen=True, slots=True)
class Observation:
    """A run at one moment. Durations are ns; None where there is nothing to measure."""

    state: State
    claim: str
    open_gap_ns: int | None = None
    phase: StallPhase | None = None
    alive_ns: int | None = None
    """Time since the last byte of any kind."""
    keepalive_ns: int | None = None
    contradiction: str = ""


def derive(run: RunView, now_ns: int) -> Observation:
    """Observe a run at ``now_ns``."""
    attempt = run.main
    if attempt is None:
        return Observation("queued", "idle")
    return derive_attempt(attempt, now_ns)


def derive_attempt(attempt: AttemptView, now_ns: int) -> Observation:
    """Observe one attempt at ``now_ns``."""
    timeline = attempt.timeline
    state = _state(attempt, now_ns)
    claim = _claim(attempt)
    if state in ENDED:
        return Observation(state, claim)
    gap_ns = timeline.open_gap_ns(now_ns)
    return Observation(
        state,
        claim,
        open_gap_ns=gap_ns,
        phase=timeline.stall_phase(),
        alive_ns=timeline.byte.open_ns(now_ns),
        keepalive_ns=timeline.life.open_ns(now_ns),
        contradiction=_contradiction(attempt, state, claim, gap_ns, now_ns),
    )


def _state(attempt: AttemptView, now_ns: int) -> State:
    timeline = attempt.timeline
    if attempt.ending is not None:
        return attempt.ending
    gap_ns = timeline.open_gap_ns(now_ns)
    if timeline.t_finish is not None or timeline.t_done is not None:
        late = gap_ns is not None and gap_ns >= timeline.threshold_ns()
        return "stalled" if late else "finishing"
    if gap_ns is not None and gap_ns >= timeline.threshold_ns():
        return "stalled"
    if timeline.progress.last_ns is not None:
        return "streaming"
    return "waiting" if timeline.t_request_sent is not None else "connecting"


def _claim(attempt: AttemptView) -> str:
    """What a client shows: the watched one itself, or an ordinary HTTP client, which is open until its iterator ends
    and ends quietly on any clean close."""
    if attempt.claim is not None:
        return attempt.claim
    if attempt.ending is not None:
        return {"failed": "error", "timed-out": "error"}.get(attempt.ending, "idle")
    return "connecting" if attempt.timeline.t_headers is None else "streaming"


def _contradiction(attempt: AttemptView, state: State, claim: str, gap_ns: int | None, now_ns: int) -> str:
    if state != "stalled" or gap_ns is None:
        return ""
    timeline = attempt.timeline
    heard_ns = timeline.byte.open_ns(now_ns)
    if timeline.t_headers is None:
        why = "no response headers"
    elif heard_ns is None:
        why = "headers, then nothing"
    elif heard_ns < min(gap_ns, timeline.threshold_ns()):
        keeps = timeline.life.last_ns is not None and timeline.life.last_ns >= (timeline.chunk.last_ns or 0)
        why = "keep-alives only" if keeps else "empty chunks only"
    else:
        why = "nothing at all"
    return f"claims {claim}, silent {gap_ns / S:.1f} s ({why})"
