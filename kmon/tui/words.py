"""A run's state in words: what stands in a pane's border, in the status bar and in the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kmon.probe.events import State
from kmon.probe.state import ASCII_SYMBOLS, SYMBOLS, Observation
from kmon.probe.view import RunView
from kmon.tui import figures
from kmon.tui.rows import one_line

MEANINGS: dict[State, str] = {
    "queued": "waits for its turn",
    "connecting": "DNS, TCP, TLS, sending the request",
    "waiting": "request sent, no token yet",
    "streaming": "tokens arrive",
    "stalled": "no token for longer than the threshold, right now",
    "finishing": "finish reason seen, stream still open",
    "done": "ended well, with a terminal event",
    "incomplete": "ended without saying so: cut off",
    "failed": "an error ended it",
    "timed-out": "ran into the time limit",
    "cancelled": "you cancelled it",
}


def symbol(state: State, *, ascii: bool) -> str:
    return (ASCII_SYMBOLS if ascii else SYMBOLS)[state]


def failure(run: RunView) -> str:
    """What ended the deciding attempt badly, as one sentence; empty when nothing did."""
    attempt = run.main
    if attempt is None:
        return ""
    parts: list[str] = []
    if attempt.signature:
        parts.append(f"{attempt.signature}:")
    if attempt.evidence:
        parts.append(attempt.evidence)
    error = attempt.error
    if error is not None and error.message not in attempt.evidence:
        status = f" {error.status}" if error.status else ""
        parts.append(f"{error.kind}{status}: {error.message}")
    return one_line(" ".join(parts))


def figure(run: RunView, seen: Observation, now_ns: int) -> str:
    """The one number that belongs beside the state word; empty when there is none."""
    attempt = run.main
    if attempt is None:
        return ""
    timeline = attempt.timeline
    match seen.state:
        case "streaming":
            return f"{figures.chunk_rate(timeline, now_ns):.0f}/s"
        case "stalled":
            return figures.seconds(seen.open_gap_ns or 0)
        case "connecting" | "waiting" | "finishing":
            return figures.seconds(seen.open_gap_ns or timeline.duration_ns(now_ns))
        case "failed" if attempt.error is not None and attempt.error.status:
            return str(attempt.error.status)
        case _:
            return figures.seconds(timeline.duration_ns(now_ns))


def state_word(state: State) -> str:
    """The word as shown: a stall shouts, the rest speaks."""
    return "STALLED" if state == "stalled" else state


def status_sentence(run: RunView, seen: Observation, now_ns: int) -> str:
    """Claim against observation for one run, as the status bar says it."""
    attempt = run.main
    who = run.target
    if seen.contradiction:
        return f"{who}: {seen.contradiction}"
    if attempt is None:
        return f"{who}: queued"
    timeline = attempt.timeline
    gap = figures.seconds(seen.open_gap_ns or 0)
    match seen.state:
        case "streaming":
            return f"{who}: streaming, last token {gap} ago"
        case "waiting":
            return f"{who}: waiting for the first token, {gap}"
        case "connecting":
            return f"{who}: connecting, {figures.seconds(timeline.duration_ns(now_ns))}"
        case "finishing":
            return f"{who}: finished ({attempt.finish_reason or 'terminal event'}), stream still open"
        case "stalled":
            return f"{who}: silent {gap}"
        case "done":
            reason = f", {attempt.finish_reason}" if attempt.finish_reason else ""
            return f"{who}: done{reason}, {figures.seconds(timeline.duration_ns(now_ns))} in all"
        case _:
            why = failure(run)
            return f"{who}: {seen.state}, {why}" if why else f"{who}: {seen.state}"


_TOTALS: tuple[tuple[str, State, frozenset[State]], ...] = (
    ("queued", "queued", frozenset({"queued"})),
    ("waiting", "waiting", frozenset({"connecting", "waiting"})),
    ("streaming", "streaming", frozenset({"streaming", "finishing"})),
    ("stalled", "stalled", frozenset({"stalled"})),
    ("failed", "failed", frozenset({"failed", "timed-out", "incomplete"})),
    ("cancelled", "cancelled", frozenset({"cancelled"})),
    ("done", "done", frozenset({"done"})),
)


def totals(states: Iterable[State]) -> list[tuple[State, str, int]]:
    """How many runs there are of each kind: (state that stands for it, word, number), zeros left out."""
    counted = Counter(states)
    found = [(stands, word, sum(counted[s] for s in group)) for word, stands, group in _TOTALS]
    return [total for total in found if total[2]]
