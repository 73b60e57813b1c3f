"""Events as plain lines for logs, pipes, CI and screen readers: no control codes, states in words."""

from __future__ import annotations

from kmon.dialects.http_answer import server_wait
from kmon.dialects.unread_dialects import unread_words
from kmon.format import plural
from kmon.retry.policy import policy_words
from kmon.stats.resumption import resumption_of_gap
from kmon.stream import events as ev
from kmon.stream.state import learned_sentence, retry_sentence
from kmon.stream.target_events import Alert, TargetHealth
from kmon.stream.timeline import S
from kmon.stream.view import RaceView, RunView


def line(event: ev.Event, race: RaceView) -> str | None:
    """The line for ``event``, which ``race`` already includes; None for an event that is not printed."""
    match event:
        case ev.RaceStarted():
            count = plural(event.count, "round")
            simulated = ", simulated" if event.simulated else ""
            learned = " until learned" if event.stall_learned else ""
            policy = f"; {policy_words(event.policy)}" if event.policy else ""
            return (
                f"race: {', '.join(event.targets)}; scenario {event.scenario}, {count}, "
                f"stall threshold {event.stall_ms / 1000:g} s{learned}{simulated}{policy}"
            )
        case ev.Notice():
            return f"{event.level}: {event.message}"
        case Alert():
            return f"{_clock(event, race)} ALERT {event.sentence}"
        case (
            TargetHealth()
            | ev.RaceEnded()
            | ev.EngineHealth()
            | ev.RunQueued()
            | ev.PhaseReached()
            | ev.BytesArrived()
            | ev.RunForgotten()
        ):
            return None
        case _:
            run = race.runs.get(event.run)
            words = _run_words(event, run, race) if run is not None else None
            return None if run is None or words is None else f"{_clock(event, race)} {_who(run, race)}  {words}"


def _run_words(event: ev.Event, run: RunView, race: RaceView) -> str | None:
    match event:
        case ev.AttemptStarted():
            via = f" through proxy {event.proxy}" if event.proxy else ""
            by = f" by {run.note}" if run.note else ""
            return _started(event) + by + via
        case ev.HeadersReceived() if event.status not in (101, 200):
            return f"answered HTTP {event.status}"
        case ev.DeltaArrived():
            return _first_progress(event, run)
        case ev.StallStarted():
            return _stalled(event, run, race)
        case ev.Blamed():
            return f"still silent; {event.blame.brief}; {event.blame.evidence}"
        case ev.Unread():
            words = unread_words(event.dialect)
            return f"{words}: its bytes are watched, its transport is judged" if event.stream else None
        case ev.WireSilence():
            whose = f" ({event.blame.brief})" if event.blame is not None else ""
            after = "over" if event.over else "and counting"
            return f"silent on the wire for {event.gap_ms / 1000:.1f} s {after}{whose}"
        case ev.StallEnded():
            went_on = "went on" if event.ended else "ended"
            whose = f"; {event.blame.brief}" if event.blame is not None and event.blame.nearer else ""
            return f"{went_on} after {event.gap_ms / 1000:.1f} s of silence ({event.phase}{whose})"
        case ev.NudgeResult():
            return f"nudge: {event.sentence}"
        case ev.ClaimChanged():
            return f"the chat program shows: {event.claim}"
        case ev.Diagnosed():
            return f"{event.name}: {event.sentence}" if event.name else "it hangs no more"
        case ev.RetryScheduled():
            return retry_sentence(event, event.t_ns)
        case ev.RunEnded():
            why = event.error.message if event.error is not None else event.signature or ""
            chunks = f"{plural(event.chunks, 'chunk')} in {event.duration_ms / 1000:.1f} s"
            by = f", {fallen_back(event)}" if event.fallback_target else ""
            ending = event.state.upper() if event.state != "done" else "done"
            unread = f", {unread_words(event.unread_dialect)}" if event.unread else ""
            wait = server_wait(event.request_ids)
            return f"{ending}{by}{unread}, {chunks}" + (f": {why}" if why else "") + (f"; {wait}" if wait else "")
    return None


def fallen_back(ended: ev.RunEnded) -> str:
    """Which fallback target answered, or was the last one that failed."""
    return f"{'answered by' if ended.state == 'done' else 'last at'} {ended.fallback_target}"


def _started(event: ev.AttemptStarted) -> str:
    at = f", at {event.target}" if event.target else ""
    match event.role:
        case "first":
            return "started"
        case "retry" | "fallback":
            return f"attempt {event.attempt} started{at}"
        case "turn":
            return f"tool results sent{at}, request {event.turn} of the conversation started"
        case "nudge":
            return f"nudged{at}"


def _stalled(event: ev.StallStarted, run: RunView, race: RaceView) -> str:
    whose = f" ({event.blame.brief})" if event.blame is not None else ""
    words = f"STALLED {event.phase}, silent for {event.gap_ms / 1000:.1f} s and counting{whose}"
    attempt = run.attempt(event.attempt)
    if attempt is not None and (learned := attempt.timeline.learned.get(event.phase)):
        words += f"; {learned_sentence(learned)}"
    expected = resumption_of_gap(race, run, event.t_ns)
    return words if expected is None else f"{words}; {expected.words}"


def _first_progress(event: ev.DeltaArrived, run: RunView) -> str | None:
    attempt = run.attempt(event.attempt) if any(event.output) else None
    if attempt is None or attempt.timeline.progress.ticks != 1 or attempt.timeline.progress.last_ns != event.t_ns:
        return None
    ttft_ns = attempt.timeline.ttft_ns()
    return None if ttft_ns is None else f"first {attempt.timeline.last_kind} after {ttft_ns / S:.2f} s"


def _clock(event: ev.Event, race: RaceView) -> str:
    started_ns = race.started.t_ns if race.started else event.t_ns
    return f"{(event.t_ns - started_ns) / S:7.2f} s"


def _who(run: RunView, race: RaceView) -> str:
    width = max(len(target) for target, _ in race.arms)
    scenarios = {scenario for _, scenario in race.arms}
    scenario = f"  {run.scenario.ljust(max(map(len, scenarios)))}" if len(scenarios) > 1 else ""
    return f"{run.run}  {run.target.ljust(width)}{scenario}"
