"""The claim of a watched chat program beside what is observed of its run, and their contradiction in words."""

from __future__ import annotations

from kmon.stream.attempt_view import AttemptView
from kmon.stream.claim import Claim
from kmon.stream.events import State
from kmon.stream.timeline import S

BREAKS = {"idle": "false idle", "error": "false error", "aborted": "false end"}
"""What a line that is not busy is called while its run goes on."""


def shown_claim(attempt: AttemptView, now_ns: int) -> str:
    """The line as it stands on the screen, a busy one with its seconds; "" where no program is watched."""
    return "" if attempt.claim is None else attempt.claim.line(max(0, now_ns - attempt.claim_ns) // S)


def contradiction(attempt: AttemptView, claim: Claim, state: State, now_ns: int, diagnosis: str) -> tuple[str, str]:
    """What the program says and what is so, and what to call that; nothing until it has lasted a stall's length.

    A run counts as open while its attempt has not ended. ``diagnosis`` is named in brackets, where there is one.
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
    heard_ns = timeline.chunk.last_ns if timeline.chunk.last_ns is not None else opened_ns
    called = "silent" if claim.busy else BREAKS.get(claim.activity, f"false {claim.activity}")
    open_s, silent_s = (now_ns - opened_ns) / S, max(0, now_ns - heard_ns) / S
    facts = f"TUI says {shown}; {run} open {open_s:.0f} s, last frame {silent_s:.0f} s ago"
    return facts, f"{called}{_named(diagnosis)}"


def _named(diagnosis: str) -> str:
    return f" ({diagnosis.replace('-', ' ').replace('queued follow up', 'queued follow-up')})" if diagnosis else ""
