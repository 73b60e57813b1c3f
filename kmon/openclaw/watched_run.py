"""A pane of a passive watch: one run of the gateway, whoever began it, as the events of an ordinary attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kmon.blame.local_monitor import LocalMonitor
from kmon.dialects.bounds import SESSION_LIMIT_CHARS, ending
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.sockets import OpenClawGateway
from kmon.engine.ended import RunFacts, run_ended
from kmon.findings.content import Asked
from kmon.findings.signature import Signature, describe
from kmon.openclaw.protocol.claim import ClientStatus
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.runs import Tracker
from kmon.openclaw.reporter import Reporter
from kmon.openclaw.snapshot import ProviderSide
from kmon.probe.recorder import AttemptId, AttemptRecorder
from kmon.stream import events as ev
from kmon.stream.sanitize import Sanitizer

DIALECT = OpenClawGateway.name
END_GRACE_S = 2.0
"""How long after the agent's end its chat may still speak."""
RETRY_GRACE_S = 12.0
"""How long after a chat error the gateway may begin anew."""


class WatchedRun:
    """Follows one run; its pane opens at once and may be opened again by a silent retry.

    ``secrets`` is what the gateway was asked with: whatever it says back, they are never told.
    """

    def __init__(
        self,
        name: str,
        run: GatewayRun,
        url: str,
        stall_s: float,
        machine: LocalMonitor,
        emit: Callable[[ev.Event], None],
        t_ns: int,
        *,
        secrets: Sequence[str] = (),
    ) -> None:
        self.name, self.run, self._machine = name, run, machine
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
        self._account = account = AttemptRecorder(
            AttemptId(self.name, self._attempts, role),
            asked=Asked(""),
            secrets=self._secrets,
            stall_s=self._stall_s,
            machine=self._machine,
            emit=self._emit,
        )
        self._telling = Reporter(self.name, self._attempts, self._stall_s, account.translate.redacted)
        account.stalls.between = "gateway"
        account.started(t_ns, self._url)
        account.phase("request_sent", t_ns, "")
        account.phase("headers", t_ns, "")
        account.identified(t_ns, 200, {"run-id": self.run.id})

    def changed(self, t_ns: int, what: tuple[str, ...], delta: Delta | None) -> None:
        """Take one change of the run in."""
        if not self.open:
            if "started" not in what:
                return  # the chat's second word about a run that ended
            self._begin(t_ns, "retry")
        elif "started" in what and self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if delta is not None:
            self._take(t_ns, delta)
        loop = asyncio.get_running_loop()
        if "chat-final" in what or "chat-aborted" in what or (delta is not None and delta.done):
            self.end(t_ns)
        elif "chat-error" in what or "refused" in what:
            self._ending = self._ending or loop.call_later(RETRY_GRACE_S, self._late_end)
        elif "ended" in what or ("chat-empty" in what and not self.run.behind):
            self._ending = self._ending or loop.call_later(END_GRACE_S, self._late_end)

    def alive(self, t_ns: int, delta: Delta) -> None:
        """The gateway ticked: life, and no more, for every open run."""
        if self.open:
            self._take(t_ns, delta)

    def look(
        self, now_ns: int, tracker: Tracker, claim: ClientStatus, provider: ProviderSide | None = None, *, closed: bool
    ) -> None:
        """Tell what the gateway's own client shows of this session, and on which side the run hangs."""
        if self.open:
            for event in self._telling.look(now_ns, tracker, self.run, claim, provider, closed=closed):
                self._emit(event)

    def lost(self, t_ns: int, sentence: str) -> None:
        """The connection is gone, and with it all that could be known of the run."""
        if self.open:
            self._end(t_ns, "incomplete", StreamError("websocket-closed", sentence))

    def end(self, t_ns: int) -> None:
        """End the pane as the run ended."""
        if self.open:
            state: ev.Ending = "done"
            error = self._account.transcript.error
            if self.run.chat == "aborted":
                state = "cancelled"
            elif self.run.lifecycle == "error" or (self.run.chat == "error" and not self.run.unseen_chars):
                state = "failed"
                error = error or StreamError("in-stream", self.run.error or "error")
            elif not self.run.answered and not self.run.unseen_chars:
                state = "incomplete"
            self._end(t_ns, state, error if state != "done" else None)

    def caught_up(self, t_ns: int, whole: str) -> None:
        """The history has the whole answer: the run ended while nobody listened."""
        missed = self.run.answer.settle(whole)
        self._take(t_ns, Delta(text=missed, finish_reason="history", done=True))
        self._end(t_ns, "done", None)

    def _late_end(self) -> None:
        self.end(self.run.t_last_ns)

    def stop(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._account.stalls.stop()

    def _take(self, t_ns: int, delta: Delta) -> None:
        self._account.take(t_ns, delta)

    def _end(self, t_ns: int, state: ev.Ending, error: StreamError | None) -> None:
        self.stop()
        self._ending, self.open = None, False
        account = self._account

        def named(found: Signature) -> Signature:
            """What the chat was told names it; of what the run was asked nothing is known."""
            facts = found.evidence if state != "incomplete" else describe(account.timeline, t_ns)
            said = self._evidence(state)
            name = "answer-after-chat-error" if self.run.unseen_chars else found.name
            return Signature(name if state != "incomplete" else None, f"{said}; {facts}" if said else facts)

        outcome = account.end(state, error, whole=False, named=named, end_ns=t_ns)
        whose = RunFacts(self.name, self.target, self.label, "watched", 1, account.timeline.t_start)
        self.ended = run_ended(outcome, whose._replace(attempts=self._attempts))
        self._emit(self.ended)

    def _evidence(self, state: ev.Ending) -> str:
        run = self.run
        if run.unseen_chars:
            return f"{run.unseen_chars} characters came after the chat was told of its end: no chat program shows them"
        if run.behind:
            return f"the chat was told of an empty end: the message waited behind run {run.behind[-4:]}"
        return "the chat got no answer" if state == "incomplete" else ""
