"""One run of the proxy: the recorder of a request that another program made, and what is told of it.

Most requests are an HTTP exchange (``exchange.py``); over a WebSocket there may be many (``socket_runs.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kmon.blame.local_monitor import LocalMonitor
from kmon.catalog.habits import Habits
from kmon.dialects.bounds import MESSAGE_LIMIT_CHARS, NAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import FinishWords
from kmon.engine.ended import RunFacts, run_ended
from kmon.findings.content import RequestFacts
from kmon.probe.recorder import AttemptId, AttemptOutcome, AttemptRecorder
from kmon.proxy.provider_call import OnCall, ProviderCall
from kmon.proxy.relay.head import RequestHead
from kmon.proxy.relay.observer import Abort, End
from kmon.proxy.request import Overheard
from kmon.stream import events as ev

USUAL = Habits()


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What all runs of one proxy share."""

    upstream: str
    """Its name on the screen."""
    origin: str
    stall_s: float
    monitor: LocalMonitor
    emit: Callable[[ev.Event], None]
    number: Callable[[], int]
    """Numbers the runs, from 1."""
    opened: Callable[[ProxiedRun], None]
    """Called at the beginning of each run."""
    over: Callable[[ProxiedRun], None]
    """Called at the end of each run, and for one that turned out to be none."""
    on_call: OnCall | None = None
    usual: Habits = USUAL
    """What the upstream's streams are like."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The connection of a program: what a run shows of it, and how to close it."""

    head: RequestHead
    secrets: Sequence[str]
    abort: Abort
    cancelled: set[str] = field(default_factory=set)
    """The runs on this connection that the user of kmon has cancelled."""


class ProxiedRun:
    """``announce`` comes first, when the request is known; events before it are held."""

    def __init__(self, t_ns: int, caller: Caller, settings: RunSettings, number: int | None = None) -> None:
        self.number = settings.number() if number is None else number
        self.name = f"p{self.number}"
        self.t_ns = t_ns
        self.request = Overheard()
        self.first_byte_ns: int | None = None
        self.ended: ev.RunEnded | None = None
        self.scenario = "proxied"
        self._caller, self._settings = caller, settings
        self._held: list[ev.Event] | None = []
        """Events before the run is announced; None after it."""
        self.recorder = AttemptRecorder(
            AttemptId(self.name, 1, "first"),
            request=RequestFacts(""),
            secrets=caller.secrets,
            stall_s=settings.stall_s,
            monitor=settings.monitor,
            emit=self._emit_or_hold,
        )
        self.path = self._bounded(caller.head.path)
        settings.opened(self)

    @property
    def announced(self) -> bool:
        return self._held is None

    @property
    def label(self) -> str:
        model, upstream = self._bounded(self.request.model), self._settings.upstream
        return bounded(f"{upstream}/{model}", NAME_LIMIT_CHARS) if model else upstream

    def started(self, t_ns: int) -> None:
        self.t_ns = t_ns
        self.recorder.started(t_ns, f"{self._settings.origin}{self.path}")

    def announce(self, asked: Overheard, dialect: str, scenario: str) -> None:
        """Emit the run, now that its request is known, with the events held until then."""
        held, self._held = self._held, None
        if held is None:
            return
        self.request, self.scenario = asked, scenario
        self.recorder.request = RequestFacts(
            asked.model,
            asked.tools,
            asked.prompt,
            asked.wants_usage,
            ends_elsewhere=asked.ends_elsewhere,
            finish_words=FinishWords() if asked.format is None else asked.format.finish_words,
            end_event=self._settings.usual.end_event,
            finish_reason=self._settings.usual.finish_reason,
        )
        agent = self._bounded(self._caller.head.headers.get("user-agent", ""))
        queued = ev.RunQueued(self.t_ns, self.name, self.label, self.label, scenario, self.number, dialect, agent)
        for event in (queued, *held):
            self._settings.emit(event)
        self.report_call()

    def forget(self) -> None:
        """It is no run; nothing was told of it."""
        self.recorder.stalls.stop()
        self._settings.over(self)

    def end(self, outcome: AttemptOutcome) -> None:
        facts = RunFacts(self.name, self.label, self.label, self.scenario, self.number, self.t_ns)
        self.ended = run_ended(outcome, facts)
        self._settings.emit(self.ended)
        self.report_call()
        self._settings.over(self)

    def broken_off(self, end: End) -> AttemptOutcome:
        """The outcome where the client left, or kmon closed the connection."""
        if self.recorder.finished:
            return self.recorder.end("done", None)
        who = end.error.message if end.error is not None else self._who_left(end)
        return self.recorder.end("cancelled", StreamError("cancelled", who), note=who)

    def cancel(self) -> None:
        """Close the connection on both sides, now."""
        self._caller.cancelled.add(self.name)
        self._caller.abort()

    def call(self) -> ProviderCall:
        """A snapshot of it."""
        timeline, ended = self.recorder.timeline, self.ended
        return ProviderCall(
            self.name,
            self.path,
            self.request.model,
            self.request.said_sha256,
            self.t_ns,
            self.first_byte_ns,
            timeline.watched_clock.last_ns,
            timeline.chunk.ticks,
            ended.t_ns if ended else None,
            ended.state if ended else None,
            ended.signature if ended else None,
            timeline.watched == "byte",
        )

    def report_call(self) -> None:
        if self._settings.on_call is not None:
            self._settings.on_call(self.call())

    def warn(self, message: str) -> None:
        message = self.recorder.sanitizer.redacted(message, MESSAGE_LIMIT_CHARS)
        self._settings.emit(ev.Notice(time.monotonic_ns(), "warning", f"{self.name}: {message}"))

    def _who_left(self, end: End) -> str:
        cancelled = self._caller.cancelled
        if self.name in cancelled:
            return "cancelled by the user of kmon"
        if cancelled:
            return f"{', '.join(sorted(cancelled))} was cancelled by the user of kmon, on the same WebSocket"
        return "the client closed the connection" if end.how == "client-left" else "kmon proxy was stopped"

    def _emit_or_hold(self, event: ev.Event) -> None:
        if self._held is None:
            self._settings.emit(event)
        else:
            self._held.append(event)

    def _bounded(self, text: str) -> str:
        return self.recorder.sanitizer.redacted(text, NAME_LIMIT_CHARS)
