"""The nudge: a follow-up request in the same conversation while the first answer is open, and its result."""

from __future__ import annotations

from collections.abc import Sequence

from kmon.model import Message
from kmon.stream.events import Ending
from kmon.stream.timeline import S, Timeline

FOLLOW_UP = "are you still there?"


def follow_up(messages: Sequence[Message], answered_so_far: str) -> tuple[Message, ...]:
    """The messages of the nudge: the conversation, the partial answer, and the follow-up."""
    partial = (Message(role="assistant", content=answered_so_far),) if answered_so_far else ()
    return (*messages, *partial, Message(role="user", content=FOLLOW_UP))


def nudge_result(
    first: Timeline,
    nudge: Timeline,
    nudge_ending: Ending | None,
    *,
    t_nudge: int,
    gap_before_ns: int,
    now_ns: int,
) -> str:
    """The result of the nudge so far as a sentence; empty while there is none.

    ``gap_before_ns`` is the silence of the first answer when the nudge was sent, in ns.
    """
    resumed_ns = first.progress.last_ns if (first.progress.last_ns or 0) > t_nudge else None
    answered = nudge.progress.last_ns is not None
    if resumed_ns is not None and gap_before_ns < first.threshold_ns():
        return "first was still streaming; nudge answered" if answered else "first was still streaming"
    if resumed_ns is not None:
        after_ns = _first_progress_after(first, t_nudge) - t_nudge
        return f"first resumed {after_ns / S:.1f} s after the nudge"
    if first.t_closed is not None or first.t_done is not None:
        return "first ended after the nudge" + (", nudge answered" if answered else "")
    if answered:
        return "nudge answered, first still silent"
    if nudge_ending is not None and nudge_ending != "done":
        return f"nudge {nudge_ending}, first still silent"
    if now_ns - t_nudge >= nudge.threshold_ns() or nudge_ending == "done":
        return "both silent"
    return ""


def _first_progress_after(timeline: Timeline, t_ns: int) -> int:
    after = timeline.progress.last_ns or t_ns
    for stamp_ns in reversed(timeline.arrivals_ns):
        if stamp_ns <= t_ns:
            break
        after = stamp_ns
    return after
