"""The state of a run in words, for a pane's border, the status bar and the totals."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

from kmon.dialects.unread_dialects import unread_words
from kmon.findings.signature import describe
from kmon.format import rate, seconds
from kmon.stats.resumption import resumption_of_gap
from kmon.stream.attempt_view import AttemptView
from kmon.stream.stall import StallPhase
from kmon.stream.state import ASCII_SYMBOLS, ENDED, SYMBOLS, ObservedState, State, retry_left_s, retry_sentence
from kmon.stream.timeline import S, Timeline
from kmon.stream.view import RaceView, RunView
from kmon.tui.spans import one_line

RATE_WINDOW_NS = 3 * S

MEANINGS: dict[State, str] = {
    "queued": "waits for its turn, or for another attempt",
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


HIDDEN_WORDS: dict[StallPhase, str] = {"mid-hidden-reasoning": "thinking, hidden", "mid-server-tool": "server tool"}
"""What a server does that sends no output meanwhile, by the phase."""


def symbol(state: State, *, ascii: bool) -> str:
    return (ASCII_SYMBOLS if ascii else SYMBOLS)[state]


def failure(attempt: AttemptView) -> str:
    """What ended an attempt badly, each fact once: its name, the provider's own words, the evidence."""
    error, evidence = attempt.error, attempt.evidence
    said = error.message if error is not None and error.message not in evidence else ""
    if error is not None and error.kind == "http":  # its message and its evidence both tell the status
        evidence = _facts(attempt)
    sentence = one_line("; ".join(part for part in (said, evidence) if part))
    return ": ".join(part for part in (attempt.signature, sentence) if part)


def _facts(attempt: AttemptView) -> str:
    """The figures of an ended attempt, and who caused its longest silence if it had one."""
    timeline = attempt.timeline
    figures = describe(timeline, timeline.t_closed or timeline.t_start)
    return figures if attempt.blame is None else f"{figures}; in its longest silence: {attempt.blame.brief}"


def hanging(run: RunView) -> str:
    """On which side a gateway's run hangs, or did while it was open; empty where nothing did or nothing can tell."""
    if run.ended is not None:
        return one_line(f"it hung: {run.ended.diagnosis}") if run.ended.diagnosis else ""
    return one_line(f"{run.diagnosis.name}: {run.diagnosis.sentence}") if run.diagnosis is not None else ""


def called_off(run: RunView) -> str:
    """That a run was cancelled while it waited for another attempt; empty for any other."""
    ended, last = run.ended, run.main
    if ended is None or last is None or ended.state != "cancelled" or last.ending in (None, "cancelled"):
        return ""
    return one_line(ended.error.message) if ended.error is not None else ""


def attempt_name(run: RunView, attempt: AttemptView) -> str:
    """What an attempt is called beside its siblings: ``attempt 2``, ``turn 2 · tools run``, ``nudge``, ``at groq``."""
    if attempt.role == "nudge":
        return "nudge"
    tries, turn = 0, 1
    for other in run.attempts:
        if other.role in ("first", "retry", "fallback"):
            tries, turn = tries + 1, other.turn
        elif other.role == "turn":
            turn += 1
        if other is attempt:
            break
    parts = [f"attempt {tries}"] if tries > 1 or turn == 1 else []
    if turn > 1:
        parts.append(f"turn {turn} · tools run")
    if attempt.target:
        parts.append(f"at {one_line(attempt.target)}")
    return ", ".join(parts)


def figure(run: RunView, seen: ObservedState, now_ns: int) -> str:
    """The number beside the state word; empty when there is none."""
    attempt = run.main
    if attempt is None or run.scheduled is not None:
        return ""
    timeline = attempt.timeline
    if seen.hidden_ns is not None:
        return seconds(seen.hidden_ns)
    match seen.state:
        case "streaming":
            arriving = rate(chunk_rate(timeline, now_ns))
            return arriving or f"gap {seconds(seen.open_gap_ns or 0)}"
        case "stalled":
            return seconds(seen.open_gap_ns or 0)
        case "connecting" | "waiting" | "finishing":
            return seconds(seen.open_gap_ns or timeline.duration_ns(now_ns))
        case "failed" if attempt.error is not None and attempt.error.status:
            return str(attempt.error.status)
        case _:
            return seconds(timeline.duration_ns(now_ns))


def chunk_rate(timeline: Timeline, now_ns: int) -> float:
    """Progress chunks per second over the last three seconds (or since the first chunk, if that is nearer)."""
    stamps = timeline.arrivals_ns
    if not stamps:
        return 0.0
    since_ns = max(now_ns - RATE_WINDOW_NS, stamps[0])
    recent = len(stamps) - bisect_left(stamps, since_ns)
    return recent / (max(now_ns - since_ns, S) / S)


def state_word(state: State) -> str:
    """The state's word as shown; a stall in capitals."""
    return "STALLED" if state == "stalled" else state


def _doing(seen: ObservedState) -> str:
    """The state's word, or what the server works on without output."""
    hidden = HIDDEN_WORDS.get(seen.phase) if seen.hidden_ns is not None and seen.phase is not None else None
    return hidden or state_word(seen.state)


