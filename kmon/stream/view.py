"""Folds events into the view of a race and its runs, from which screen, headless lines and reports read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from kmon.catalog.signatures import KMON_LATE
from kmon.dialects.delta import counted
from kmon.stream import events as ev
from kmon.stream.attempt_view import AttemptView, RawChunk, Retention
from kmon.stream.claim import Claim
from kmon.stream.gap_history import GapHistory
from kmon.stream.stall import Stall
from kmon.stream.target_events import Alert, TargetHealth
from kmon.stream.timeline import MS, Timeline


@dataclass(slots=True)
class RunView:
    """A pane: one scenario sent to one target, with all its attempts."""

    run: str
    target: str
    label: str
    scenario: str
    round: int
    dialect: str
    note: str = ""
    """The client that sent the request, if that is not kmon."""
    place: int = 0
    """How many runs of the race were queued before it."""
    attempts: list[AttemptView] = field(default_factory=list)
    nudge_sentence: str = ""
    scheduled: ev.RetryScheduled | None = None
    """The next attempt by the policy, until it starts."""
    diagnosis: ev.Diagnosed | None = None
    """Which side it hangs on, if several observation points show it."""
    ended: ev.RunEnded | None = None
    """How it ended, without its output, which the attempts hold."""

    @property
    def disturbed(self) -> bool:
        """Whether it has ended and this machine certainly caused its silences."""
        return self.ended is not None and self.ended.signature == KMON_LATE

    @property
    def settled(self) -> bool:
        """Whether it has ended and cannot change with time; only a new attempt can change it."""
        if self.ended is None or any(attempt.ending is None for attempt in self.attempts):
            return False
        claim = None if self.main is None else self.main.claim
        return claim is None or not claim.busy

    @property
    def main(self) -> AttemptView | None:
        """The attempt that decides the run: the latest that is not a nudge."""
        return next((a for a in reversed(self.attempts) if a.role != "nudge"), None)

    @property
    def nudge(self) -> AttemptView | None:
        """The latest nudge sent after the main attempt began."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.role == "nudge" else None

    @property
    def asked(self) -> str:
        """The target whose answer decides the run: its own, or the one it fell back to."""
        return self.target if self.main is None else self.main.target or self.target

    def attempt(self, number: int) -> AttemptView | None:
        return next((a for a in reversed(self.attempts) if a.number == number), None)


