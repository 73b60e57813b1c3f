"""One run: its attempts and turns one after the other, and a nudge beside them. The one thing that really changes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from kmon.catalog.credential import Credential
from kmon.catalog.model import Message
from kmon.probe.events import AttemptRole, Event, Notice, NudgeResult, RunEnded, RunQueued
from kmon.probe.habits import Habits
from kmon.probe.probe import Limits, Outcome, Probe
from kmon.probe.timeline import MS
from kmon.probe.translate import Translator
from kmon.race.chain import next_turn, results_in
from kmon.race.nudge import follow_up, verdict
from kmon.race.order import with_nonce
from kmon.race.plan import Row
from kmon.transport.network import Network

NUDGE_WATCH_S = 0.2
"""How often the outcome of a nudge is looked at."""


class Run:
    """A pane's worth of work. Its events go to ``emit``; ``go`` ends with one ``run_ended``."""

    def __init__(
        self,
        *,
        name: str,
        row: Row,
        round_number: int,
        credential: Credential,
        limits: Limits,
        network: Network,
        emit: Callable[[Event], None],
        nonce: bool = False,
        habits: Habits | None = None,
    ) -> None:
        self.name = name
        self.target = row.target.name
        self._messages = with_nonce(row.scenario.messages, secrets.token_hex(4)) if nonce else row.scenario.messages
        self._row, self._round = row, round_number
        self._credential, self._limits, self._network, self._emit = credential, limits, network, emit
        self._habits = habits
        self._conversation = self._messages
        self._turns = 1
        self._t_begin = 0
        self._attempts = 0
        self._main: Probe | None = None
        self._main_task: asyncio.Task[Outcome] | None = None
        self._nudge_task: asyncio.Task[None] | None = None
        self._nudge_sentence = ""
        self._again = False
        emit(
            RunQueued(
                time.monotonic_ns(),
                name,
                row.target.name,
                row.target.label,
                row.scenario.name,
                round_number,
                row.target.dialect,
            )
        )

    @property
    def active(self) -> bool:
        """Whether the deciding attempt is open."""
        return self._main_task is not None and not self._main_task.done()

    async def go(self) -> RunEnded:
        """Make an attempt, another for each further turn, and all anew for as long as someone asks for a retry."""
        while True:
            self._again = False
            self._nudge_sentence = ""
            self._conversation, self._turns, self._t_begin = self._messages, 1, time.monotonic_ns()
            outcome = await self._attempt("retry" if self._attempts else "first")
            while (onward := self._onward(outcome)) is not None and not self._again:
                self._conversation, self._turns = onward, self._turns + 1
                outcome = await self._attempt("turn")
            if not self._again:
                break
        ended = self._ended(outcome)
        self._emit(ended)
        return ended

    async def _attempt(self, role: AttemptRole) -> Outcome:
        probe = self._probe(role, self._conversation)
        self._main = probe
        self._main_task = asyncio.create_task(probe.go(), name=f"{self.name} attempt {probe.attempt}")
        try:
            return await self._main_task
        except asyncio.CancelledError:  # cancelled before the task took its first step
            return probe.never_began()

    def _onward(self, outcome: Outcome) -> tuple[Message, ...] | None:
        chain = self._row.scenario.chain
        if chain is None or outcome.state != "done":
            return None
        return next_turn(chain, self._conversation, outcome.transcript)

    def skip(self) -> RunEnded:
        """End a run that never began, so that every queued run has its ``run_ended``."""
        outcome = self._probe("first", self._messages).never_began()
        ended = self._ended(outcome)
        self._emit(ended)
        return ended

    def cancel(self) -> None:
        """Close the sockets of all open attempts now."""
        for task in (self._main_task, self._nudge_task):
            if task is not None and not task.done():
                task.cancel()

    def retry(self) -> None:
        """Ask an open run to start over: its attempt is cancelled and a new one follows in the same run."""
        self._again = True
        self.cancel()

    def nudge(self) -> None:
        """Send the follow-up beside the open attempt; only one nudge is open at a time."""
        if self._main is None or not self.active:
            self._say(f"{self._row.target.name}: nothing to nudge, the run has ended (r retries it)")
        elif self._nudge_task is not None and not self._nudge_task.done():
            self._say(f"{self._row.target.name}: the last nudge is still open")
        else:
            self._nudge_task = asyncio.create_task(self._nudged(self._main), name=f"{self.name} nudge")

    async def settled(self) -> None:
        """Wait until a nudge, too, has ended."""
        if self._nudge_task is not None:
            await asyncio.wait([self._nudge_task])

    # -- inside --------------------------------------------------------------------------------------------------------

    def _probe(self, role: AttemptRole, messages: tuple[Message, ...]) -> Probe:
        self._attempts += 1
        return Probe(
            run=self.name,
            attempt=self._attempts,
            role=role,
            target=self._row.target,
            scenario=self._row.scenario,
            messages=messages,
            credential=self._credential,
            limits=self._limits,
            network=self._network,
            emit=self._emit,
            habits=self._habits,
        )

    async def _nudged(self, first: Probe) -> None:
        t_nudge = time.monotonic_ns()
        gap_before_ns = first.timeline.open_gap_ns(t_nudge) or 0
        probe = self._probe("nudge", follow_up(self._conversation, first.transcript.text))
        task = asyncio.create_task(probe.go(), name=f"{self.name} attempt {probe.attempt}")
        try:
            while not (task.done() and (first.timeline.t_closed or self._nudge_sentence)):
                await asyncio.sleep(NUDGE_WATCH_S)
                sentence = verdict(
                    first.timeline,
                    probe.timeline,
                    task.result().state if task.done() else None,
                    t_nudge=t_nudge,
                    gap_before_ns=gap_before_ns,
                    now_ns=time.monotonic_ns(),
                )
                if sentence and sentence != self._nudge_sentence:
                    self._nudge_sentence = sentence
                    self._emit(NudgeResult(time.monotonic_ns(), self.name, probe.attempt, sentence))
        finally:
            task.cancel()
            await asyncio.wait([task])

    def _ended(self, outcome: Outcome) -> RunEnded:
        timeline, said = outcome.timeline, outcome.transcript
        safe = Translator(self.name, self._attempts, secrets=self._credential.secrets)
        end_ns = outcome.end_ns
        return RunEnded(
            end_ns,
            self.name,
            self._row.target.name,
            self._attempts,
            outcome.state,
            outcome.signature.name,
            outcome.signature.evidence,
            outcome.error,
            _ms(timeline.ttft_ns()),
            _ms(timeline.max_gap_ns(end_ns)),
            tuple(timeline.stalls),
            said.chunks,
            safe.redacted(said.text),
            safe.redacted(said.reasoning),
            tuple(safe.tool_call(call) for call in said.tool_calls),
            None if said.finish_reason is None else safe.redacted(said.finish_reason),
            said.usage,
            safe.redacted(said.response_id or ""),
            outcome.request_ids,
            label=self._row.target.label,
            scenario=self._row.scenario.name,
            round=self._round,
            ttfo_ms=_ms(timeline.ttfo_ns()),
            duration_ms=(end_ns - (self._t_begin or timeline.t_start)) / MS,
            keepalives=timeline.life.ticks,
            nudge=self._nudge_sentence,
            turns=self._turns,
            tool_results=results_in(self._conversation) - results_in(self._messages),
        )

    def _say(self, message: str) -> None:
        self._emit(Notice(time.monotonic_ns(), "info", message))


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / MS
