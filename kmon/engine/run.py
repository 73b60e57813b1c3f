"""One run: its attempts and turns one after the other, and a nudge beside them. The one thing that really changes.

Which attempt follows which is decided by the policy (``course.py``); the run makes it, and says so before.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from kmon.blame.adaptive_threshold import TargetGaps
from kmon.dialects.delta import StreamError
from kmon.dialects.registry import dialect
from kmon.engine.chain import next_turn, results_in
from kmon.engine.ended import RunFacts, run_ended
from kmon.engine.nudge import follow_up, verdict
from kmon.engine.plan import Row
from kmon.engine.randomize import with_nonce
from kmon.engine.skippable_sleep import Pause
from kmon.findings.signature import Signature
from kmon.model import Message
from kmon.probe.attempt import Attempt, Conversation
from kmon.probe.limits import Limits
from kmon.probe.recorder import AttemptId, AttemptOutcome
from kmon.probe.registry import attempt_in
from kmon.probe.send import Shared
from kmon.retry.policy import Policy
from kmon.retry.sequence import AttemptSequence, Endpoint, NextAttempt
from kmon.stream.events import AttemptRole, Diagnosed, Event, Notice, NudgeResult, RetryScheduled, RunEnded, RunQueued
from kmon.stream.timeline import S

ALREADY_ENDED = "{}: nothing to nudge, the run has ended (r retries it)"
NUDGE_WATCH_S = 0.2
"""How often the outcome of a nudge is looked at."""

Companion = Callable[[Attempt, Callable[[Event], None]], Coroutine[Any, Any, None]]
"""Runs beside each attempt that decides a run, emits what else there is to tell of it, and is cancelled at its end."""


class PlannedRun(NamedTuple):
    """Which run of the plan it is."""

    name: str
    row: Row
    row_number: int
    """The index of its row in the plan."""
    round: int
    attempts: int = 0
    """Those made before, if it is one that had ended."""


class RunSettings(NamedTuple):
    """How every run of a race goes."""

    policy: Policy
    limits: Limits
    nonce: bool = False
    """Whether its request is made unlike any other, so that no cache of prompts answers it."""
    session: str = ""
    """The conversation to go on with at a gateway; by default each attempt begins one, and its nudges join it."""
    nudge_after_s: float | None = None
    """After how long a silence it is nudged by itself; None never."""


class Run:
    """A pane's worth of work. Its events go to ``emit``; ``go`` ends with one ``run_ended``."""

    def __init__(
        self,
        which: PlannedRun,
        endpoints: Sequence[Endpoint],
        settings: RunSettings,
        *,
        network: Shared,
        emit: Callable[[Event], None],
        target_gaps: Mapping[str, TargetGaps] | None = None,
        companion: Companion | None = None,
    ) -> None:
        name, row, self.index, self._round, self._attempts = which
        policy, self._limits, nonce, self._session, self._nudge_after_s = settings
        self.name = name
        self.target = row.target.name
        self._messages = with_nonce(row.scenario.messages, secrets.token_hex(4)) if nonce else row.scenario.messages
        self._row, self._network, self._emit = row, network, emit
        self._course, self._pause = AttemptSequence(policy, endpoints, name), Pause()
        self._target_gaps = target_gaps or {}
        """By the name of the target: where thresholds are learned, each teaches its own."""
        self._one_call = policy.tools == "sequential"
        self._companion = companion
        self._conversation = self._messages
        self._turns = 1
        self._t_begin = 0
        self._retries = 0
        self._main: Attempt | None = None
        self._main_task: asyncio.Task[AttemptOutcome] | None = None
        self._nudge_task: asyncio.Task[None] | None = None
        self._nudge_sentence = self._diagnosis = ""
        self._again = self._cancelled = False

    def announce(self) -> None:
        """Tell that the run exists."""
        target = self._row.target
        self._emit(
            RunQueued(
                time.monotonic_ns(),
                self.name,
                target.name,
                target.label,
                self._row.scenario.name,
                self._round,
                target.dialect,
            )
        )

    @property
    def active(self) -> bool:
        """Whether the deciding attempt is open."""
        return self._main_task is not None and not self._main_task.done()

    @property
    def waiting(self) -> bool:
        """Whether an attempt is scheduled that has not begun."""
        return self._pause.open

    def reopen(self) -> None:
        """It is about to begin, or to begin again: an earlier :meth:`cancel` is not meant for what comes now."""
        self._cancelled = False

    async def go(self) -> RunEnded:
        """Make an attempt, another for each further turn, and all anew for as long as someone asks for a retry."""
        while True:
            self._again = False
            self._nudge_sentence, self._diagnosis, self._retries = "", "", 0
            self._course.restart()
            self._conversation, self._turns, self._t_begin = self._messages, 1, time.monotonic_ns()
            outcome = await self._answered("retry" if self._attempts else "first")
            while (onward := self._onward(outcome)) is not None and not self._again:
                self._conversation, self._turns = onward, self._turns + 1
                self._course.next_request()
                outcome = await self._answered("turn")
            if not self._again:
                break
            self._cancelled = False
        ended = self._ended(outcome)
        self._emit(ended)
        return ended

    async def _answered(self, role: AttemptRole) -> AttemptOutcome:
        """One request of the conversation, with the retries and fallbacks that the policy grants it."""
        while True:
            outcome = await self._attempt(role)
            step = self._course.after(outcome)
            if step is None:
                return outcome
            self._emit(self._scheduled(step))
            if not await self._pause.sit_out(step.delay_s):
                return _called_off(outcome, step)
            role, self._retries = step.role, self._retries + 1

    def _scheduled(self, step: NextAttempt) -> RetryScheduled:
        return RetryScheduled(
            time.monotonic_ns(),
            self.name,
            self._attempts if self._main is None else self._main.attempt,
            step.role,
            self._course.endpoint.target.name,
            step.reason,
            step.delay_s * 1000,
            step.number,
            step.of,
            step.after_first_token,
            None if step.retry_after_s is None else step.retry_after_s * 1000,
        )

    async def _attempt(self, role: AttemptRole) -> AttemptOutcome:
        probe = self._probe(role, self._conversation)
        if self._cancelled:
            return probe.never_began()
        self._main = probe
        self._main_task = asyncio.create_task(probe.go(), name=f"{self.name} attempt {probe.attempt}")
        beside = [asyncio.create_task(self._lose_patience(probe))]
        if self._companion is not None:
            beside.append(asyncio.create_task(self._companion(probe, self._emit_beside)))
        try:
            return await self._main_task
        except asyncio.CancelledError:  # cancelled before the task took its first step
            return probe.never_began()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    async def _lose_patience(self, probe: Attempt) -> None:
        """Nudge once, as soon as the attempt has been silent for as long as the plan says."""
        if self._nudge_after_s is None:
            return
        while True:
            gap_ns = probe.timeline.open_gap_ns(time.monotonic_ns()) or 0
            if gap_ns >= self._nudge_after_s * S:
                break
            await asyncio.sleep(max(NUDGE_WATCH_S, self._nudge_after_s - gap_ns / S) if gap_ns else NUDGE_WATCH_S)
        self.nudge()

    def _onward(self, outcome: AttemptOutcome) -> tuple[Message, ...] | None:
        chain = self._row.scenario.chain
        if chain is None or outcome.state != "done":
            return None
        return next_turn(chain, self._conversation, outcome.transcript, one_call=self._one_call)

    def skip(self) -> RunEnded:
        """End a run that never began, so that every queued run has its ``run_ended``."""
        outcome = self._probe("first", self._messages).never_began()
        ended = self._ended(outcome)
        self._emit(ended)
        return ended

    def cancel(self) -> None:
        """Close the sockets of all open attempts now; one that is scheduled or about to begin is called off."""
        self._cancelled = True
        self._pause.call_off()
        for task in (self._main_task, self._nudge_task):
            if task is not None and not task.done():
                task.cancel()

    def retry(self) -> None:
        """Ask an open run to start over: its attempt is cancelled and a new one follows in the same run.

        One that waits for a scheduled attempt makes it now. Between two attempts the next is about to begin anyway.
        """
        if self.waiting:
            self._pause.hurry()
        elif self.active:
            self._again = True
            self.cancel()

    def nudge(self) -> None:
        """Send the follow-up beside the open attempt; only one nudge is open at a time."""
        if self.waiting:
            self._say(f"{self._row.target.name}: nothing to nudge, it waits for another attempt (r makes it now)")
        elif self._main is None or not self.active:
            self._say(ALREADY_ENDED.format(self._row.target.name))
        elif self._nudge_task is not None and not self._nudge_task.done():
            self._say(f"{self._row.target.name}: the last nudge is still open")
        else:
            self._nudge_task = asyncio.create_task(self._nudged(self._main), name=f"{self.name} nudge")

    async def settled(self) -> None:
        """Wait until a nudge, too, has ended."""
        if self._nudge_task is not None:
            await asyncio.wait([self._nudge_task])

    # -- inside --------------------------------------------------------------------------------------------------------

    def _probe(self, role: AttemptRole, messages: tuple[Message, ...], session: str = "") -> Attempt:
        self._attempts += 1
        return attempt_in(dialect(self._row.target.dialect))(
            AttemptId(self.name, self._attempts, role, self._turns, self._course.fallen_back),
            Conversation(self._row.scenario, messages, session or self._session),
            target=self._course.endpoint.target,
            credential=self._course.endpoint.credential,
            limits=self._limits,
            network=self._network,
            emit=self._emit,
            target_gaps=self._target_gaps.get(self._course.endpoint.target.name),
        )

    async def _nudged(self, first: Attempt) -> None:
        t_nudge = time.monotonic_ns()
        gap_before_ns = first.timeline.open_gap_ns(t_nudge) or 0
        probe = self._probe("nudge", follow_up(self._conversation, first.transcript.text), first.session)
        probe.join(first)
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

    def _ended(self, outcome: AttemptOutcome) -> RunEnded:
        return run_ended(
            outcome,
            RunFacts(
                self.name,
                self._row.target.name,
                self._row.target.label,
                self._row.scenario.name,
                self._round,
                self._t_begin or outcome.timeline.t_start,
                attempts=self._attempts,
                nudge=self._nudge_sentence,
                turns=self._turns,
                tool_results=results_in(self._conversation) - results_in(self._messages),
                retries=self._retries,
                fallback_target=self._course.fallen_back,
                diagnosis=self._diagnosis,
            ),
        )

    def _emit_beside(self, event: Event) -> None:
        """Emit what the companion tells; the last diagnosis becomes part of ``run_ended``."""
        if isinstance(event, Diagnosed) and event.name:
            self._diagnosis = f"{event.name}: {event.sentence}"
        self._emit(event)

    def _say(self, message: str) -> None:
        self._emit(Notice(time.monotonic_ns(), "info", message))


def _called_off(outcome: AttemptOutcome, step: NextAttempt) -> AttemptOutcome:
    """A run that was cancelled while it waited: nothing more was sent for it."""
    what = "retry" if step.role == "retry" else "fallback"
    error = StreamError("cancelled", f"cancelled before {what} {step.number} of {step.of} ({step.reason})")
    signature = Signature(None, outcome.signature.evidence)
    return replace(outcome, state="cancelled", error=error, signature=signature, end_ns=time.monotonic_ns())
