"""One run: its attempts and turns in sequence, and a nudge in parallel.

:class:`~kmon.retry.sequence.AttemptSequence` decides which attempt follows; the run announces it and makes it.
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
from kmon.engine.conversation import next_turn, results_in, with_nonce
from kmon.engine.ended import RunFacts, run_ended
from kmon.engine.nudge import follow_up, nudge_result
from kmon.engine.plan import Row
from kmon.findings.signature import Signature
from kmon.model import PromptMessage
from kmon.probe.attempt import Attempt, Conversation
from kmon.probe.limits import Limits
from kmon.probe.recorder import AttemptId, AttemptOutcome
from kmon.probe.registry import attempt_at
from kmon.probe.send import Shared
from kmon.retry.policy import Policy
from kmon.retry.sequence import AttemptSequence, Endpoint, NextAttempt
from kmon.stream.events import AttemptRole, Diagnosed, Event, Notice, NudgeResult, RetryScheduled, RunEnded, RunQueued
from kmon.stream.others_gaps import mid_gap_ns
from kmon.stream.timeline import S

ALREADY_ENDED = "{}: nothing to nudge, the run has ended (r retries it)"
NUDGE_WATCH_S = 0.2
"""Interval at which the result of a nudge is computed."""

Companion = Callable[[Attempt, Callable[[Event], None]], Coroutine[Any, Any, None]]
"""A coroutine that runs beside each deciding attempt and emits further events of it; it is cancelled at its end."""


class PlannedRun(NamedTuple):
    """A run of the plan."""

    name: str
    row: Row
    row_number: int
    """The index of its row in the plan, from 0."""
    round: int
    attempts: int = 0
    """Attempts made before, if the run had ended and is retried."""


class RunSettings(NamedTuple):
    """The settings that all runs of a race share."""

    policy: Policy
    limits: Limits
    nonce: bool = False
    """Whether each request is made unique, so that no prompt cache answers it."""
    session: str = ""
    """The session to continue at a gateway; if empty, each attempt begins one, and its nudges join that."""
    nudge_after_s: float | None = None
    """Silence in s after which a run is nudged automatically; None: never."""
    t_race: int | None = None
    """The start of the race, CLOCK_MONOTONIC ns."""


class Run:
    """A run of one row. It passes its events to ``emit``; :meth:`go` ends with one ``run_ended``."""

    def __init__(
        self,
        which: PlannedRun,
        endpoints: Sequence[Endpoint],
        settings: RunSettings,
        *,
        shared: Shared,
        emit: Callable[[Event], None],
        target_gaps: Mapping[str, TargetGaps] | None = None,
        companion: Companion | None = None,
    ) -> None:
        name, row, self.index, self._round, self._attempts = which
        policy, self._limits, nonce, self._session, self._nudge_after_s, self._t_race = settings
        self.name = name
        self.target = row.target.name
        self._messages = with_nonce(row.scenario.messages, secrets.token_hex(4)) if nonce else row.scenario.messages
        self.row, self._shared, self._emit = row, shared, emit
        self._sequence, self._sleep = AttemptSequence(policy, endpoints, name), SkippableSleep()
        self._target_gaps = target_gaps or {}
        """Learned stall thresholds, by the name of the target."""
        self._one_call = policy.tools == "sequential"
        self._companion = companion
        self._conversation = self._messages
        self._turns = 1
        self._t_begin = 0
        self._retries = 0
        self._earlier_gap_ns = self._earlier_late_ns = 0
        self._current: Attempt | None = None
        self._attempt_task: asyncio.Task[AttemptOutcome] | None = None
        self._nudge_task: asyncio.Task[None] | None = None
        self._nudge_sentence = self._diagnosis = ""
        self._restart = self._cancelled = False

    def announce(self) -> None:
        """Emit ``run_queued``."""
        target = self.row.target
        self._emit(
            RunQueued(
                time.monotonic_ns(),
                self.name,
                target.name,
                target.label,
                self.row.scenario.name,
                self._round,
                target.dialect,
            )
        )

    @property
    def active(self) -> bool:
        """Whether the deciding attempt is open."""
        return self._attempt_task is not None and not self._attempt_task.done()

    @property
    def waiting(self) -> bool:
        """Whether the run waits for a scheduled attempt."""
        return self._sleep.open

    @property
    def restarting(self) -> bool:
        """Whether another answer follows the one that is being ended."""
        return self._restart

    def reopen(self) -> None:
        """Forget an earlier :meth:`cancel`; call it before the run begins or begins again."""
        self._cancelled = False

    async def go(self) -> RunEnded:
        """Make the attempts of all turns, and all of them again after each manual retry, with a ``run_ended`` for each
        time. Returns the last."""
        while True:
            self._restart = False
            self._nudge_sentence, self._diagnosis, self._retries = "", "", 0
            self._sequence.restart()
            self._conversation, self._turns, self._t_begin = self._messages, 1, time.monotonic_ns()
            self._earlier_gap_ns = self._earlier_late_ns = 0
            outcome = await self._request("retry" if self._attempts else "first")
            while (messages := self._next_messages(outcome)) is not None and not self._restart:
                self._conversation, self._turns = messages, self._turns + 1
                self._earlier_gap_ns = max(self._earlier_gap_ns, mid_gap_ns(outcome.timeline) or 0)
                self._earlier_late_ns += outcome.late_ns
                self._sequence.next_request()
                outcome = await self._request("turn")
            if not self._restart:
                break
            self._emit(self._ended(outcome))  # the first answer stays on record; a test may not lose it
            self._cancelled = False
        ended = self._ended(outcome)
        self._emit(ended)
        return ended

    async def _request(self, role: AttemptRole) -> AttemptOutcome:
        """The outcome of one request of the conversation, after the retries and fallbacks of the policy."""
        while True:
            outcome = await self._attempt(role)
            step = self._sequence.after(outcome)
            if step is None:
                return outcome
            self._emit(self._retry_scheduled(step))
            if not await self._sleep.wait(step.delay_s):
                return _cancelled_while_waiting(outcome, step)
            role, self._retries = step.role, self._retries + 1

    def _retry_scheduled(self, step: NextAttempt) -> RetryScheduled:
        return RetryScheduled(
            time.monotonic_ns(),
            self.name,
            self._attempts if self._current is None else self._current.attempt,
            step.role,
            self._sequence.endpoint.target.name,
            step.reason,
            step.delay_s * 1000,
            step.number,
            step.of,
            step.after_first_token,
            None if step.retry_after_s is None else step.retry_after_s * 1000,
        )

    async def _attempt(self, role: AttemptRole) -> AttemptOutcome:
        attempt = self._new_attempt(role, self._conversation)
        if self._cancelled:
            return attempt.never_began()
        self._current = attempt
        self._attempt_task = asyncio.create_task(attempt.go(), name=f"{self.name} attempt {attempt.attempt}")
        companions = [asyncio.create_task(self._nudge_when_silent(attempt))]
        if self._companion is not None:
            companions.append(asyncio.create_task(self._companion(attempt, self._emit_beside)))
        try:
            return await self._attempt_task
        except asyncio.CancelledError:  # cancelled before the first step of the task
            return attempt.never_began()
        finally:
            for task in companions:
                task.cancel()
            await asyncio.wait(companions)

    async def _nudge_when_silent(self, attempt: Attempt) -> None:
        """Nudge once, when the attempt has been silent for ``nudge_after_s``."""
        if self._nudge_after_s is None:
            return
        while True:
            gap_ns = attempt.timeline.open_gap_ns(time.monotonic_ns()) or 0
            if gap_ns >= self._nudge_after_s * S:
                break
            await asyncio.sleep(max(NUDGE_WATCH_S, self._nudge_after_s - gap_ns / S) if gap_ns else NUDGE_WATCH_S)
        self.nudge()

    def _next_messages(self, outcome: AttemptOutcome) -> tuple[PromptMessage, ...] | None:
        chain = self.row.scenario.chain
        if chain is None or outcome.state != "done":
            return None
        return next_turn(chain, self._conversation, outcome.transcript, one_call=self._one_call)

    def skip(self) -> RunEnded:
        """End a run that never began, so that every queued run has its ``run_ended``."""
        outcome = self._new_attempt("first", self._messages).never_began()
        ended = self._ended(outcome)
        self._emit(ended)
        return ended

    def cancel(self) -> None:
        """Close the sockets of all open attempts now, and cancel an attempt that is scheduled or about to begin."""
        self._cancelled = True
        self._sleep.cancel()
        for task in (self._attempt_task, self._nudge_task):
            if task is not None and not task.done():
                task.cancel()

    def retry(self) -> None:
        """Restart an open run: its attempt is cancelled and a new one follows in the same run.

        A run that waits for a scheduled attempt makes it now. Between two attempts nothing happens.
        """
        if self.waiting:
            self._sleep.skip()
        elif self.active:
            self._restart = True
            self.cancel()

    def nudge(self) -> None:
        """Send the follow-up while the attempt is open. One nudge is open at a time; a refusal emits a notice."""
        if self.waiting:
            self._emit_notice(
                f"{self.row.target.name}: nothing to nudge, it waits for another attempt (r makes it now)"
            )
        elif self._current is None or not self.active:
            self._emit_notice(ALREADY_ENDED.format(self.row.target.name))
        elif self._nudge_task is not None and not self._nudge_task.done():
            self._emit_notice(f"{self.row.target.name}: the last nudge is still open")
        else:
            self._nudge_task = asyncio.create_task(self._run_nudge(self._current), name=f"{self.name} nudge")

    async def settled(self) -> None:
        """Wait until the nudge has ended."""
        if self._nudge_task is not None:
            await asyncio.wait([self._nudge_task])

    # -- inside --------------------------------------------------------------------------------------------------------

    def _new_attempt(self, role: AttemptRole, messages: tuple[PromptMessage, ...], session: str = "") -> Attempt:
        self._attempts += 1
        return attempt_at(self._sequence.endpoint.target)(
            AttemptId(self.name, self._attempts, role, self._turns, self._sequence.fallen_back),
            Conversation(self.row.scenario, messages, session or self._session),
            target=self._sequence.endpoint.target,
            credential=self._sequence.endpoint.credential,
            limits=self._limits,
            shared=self._shared,
            emit=self._emit,
            target_gaps=self._target_gaps.get(self._sequence.endpoint.target.name),
        )

    async def _run_nudge(self, first: Attempt) -> None:
        t_nudge = time.monotonic_ns()
        gap_before_ns = first.timeline.open_gap_ns(t_nudge) or 0
        attempt = self._new_attempt("nudge", follow_up(self._conversation, first.transcript.text), first.session)
        attempt.join(first)
        task = asyncio.create_task(attempt.go(), name=f"{self.name} attempt {attempt.attempt}")
        try:
            while not (task.done() and (first.timeline.t_closed or self._nudge_sentence)):
                await asyncio.sleep(NUDGE_WATCH_S)
                sentence = nudge_result(
                    first.timeline,
                    attempt.timeline,
                    task.result().state if task.done() else None,
                    t_nudge=t_nudge,
                    gap_before_ns=gap_before_ns,
                    now_ns=time.monotonic_ns(),
                )
                if sentence and sentence != self._nudge_sentence:
                    self._nudge_sentence = sentence
                    self._emit(NudgeResult(time.monotonic_ns(), self.name, attempt.attempt, sentence))
        finally:
            task.cancel()
            await asyncio.wait([task])

    def _ended(self, outcome: AttemptOutcome) -> RunEnded:
        return run_ended(
            outcome,
            RunFacts(
                self.name,
                self.row.target.name,
                self.row.target.label,
                self.row.scenario.name,
                self._round,
                self._t_begin or outcome.timeline.t_start,
                attempts=self._attempts,
                nudge=self._nudge_sentence,
                turns=self._turns,
                tool_results=results_in(self._conversation) - results_in(self._messages),
                retries=self._retries,
                fallback_target=self._sequence.fallen_back,
                diagnosis=self._diagnosis,
                earlier_gap_ns=self._earlier_gap_ns,
                earlier_late_ns=self._earlier_late_ns,
                t_race=self._t_race,
            ),
        )

    def _emit_beside(self, event: Event) -> None:
        """Emit an event of the companion; the last diagnosis becomes part of ``run_ended``."""
        if isinstance(event, Diagnosed) and event.name:
            self._diagnosis = f"{event.name}: {event.sentence}"
        self._emit(event)

    def _emit_notice(self, message: str) -> None:
        self._emit(Notice(time.monotonic_ns(), "info", message))


def _cancelled_while_waiting(outcome: AttemptOutcome, step: NextAttempt) -> AttemptOutcome:
    """The outcome of a run that was cancelled while it waited for the attempt ``step``."""
    what = "retry" if step.role == "retry" else "fallback"
    error = StreamError("cancelled", f"cancelled before {what} {step.number} of {step.of} ({step.reason})")
    signature = Signature(None, outcome.signature.evidence)
    return replace(outcome, state="cancelled", error=error, signature=signature, end_ns=time.monotonic_ns())


class SkippableSleep:
    """A sleep that can be skipped or cancelled from outside; one at a time."""

    def __init__(self) -> None:
        self._waiting: asyncio.Future[bool] | None = None

    @property
    def open(self) -> bool:
        return self._waiting is not None and not self._waiting.done()

    async def wait(self, delay_s: float) -> bool:
        """Sleep for ``delay_s``; False when cancelled, True when over or skipped."""
        if not delay_s:
            return True
        self._waiting = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([self._waiting], timeout=delay_s)
        completed = self._waiting.result() if done else True
        self._waiting = None
        return completed

    def skip(self) -> None:
        self._settle(True)

    def cancel(self) -> None:
        self._settle(False)

    def _settle(self, completed: bool) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(completed)
