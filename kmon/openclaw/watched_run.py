"""A pane of a passive watch: one run of the gateway, started by any client, as the events of an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kmon.blame.local_monitor import LocalMonitor
from kmon.dialects.bounds import SESSION_LIMIT_CHARS, ending
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.sockets import OpenClawGateway
from kmon.engine.ended import RunFacts, run_ended
from kmon.findings.content import RequestFacts
from kmon.findings.signature import Signature, describe
from kmon.openclaw.protocol.client_status import ClientStatus
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.run_events import ChangeKind
from kmon.openclaw.protocol.tracker import Tracker
from kmon.openclaw.provider_side import ProviderSide
from kmon.openclaw.reporter import GatewayReporter
from kmon.probe.recorder import AttemptId, AttemptRecorder
from kmon.stream import events as ev
from kmon.stream.sanitize import Sanitizer

DIALECT = OpenClawGateway.name
END_GRACE_S = 2.0
"""How long after the agent's end a chat event may still come."""
RETRY_GRACE_S = 12.0
"""How long after a chat error the gateway may start the run again."""


class WatchedRun:
    """Follows one run. Its pane opens at once; a silent retry opens it again as another attempt.

    ``secrets`` are the keys of this connection; they are removed from all text.
    """

    def __init__(
        self,
        name: str,
        run: GatewayRun,
        url: str,
        stall_s: float,
        monitor: LocalMonitor,
        emit: Callable[[ev.Event], None],
        t_ns: int,
        *,
        secrets: Sequence[str] = (),
    ) -> None:
        self.name, self.run, self._monitor = name, run, monitor
        self._url, self._stall_s, self._emit, self._secrets = url, stall_s, emit, secrets
        self._attempts = 0
        self._ending: asyncio.TimerHandle | None = None
        self.open = False
        self.ended: ev.RunEnded | None = None
        """Its latest end."""
        safe = Sanitizer(name, 1, secrets=secrets)
        session = safe.redacted(run.session or "no session").removeprefix("agent:main:")
        self.target = ending(session, SESSION_LIMIT_CHARS)
        self.label = f"{safe.redacted(run.session, SESSION_LIMIT_CHARS)} run {safe.redacted(run.short)}"
        emit(ev.RunQueued(t_ns, name, self.target, self.label, "watched", 1, DIALECT))
        self._begin(t_ns, "first")

    def _begin(self, t_ns: int, role: ev.AttemptRole) -> None:
        self._attempts += 1
        self.open = True
        self._recorder = recorder = AttemptRecorder(
            AttemptId(self.name, self._attempts, role),
            request=RequestFacts(""),
            secrets=self._secrets,
            stall_s=self._stall_s,
            monitor=self._monitor,
            emit=self._emit,
        )
        self._reporter = GatewayReporter(self.name, self._attempts, self._stall_s, recorder.sanitizer.redacted)
        recorder.stalls.intermediary = "gateway"
        recorder.started(t_ns, self._url)
        recorder.phase("request_sent", t_ns, "")
        recorder.phase("headers", t_ns, "")
        recorder.identified(t_ns, 200, {"run-id": self.run.id})

    def changed(self, t_ns: int, kinds: tuple[ChangeKind, ...], delta: Delta | None) -> None:
        """Fold one change of the run in."""
        if not self.open:
            if "started" not in kinds:
                return  # a second chat event of a run that ended
            self._begin(t_ns, "retry")
        elif "started" in kinds and self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if delta is not None:
            self._take(t_ns, delta)
        loop = asyncio.get_running_loop()
        if "chat-final" in kinds or "chat-aborted" in kinds or (delta is not None and delta.done):
            self.end(t_ns)
        elif "chat-error" in kinds or "refused" in kinds:
            self._ending = self._ending or loop.call_later(RETRY_GRACE_S, self._late_end)
        elif "ended" in kinds or ("chat-empty" in kinds and not self.run.behind):
            self._ending = self._ending or loop.call_later(END_GRACE_S, self._late_end)

    def keepalive(self, t_ns: int, delta: Delta) -> None:
        """An event of the connection, such as a tick: a keep-alive of every open run."""
        if self.open:
            self._take(t_ns, delta)

    def report(
        self, now_ns: int, tracker: Tracker, status: ClientStatus, provider: ProviderSide | None = None, *, closed: bool
    ) -> None:
        """Emit changes of what the gateway's own client shows, and of the side on which the run hangs."""
        if self.open:
            for event in self._reporter.changes(now_ns, tracker, self.run, status, provider, closed=closed):
                self._emit(event)

    def lost(self, t_ns: int, sentence: str) -> None:
        """End the pane as incomplete: the connection is lost, so the end of the run stays unknown."""
        if self.open:
            self._end(t_ns, "incomplete", StreamError("websocket-closed", sentence))

    def end(self, t_ns: int) -> None:
        """End the pane in the state in which the run ended."""
        if self.open:
            state: ev.Ending = "done"
            error = self._recorder.transcript.error
            if self.run.chat == "aborted":
                state = "cancelled"
            elif self.run.lifecycle == "error" or (self.run.chat == "error" and not self.run.unseen_chars):
                state = "failed"
                error = error or StreamError("in-stream", self.run.error or "error")
            elif not self.run.answered and not self.run.unseen_chars:
                state = "incomplete"
            self._end(t_ns, state, error if state != "done" else None)

    def caught_up(self, t_ns: int, whole: str) -> None:
        """End the pane with the whole answer of the history: the run ended while the connection was lost."""
        missed = self.run.answer.settle(whole)
        self._take(t_ns, Delta(text=missed, finish_reason="history", done=True))
        self._end(t_ns, "done", None)

    def _late_end(self) -> None:
        self.end(self.run.t_last_ns)

    def stop(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._recorder.stalls.stop()

    def _take(self, t_ns: int, delta: Delta) -> None:
        self._recorder.record(t_ns, delta)

    def _end(self, t_ns: int, state: ev.Ending, error: StreamError | None) -> None:
        self.stop()
        self._ending, self.open = None, False
        recorder = self._recorder

        def named(found: Signature) -> Signature:
            """The name follows from the chat's end; the request of the run is not known."""
            facts = found.evidence if state != "incomplete" else describe(recorder.timeline, t_ns)
            evidence = self._evidence(state)
            name = "answer-after-chat-error" if self.run.unseen_chars else found.name
            return Signature(name if state != "incomplete" else None, f"{evidence}; {facts}" if evidence else facts)

        outcome = recorder.end(state, error, whole=False, named=named, end_ns=t_ns)
        facts = RunFacts(self.name, self.target, self.label, "watched", 1, recorder.timeline.t_start, self._attempts)
        self.ended = run_ended(outcome, facts)
        self._emit(self.ended)

    def _evidence(self, state: ev.Ending) -> str:
        run = self.run
        if run.unseen_chars:
            return f"{run.unseen_chars} characters came after the chat was told of its end: no chat program shows them"
        if run.behind:
            return f"the chat was told of an empty end: the message waited behind run {run.behind[-4:]}"
        return "the chat got no answer" if state == "incomplete" else ""
