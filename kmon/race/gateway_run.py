"""A pane of a passive watch: one run of the gateway, whoever began it, as the events of an ordinary attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.openclaw.claim import Claim
from kmon.dialects.openclaw.run import GatewayRun
from kmon.dialects.openclaw.runs import Tracker
from kmon.probe import events as ev
from kmon.probe.stall import StallWatch
from kmon.probe.timeline import MS, S, Timeline
from kmon.probe.translate import Translator
from kmon.probe.view import fold_chunk
from kmon.transport.machine import Machine
from kmon.verdict.sight import ProviderSide
from kmon.verdict.telling import Telling

DIALECT = "openclaw"
END_GRACE_S = 2.0
"""How long after the agent's end its chat may still speak."""
RETRY_GRACE_S = 12.0
"""How long after a chat error the gateway may begin anew."""


class WatchedRun:
    """Follows one run; its pane opens at once and may be opened again by a silent retry."""

    def __init__(
        self,
        name: str,
        run: GatewayRun,
        url: str,
        stall_ns: int,
        machine: Machine,
        emit: Callable[[ev.Event], None],
        t_ns: int,
    ) -> None:
        self.name, self.run, self._machine = name, run, machine
        self._url, self._stall_ns, self._emit = url, stall_ns, emit
        self._attempts = 0
        self._ending: asyncio.TimerHandle | None = None
        self.open = False
        self.results: list[ev.RunEnded] = []
        safe = Translator(name, 1)
        self.target = safe.redacted(run.session or "no session")[-60:].removeprefix("agent:main:")
        self.label = f"{safe.redacted(run.session)[:80]} run {safe.redacted(run.short)}"
        emit(ev.RunQueued(t_ns, name, self.target, self.label, "watched", 1, DIALECT))
        self._begin(t_ns, "first")

    def _begin(self, t_ns: int, role: ev.AttemptRole) -> None:
        self._attempts += 1
        self.open = True
        self._telling = Telling(self.name, self._attempts, self._stall_ns / S)
        self._translate = Translator(self.name, self._attempts)
        self.transcript = Transcript()
        self.timeline = Timeline(t_ns, self._stall_ns)
        self._stalls = StallWatch(self.name, self._attempts, self.timeline, self._machine, self._emit)
        self._stalls.between = "gateway"
        self._emit(ev.AttemptStarted(t_ns, self.name, self._attempts, role, self._url))
        self.timeline.on_phase("request_sent", t_ns)
        self.timeline.on_phase("headers", t_ns)
        self._emit(ev.PhaseReached(t_ns, self.name, self._attempts, "request_sent"))
        self._emit(
            ev.HeadersReceived(t_ns, self.name, self._attempts, 200, {"run-id": self._translate.redacted(self.run.id)})
        )
        self._stalls.arm(t_ns)

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
        self, now_ns: int, tracker: Tracker, claim: Claim, provider: ProviderSide | None = None, *, closed: bool
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
            error = self.transcript.error
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
        self._stalls.stop()

    def _take(self, t_ns: int, delta: Delta) -> None:
        self.transcript.add(delta)
        event = self._translate(t_ns, delta)
        stall = fold_chunk(self.timeline, event)
        if stall is not None:
            self._stalls.ended(t_ns, stall)
        self._emit(event)
        self._stalls.arm(t_ns)

    def _end(self, t_ns: int, state: ev.Ending, error: StreamError | None) -> None:
        self.stop()
        self._ending, self.open = None, False
        left_open = self.timeline.on_closed(t_ns)
        if left_open is not None:
            self._stalls.left_open(t_ns, left_open)
        safe, said = self._translate, self.transcript
        error = None if error is None else safe.error(error)
        evidence = self._evidence(state)
        signature = "answer-after-chat-error" if self.run.unseen_chars else None
        self._emit(
            ev.AttemptEnded(
                t_ns, self.name, self._attempts, "first", state, signature, evidence, error, chunks=said.chunks
            )
        )
        ended = ev.RunEnded(
            t_ns,
            self.name,
            self.target,
            self._attempts,
            state,
            signature,
            evidence,
            error,
            _ms(self.timeline.ttft_ns()),
            _ms(self.timeline.max_gap_ns(t_ns)),
            tuple(self.timeline.stalls),
            said.chunks,
            safe.redacted(said.text),
            safe.redacted(said.reasoning),
            tuple(safe.tool_call(call) for call in said.tool_calls),
            None if said.finish_reason is None else safe.redacted(said.finish_reason),
            said.usage,
            safe.redacted(said.response_id or ""),
            {"run-id": safe.redacted(self.run.id)[:200]},
            label=self.label,
            scenario="watched",
            duration_ms=(t_ns - self.timeline.t_start) / MS,
            keepalives=self.timeline.life.ticks,
        )
        self.results.append(ended)
        self._emit(ended)

    def _evidence(self, state: ev.Ending) -> str:
        run = self.run
        if run.unseen_chars:
            return f"{run.unseen_chars} characters came after the chat was told of its end: no chat program shows them"
        if run.behind:
            return f"the chat was told of an empty end: the message waited behind run {run.behind[-4:]}"
        return "the chat got no answer" if state == "incomplete" else ""


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / MS
