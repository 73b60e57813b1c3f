"""A race in plain lines, as it happens: for logs, pipes, CI and screen readers. No control codes, words for states."""

from __future__ import annotations

from kmon.probe import events as ev
from kmon.probe.timeline import S
from kmon.probe.view import RaceView, RunView
from kmon.verdict.outlook import outlook


def line(event: ev.Event, race: RaceView) -> str | None:
    """What a person should read of ``event`` (already folded into ``race``), or None for what is too small to say."""
    match event:
        case ev.RaceStarted():
            count = f"{event.count} round{'' if event.count == 1 else 's'}"
            simulated = ", simulated" if event.simulated else ""
            learned = " until learned" if event.stall_learned else ""
            return (
                f"race: {', '.join(event.targets)}; scenario {event.scenario}, {count}, "
                f"stall threshold {event.stall_ms / 1000:g} s{learned}{simulated}"
            )
        case ev.Notice():
            return f"{event.level}: {event.message}"
        case ev.Alert():
            return f"{_clock(event, race)} ALERT {event.sentence}"
        case (
            ev.TargetHealth()
            | ev.RaceEnded()
            | ev.EngineHealth()
            | ev.RunQueued()
            | ev.PhaseReached()
            | ev.BytesArrived()
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
            return _started(event) + via
        case ev.HeadersReceived() if event.status != 200:
            return f"answered HTTP {event.status}"
        case ev.DeltaArrived():
            return _first_progress(event, run)
        case ev.StallStarted():
            return _stalled(event, run, race)
        case ev.StallEnded():
            went_on = "went on" if event.ended else "ended"
            return f"{went_on} after {event.gap_ms / 1000:.1f} s of silence ({event.phase})"
        case ev.NudgeResult():
            return f"nudge: {event.sentence}"
        case ev.RunEnded():
            why = event.error.message if event.error is not None else event.signature or ""
            plural = "" if event.chunks == 1 else "s"
            chunks = f"{event.chunks} chunk{plural} in {event.duration_ms / 1000:.1f} s"
            return f"{event.state.upper() if event.state != 'done' else 'done'}, {chunks}" + (f": {why}" if why else "")
    return None


def _started(event: ev.AttemptStarted) -> str:
    match event.role:
        case "first":
            return "started"
        case "retry":
            return f"attempt {event.attempt} started"
        case "turn":
            return f"tool results sent, request {event.attempt} of the conversation started"
        case "nudge":
            return "nudged"


def _stalled(event: ev.StallStarted, run: RunView, race: RaceView) -> str:
    said = f"STALLED {event.phase}, silent for {event.gap_ms / 1000:.1f} s and counting"
    attempt = run.attempt(event.attempt)
    if attempt is not None and (learned := attempt.timeline.learned.get(event.phase)):
        said += f"; {learned.words}"
    expected = outlook(race, run, event.t_ns)
    return said if expected is None else f"{said}; {expected.words}"


def _first_progress(event: ev.DeltaArrived, run: RunView) -> str | None:
    attempt = run.attempt(event.attempt) if event.kind in ("text", "reasoning", "tool") else None
    if attempt is None or attempt.timeline.progress.ticks != 1 or attempt.timeline.progress.last_ns != event.t_ns:
        return None
    ttft_ns = attempt.timeline.ttft_ns()
    return None if ttft_ns is None else f"first {event.kind} after {ttft_ns / S:.2f} s"


def _clock(event: ev.Event, race: RaceView) -> str:
    started_ns = race.started.t_ns if race.started else event.t_ns
    return f"{(event.t_ns - started_ns) / S:7.2f} s"


def _who(run: RunView, race: RaceView) -> str:
    width = max(len(other.target) for other in race.runs.values())
    several = len({other.scenario for other in race.runs.values()}) > 1
    scenario_width = max(len(other.scenario) for other in race.runs.values())
    scenario = f"  {run.scenario.ljust(scenario_width)}" if several else ""
    return f"{run.run}  {run.target.ljust(width)}{scenario}"