def standing(run: RunView, seen: ObservedState, now_ns: int, *, ascii: bool, lost: bool, brief: bool = False) -> str:
    """Symbol, state and figure of a run; of one that a ``lost`` engine left open, that it is measured no more."""
    sign = symbol(seen.state, ascii=ascii)
    if lost and seen.state not in ENDED:
        return f"{sign} engine gone" if brief else f"{sign} {seen.state}, engine gone"
    if run.scheduled is not None:
        left_s = retry_left_s(run.scheduled, now_ns)
        return f"{sign} again in {left_s:.1f} s" if run.scheduled.delay_ms else f"{sign} falls back"
    number = "" if brief else figure(run, seen, now_ns)
    return " ".join(part for part in (sign, _doing(seen), number) if part)


class StatusText(NamedTuple):
    """What the status bar says. ``end`` follows the text; where there is no room, the text is cut before the end is."""

    text: str
    alarm: bool = False
    end: str = ""

    @property
    def whole(self) -> str:
        return self.text + self.end


def status_of(run: RunView, seen: ObservedState, now_ns: int, *, lost: bool = False, expected: str = "") -> StatusText:
    """Claim against observation for one run, and what is ``expected`` of its silence."""
    if lost and seen.state not in ENDED:
        return StatusText(f"{run.target}: {unmeasured(seen)}")
    said = situation(run, seen, now_ns)
    then = f"; {expected}" if expected else ""
    text, alarm = f"{run.target}: {said.text}", said.alarm and not lost
    return StatusText(text, alarm, said.end + then) if said.end else StatusText(text + then, alarm)


def expectation(race: RaceView, run: RunView, now_ns: int) -> str:
    """``11 of 23 silences this long ended (48 %, 27-69 %)``; empty while too few were, or no long gap is open."""
    found = resumption_of_gap(race, run, now_ns)
    return "" if found is None else found.words


def unmeasured(seen: ObservedState) -> str:
    """What can be said of an open run when the engine is gone: nothing about its provider."""
    return f"was {seen.state} when the engine was lost, not measured since"


def situation(run: RunView, seen: ObservedState, now_ns: int) -> StatusText:
    """Claim against observation for one run, without its name; an alarm where they contradict each other."""
    if seen.contradiction:
        return StatusText(seen.contradiction, True, f" -> {seen.conclusion}" if seen.conclusion else "")
    return StatusText(_situation(run, seen, now_ns))


def _situation(run: RunView, seen: ObservedState, now_ns: int) -> str:
    attempt = run.main
    if attempt is None:
        return "queued"
    if run.scheduled is not None:
        return f"{one_line(retry_sentence(run.scheduled, now_ns))}, r makes it now"
    timeline = attempt.timeline
    gap = seconds(seen.open_gap_ns or 0)
    if seen.hidden_ns is not None:
        return f"{_doing(seen)}, {seconds(seen.hidden_ns)}; no output is due"
    match seen.state:
        case "streaming":
            what = unread_words(attempt.unread_dialect) if attempt.unread else "streaming"
            return f"{what}, last {_unit(attempt)} {gap} ago"
        case "waiting":
            return f"waiting for the first {_unit(attempt)}, {gap}"
        case "connecting":
            return f"connecting, {seconds(timeline.duration_ns(now_ns))}"
        case "finishing":
            return f"finished ({attempt.finish_reason or 'terminal event'}), stream still open"
        case "stalled":
            return f"silent {gap}"
        case "done":
            reason = f", {attempt.finish_reason}" if attempt.finish_reason else ""
            ended = f"done{reason}, {seconds(timeline.duration_ns(now_ns))} in all"
            return "; ".join(part for part in (ended, hanging(run)) if part)
        case _:
            if called := called_off(run):
                return called
            why = failure(attempt)
            return f"{seen.state}, {why}" if why else seen.state


def _unit(attempt: AttemptView) -> str:
    """What is waited for, by the clock that is watched."""
    return "token" if attempt.timeline.watched == "progress" else "byte"


def on_the_wire(attempt: AttemptView, seen: ObservedState) -> str:
    """That a stream is not read, and its silence on the wire where that is long; empty for any other."""
    gap_ns = seen.open_gap_ns or 0
    parts = [unread_words(attempt.unread_dialect)] if attempt.unread else []
    if attempt.timeline.watched == "byte" and gap_ns >= attempt.timeline.threshold_ns():
        parts.append(f"silent {seconds(gap_ns)} on the wire")
        parts += [attempt.blame.brief] if attempt.blame is not None else []
    return one_line("; ".join(parts))


_TOTALS: tuple[tuple[str, State, frozenset[State]], ...] = (
    ("queued", "queued", frozenset({"queued"})),
    ("waiting", "waiting", frozenset({"connecting", "waiting"})),
    ("streaming", "streaming", frozenset({"streaming", "finishing"})),
    ("stalled", "stalled", frozenset({"stalled"})),
    ("failed", "failed", frozenset({"failed", "timed-out", "incomplete"})),
    ("cancelled", "cancelled", frozenset({"cancelled"})),
    ("done", "done", frozenset({"done"})),
)


def totals(states: Mapping[State, int]) -> list[tuple[State, str, int]]:
    """How many runs there are of each kind: (state that stands for it, word, number), zeros left out."""
    found = [(stands, word, sum(states.get(s, 0) for s in group)) for word, stands, group in _TOTALS]
    return [total for total in found if total[2]]
