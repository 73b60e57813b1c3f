"""Derives the state of a run: the only place that decides between streaming, stalled and idle.

:func:`derive` returns the observed state of a run at a moment, the claim (what an ordinary client, or the watched chat
program, shows then) and, when the two disagree for longer than the stall threshold, the contradiction in words. Panes,
status bar, headless lines and reports all call it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kmon.stream.attempt_view import AttemptView
from kmon.stream.claim import Claim
from kmon.stream.events import RetryScheduled, StallThreshold
from kmon.stream.stall import StallPhase
from kmon.stream.timeline import S
from kmon.stream.view import RunView

State = Literal[
    "queued", "connecting", "waiting", "streaming", "stalled", "finishing",
    "done", "incomplete", "failed", "timed-out", "cancelled",
]  # fmt: skip
SYMBOLS: dict[State, str] = {
    "queued": "·", "connecting": "◌", "waiting": "○", "streaming": "●", "stalled": "▲", "finishing": "◐",
    "done": "✔", "incomplete": "◑", "failed": "✖", "timed-out": "⧗", "cancelled": "⊘",
}  # fmt: skip
ASCII_SYMBOLS: dict[State, str] = {
    "queued": ".", "connecting": "~", "waiting": "o", "streaming": "*", "stalled": "!", "finishing": "%",
    "done": "+", "incomplete": "?", "failed": "x", "timed-out": "T", "cancelled": "-",
}  # fmt: skip
ENDED: frozenset[State] = frozenset({"done", "incomplete", "failed", "timed-out", "cancelled"})


@dataclass(frozen=True, slots=True)
class ObservedState:
    """The state of a run or attempt at one moment. Durations are ns; None where there is nothing to measure."""

    state: State
    claim: str
    open_gap_ns: int | None = None
    """On the watched clock."""
    phase: StallPhase | None = None
    keepalive_ns: int | None = None
    hidden_ns: int | None = None
    """How long the server has been at work that sends no output; None if it is not, or if its silence is a stall."""
    contradiction: str = ""
    """Claim against observation in words; it blames no provider for a silence that this machine caused."""
    conclusion: str = ""
    """The name of the contradiction, if it has one: ``false idle (queued follow-up)``."""


def derive(run: RunView, now_ns: int) -> ObservedState:
    """Observe a run at ``now_ns``."""
    attempt = run.main
    if attempt is None:
        return ObservedState("queued", "idle")
    if run.scheduled is not None:  # client libraries retry silently
        return ObservedState("queued", "connecting")
    if run.ended is not None and run.ended.state == "cancelled":  # perhaps while it waited for a retry
        return ObservedState("cancelled", "idle")
    return derive_attempt(attempt, now_ns, diagnosis=run.diagnosis.name if run.diagnosis else "")


def learned_sentence(learned: StallThreshold) -> str:
    """``stall after 1.8 s mid-text (learned, 412 gaps)``."""
    return f"stall after {learned.threshold_ms / 1000:.1f} s {learned.phase} (learned, {learned.gaps} gaps)"


def retry_left_s(scheduled: RetryScheduled, now_ns: int) -> float:
    """Seconds until a scheduled attempt begins."""
    return max(0.0, (scheduled.t_ns - now_ns) / S + scheduled.delay_ms / 1000)


def retry_sentence(scheduled: RetryScheduled, now_ns: int) -> str:
    """The scheduled attempt in words: ``retry 2 of 3 in 4.2 s (HTTP 429, Retry-After)``."""
    what = "retry" if scheduled.role == "retry" else f"falls back to {scheduled.target},"
    when = f" in {retry_left_s(scheduled, now_ns):.1f} s" if scheduled.delay_ms else ""
    return f"{what} {scheduled.number} of {scheduled.of}{when} ({scheduled.reason})"


def derive_attempt(attempt: AttemptView, now_ns: int, *, diagnosis: str = "") -> ObservedState:
    """Observe one attempt at ``now_ns``. ``diagnosis`` is the name of its diagnosis, if there is one."""
    timeline = attempt.timeline
    state = _state(attempt, now_ns)
    claim = _claim(attempt, now_ns)
    gap_ns = None if state in ENDED else timeline.open_gap_ns(now_ns)
    if attempt.claim is not None:
        facts, conclusion = contradiction(attempt, attempt.claim, state, now_ns, diagnosis)
    else:
        facts, conclusion = _contradiction(attempt, state, claim, gap_ns, now_ns), ""
    if state in ENDED:
        return ObservedState(state, claim, contradiction=facts, conclusion=conclusion)
    return ObservedState(
        state,
        claim,
        open_gap_ns=timeline.silence_ns(now_ns),
        phase=timeline.stall_phase(),
        keepalive_ns=timeline.life.open_ns(now_ns),
        hidden_ns=max(0, now_ns - timeline.hidden.since_ns) if timeline.hidden.active and state != "stalled" else None,
        contradiction=facts,
        conclusion=conclusion,
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
    if timeline.watched_clock.last_ns is not None:
        return "streaming"
    return "waiting" if timeline.t_request_sent is not None else "connecting"


def _claim(attempt: AttemptView, now_ns: int) -> str:
    """What the watched program shows, else what an ordinary HTTP client would: it streams until its iterator ends, and
    takes any clean close for the end."""
    if attempt.claim is not None:
        return shown_claim(attempt, now_ns)
    if attempt.ending is not None:
        return {"failed": "error", "timed-out": "error"}.get(attempt.ending, "idle")
    return "connecting" if attempt.timeline.t_headers is None else "streaming"


def _contradiction(attempt: AttemptView, state: State, claim: str, gap_ns: int | None, now_ns: int) -> str:
    if state != "stalled" or gap_ns is None:
        return ""
    if attempt.blame is not None and (party := attempt.blame.nearer):
        return f"silent {gap_ns / S:.1f} s, but that is {party}: {attempt.blame.why}"
    timeline = attempt.timeline
    since_byte_ns = timeline.byte.open_ns(now_ns)
    if timeline.t_headers is None:
        why = "no response headers"
    elif since_byte_ns is None:
        why = "headers, then nothing"
    elif since_byte_ns < min(gap_ns, timeline.threshold_ns()):
        keeps = timeline.life.last_ns is not None and timeline.life.last_ns >= (timeline.chunk.last_ns or 0)
        why = "keep-alives only" if keeps else "empty chunks only"
    else:
        why = "nothing at all"
    return f"claims {claim}, silent {gap_ns / S:.1f} s ({why})"


FALSE_CLAIMS = {"idle": "false idle", "error": "false error", "aborted": "false end"}
"""Name of the contradiction when the program shows this activity while its run is still open."""


def shown_claim(attempt: AttemptView, now_ns: int) -> str:
    """The watched program's line as it shows it, with running seconds while busy; "" without a watched program."""
    return "" if attempt.claim is None else attempt.claim.line(max(0, now_ns - attempt.claim_ns) // S)


def contradiction(attempt: AttemptView, claim: Claim, state: State, now_ns: int, diagnosis: str) -> tuple[str, str]:
    """The contradiction between the program's line and its run, and its name; both empty until it lasts ``stall_ns``.

    A run is open while its attempt has not ended. The name carries ``diagnosis`` in brackets, if there is one.
    """
    timeline = attempt.timeline
    if now_ns - attempt.claim_ns < timeline.stall_ns:
        return "", ""
    shown = shown_claim(attempt, now_ns)
    run = f"run {attempt.gateway_run}" if attempt.gateway_run else "its run"
    if attempt.ending is not None:
        ended_ns = now_ns - (timeline.t_closed or now_ns)
        if not claim.busy or ended_ns < timeline.stall_ns:
            return "", ""
        return f"TUI says {shown}; {run} ended {ended_ns / S:.0f} s ago", f"false busy{_named(diagnosis)}"
    if claim.busy and state != "stalled":
        return "", ""
    opened_ns = timeline.t_start if attempt.opened_ns is None else attempt.opened_ns
    last_frame_ns = timeline.chunk.last_ns if timeline.chunk.last_ns is not None else opened_ns
    name = "silent" if claim.busy else FALSE_CLAIMS.get(claim.activity, f"false {claim.activity}")
    open_s, silent_s = (now_ns - opened_ns) / S, max(0, now_ns - last_frame_ns) / S
    facts = f"TUI says {shown}; {run} open {open_s:.0f} s, last frame {silent_s:.0f} s ago"
    return facts, f"{name}{_named(diagnosis)}"


def _named(diagnosis: str) -> str:
    return f" ({diagnosis.replace('-', ' ').replace('queued follow up', 'queued follow-up')})" if diagnosis else ""