@dataclass(slots=True)
class RaceView:
    """All runs of a race, in the order they were queued."""

    runs: dict[str, RunView] = field(default_factory=dict)
    started: ev.RaceStarted | None = None
    ended: ev.RaceEnded | None = None
    health: ev.EngineHealth | None = None
    notices: list[ev.Notice] = field(default_factory=list)
    targets: dict[str, TargetHealth] = field(default_factory=dict)
    """Health per target name, once a stream of the target has ended."""
    alerts: list[Alert] = field(default_factory=list)
    gap_histories: dict[str, GapHistory] = field(default_factory=dict)
    """Long silences per target name."""
    chunks: int = 0
    open: dict[str, RunView] = field(default_factory=dict)
    """The runs that are not settled, in the order they were queued or started again."""
    queued: int = 0
    """Number of runs queued so far, forgotten ones included."""
    forgotten: int = 0
    disturbed: int = 0
    """Number of ended runs that this machine disturbed."""
    arms: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of runs per target and scenario."""
    rounds: Counter[int] = field(default_factory=Counter)
    """Number of runs per round."""
    newest_round: int = 1
    """The latest round in which an attempt has started."""
    _retention: Retention = field(default_factory=Retention)

    @property
    def results(self) -> list[ev.RunEnded]:
        """The ends of the ended runs, in the order the runs were queued."""
        return [run.ended for run in self.runs.values() if run.ended is not None]

    def apply(self, event: ev.Event) -> None:
        """Fold one event in. Events of unknown runs are ignored: they may arrive after the run was forgotten."""
        match event:
            case ev.RaceStarted():
                self.started = event
            case ev.RaceEnded():
                self.ended = event
            case ev.EngineHealth():
                self.health = event
            case ev.Notice():
                self.notices.append(event)
            case TargetHealth():
                self.targets[event.target] = event
            case Alert():
                self.alerts.append(event)
            case ev.RunQueued():
                self._queue(event)
            case ev.RunForgotten():
                self._forget(event.run)
            case ev.AttemptStarted():
                self._start(event)
            case ev.NudgeResult():
                if run := self.runs.get(event.run):
                    run.nudge_sentence = event.sentence
            case ev.RetryScheduled():
                if run := self.runs.get(event.run):
                    run.scheduled = event
            case ev.Diagnosed():
                if run := self.runs.get(event.run):
                    run.diagnosis = event if event.name else None
            case ev.RunEnded():
                if run := self.runs.get(event.run):
                    self.disturbed -= run.disturbed
                    run.ended = msgspec.structs.replace(event, text="", reasoning="", refusal="", tool_calls=())
                    run.scheduled = None
                    self.disturbed += run.disturbed
                    self._settle(run)
            case _:
                run = self.runs.get(event.run)
                attempt = run.attempt(event.attempt) if run else None
                if attempt is not None:
                    if isinstance(event, ev.DeltaArrived) and event.chunk:
                        self.chunks += 1
                    if isinstance(event, ev.AttemptEnded) and run is not None:
                        silences = self.gap_histories[attempt.target or run.target]
                        silences.on_attempt_ended(attempt.timeline, event.state, event.t_ns)
                    _fold(attempt, event)
                    if run is not None and isinstance(event, ev.AttemptEnded | ev.ClaimChanged):
                        self._settle(run)

    def _queue(self, event: ev.RunQueued) -> None:
        run = RunView(
            event.run,
            event.target,
            event.label,
            event.scenario,
            event.round,
            event.dialect,
            event.note,
            self.queued,
        )
        self.runs[event.run] = self.open[event.run] = run
        self.queued += 1
        self.arms[event.target, event.scenario] += 1
        self.rounds[event.round] += 1

    def _forget(self, name: str) -> None:
        run = self.runs.pop(name, None)
        if run is None:
            return
        self.open.pop(name, None)
        self._retention.forget(run.attempts)
        self.disturbed -= run.disturbed
        self.forgotten += 1
        self.arms = +(self.arms - Counter([(run.target, run.scenario)]))
        self.rounds = +(self.rounds - Counter([run.round]))

    def _settle(self, run: RunView) -> None:
        """Move a run out of ``open`` once it is settled, or back into it."""
        if not run.settled:
            self.open[run.run] = run
        elif self.open.pop(run.run, None) is not None:
            self._retention.ended(run.attempts)

    def _start(self, event: ev.AttemptStarted) -> None:
        run = self.runs.get(event.run)
        if run is None:
            return
        stall_ms = self.started.stall_ms if self.started else 5000.0
        timeline = Timeline(event.t_ns, int(stall_ms * MS))
        self.gap_histories.setdefault(event.target or run.target, GapHistory()).follow(timeline)
        self.open[run.run] = run
        self.newest_round = max(self.newest_round, run.round)
        attempt = AttemptView(
            event.attempt, event.role, timeline, event.url, event.proxy, turn=event.turn, target=event.target
        )
        timeline.is_own = attempt.is_own
        run.attempts.append(attempt)
        if event.role != "nudge":
            self.disturbed -= run.disturbed
            run.ended = run.scheduled = None
            run.nudge_sentence = ""
            run.diagnosis = None


def _fold(view: AttemptView, event: ev.Event) -> None:
    timeline = view.timeline
    match event:
        case ev.PhaseReached():
            timeline.on_phase(event.phase, event.t_ns)
        case ev.HeadersReceived():
            timeline.on_phase("headers", event.t_ns)
            view.status, view.request_ids = event.status, event.request_ids
        case ev.BytesArrived():
            timeline.on_bytes(event.t_ns)
        case ev.DeltaArrived():
            _fold_delta(view, event)
        case ev.Unread():
            timeline.watch_bytes(event.t_ns)
            view.unread, view.unread_dialect = event.stream, event.dialect
        case ev.WireSilence():
            view.blame = None if event.over else event.blame
        case ev.StallThreshold():
            timeline.on_threshold(event)
        case ev.ClaimChanged():
            _fold_claim(view, event)
        case ev.AttemptEnded():
            timeline.on_closed(event.t_ns)
            view.ending, view.signature, view.evidence = event.state, event.signature, event.evidence
            view.error = event.error or view.error
            view.blame = event.blame
        case ev.StallStarted() | ev.Blamed():  # the timeline finds the stall itself, from the same stamps
            view.blame = event.blame
        case ev.StallEnded():
            view.blame = None
            view.blames.append(event.blame)
        case _:
            pass


def _fold_claim(view: AttemptView, event: ev.ClaimChanged) -> None:
    claim = event.shown or Claim(event.claim)
    if view.claim is None or view.claim.activity != claim.activity:
        view.claim_ns = event.t_ns
    view.claim = claim
    view.gateway_run = event.gateway_run or view.gateway_run
    view.opened_ns = view.opened_ns if event.opened_ns is None else event.opened_ns


def _fold_delta(view: AttemptView, event: ev.DeltaArrived) -> None:
    gap_ns = view.timeline.chunk.open_ns(event.t_ns) or 0
    fold_chunk(view.timeline, event)
    if not event.late:
        view.add_raw(RawChunk(event.t_ns, gap_ns, event.kind, event.raw))
    view.append("reasoning", event.thoughts)
    view.append("text", event.words)
    for tool in event.tools:
        view.append("tool", tool.arguments, tool.name or "")
    view.finish_reason = event.finish_reason or view.finish_reason
    view.usage = counted(view.usage, event.usage)
    view.model = event.model or view.model
    view.upstream = event.upstream or view.upstream
    view.error = event.error or view.error


def fold_chunk(timeline: Timeline, event: ev.DeltaArrived) -> Stall | None:
    """Fold one chunk or keep-alive into the clocks; returns the stall that it ended, if any."""
    if event.late:
        return None
    if event.kind == "keepalive" and not event.done:
        return timeline.on_keepalive(event.t_ns)
    text, reasoning, tool = event.output
    before = None if event.hidden_work is None else timeline.on_hidden_work(event.t_ns, event.hidden_work)
    ended = timeline.on_chunk(
        event.t_ns,
        chunk=event.chunk,
        text=text,
        reasoning=reasoning,
        tool=tool,
        finish=event.finish_reason is not None,
        done=event.done,
    )
    return ended or before
