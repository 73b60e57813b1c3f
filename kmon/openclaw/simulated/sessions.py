"""All sessions: starts runs, queues or steers what comes while one is open, aborts, and tells everybody."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import aiohttp

from kmon.openclaw.simulated.connection import Connection
from kmon.openclaw.simulated.frames_v3 import Subject, Voice
from kmon.openclaw.simulated.frames_v4 import Voice4
from kmon.openclaw.simulated.options import GatewayFault, GatewayOptions, behaviour
from kmon.openclaw.simulated.provider import Piece, ask
from kmon.openclaw.simulated.release import DELTA_EVERY_S, STEER_LIMIT_S, QueueMode
from kmon.openclaw.simulated.request_log import GatewayLedger
from kmon.openclaw.simulated.run import Message, Point, Run, Told
from kmon.openclaw.simulated.session import Session

SESSION_LIMIT = 200
RUN_LIMIT = 1_000
Tell = Callable[..., None]


class Sessions:
    """The gateway's work. ``tell`` sends an event to who may see it; ``on_fault`` makes the gateway itself go wrong."""

    def __init__(
        self,
        options: GatewayOptions,
        http: aiohttp.ClientSession,
        ledger: GatewayLedger,
        tell: Tell,
        on_fault: Callable[[GatewayFault], Awaitable[None]],
        on_ended: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.all: OrderedDict[str, Session] = OrderedDict()
        self.runs: OrderedDict[str, Run | Message] = OrderedDict()
        """The newest runs by id, and the messages that have none of their own."""
        self._options = options
        self._http = http
        self._ledger = ledger
        self._tell = tell
        self._on_fault = on_fault
        self._on_ended = on_ended
        self._rng = Random(options.seed)
        self._tasks: dict[Run, asyncio.Task[None]] = {}

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def session(self, key: str) -> Session:
        """The session of that key, opened when there is none. The oldest idle one makes room."""
        if key not in self.all:
            self.all[key] = Session(key, self.new_id())
            idle = [name for name, session in self.all.items() if session.active is None and name != key]
            if len(self.all) > SESSION_LIMIT and idle:
                del self.all[idle[0]]
        return self.all[key]

    @property
    def open_runs(self) -> list[Run]:
        return list(self._tasks)

    # -- messages

    def take(self, session: Session, message: Message, owner: Connection | None, mode: QueueMode | None) -> None:
        """A message that has been acknowledged: start a run for it, or treat it as the queue mode says."""
        self._release(session)
        active = session.active
        if active is None:
            self._start(session, message, owner)
            return
        match mode or self._options.queue_mode:
            case "steer":
                active.steered.append(message)
                self._remember(message.run_id, message)
                delay_s = STEER_LIMIT_S / self._options.speed
                asyncio.get_running_loop().call_later(delay_s, self._empty_final, session, message)
            case "interrupt":
                self.abort(session, active, "interrupt")
                active.voice.abort_settled()
                self._start(session, message, owner)
            case _:
                session.queue.append(message)
                self._remember(message.run_id, message)
                asyncio.get_running_loop().call_soon(self._empty_final, session, message)

    def _empty_final(self, session: Session, message: Message) -> None:
        """The end of a message that gets no run of its own, told once: a final without a message."""
        if self.runs.get(message.run_id) is message:
            del self.runs[message.run_id]
            ending = {"runId": message.run_id, "sessionKey": session.key, "seq": 1, "state": "final"}
            self._tell("chat", ending)

    def _start(self, session: Session, message: Message, owner: Connection | None) -> None:
        asked = behaviour(message.text, self._options)
        message = Message(message.run_id, message.text, asked.prompt)
        subject = Subject(message.run_id, session.key, session.id)
        fault = asked.fault

        def send(event: str, payload: dict[str, Any], *, owner_only: bool = False, droppable: bool = False) -> None:
            if fault == "held":
                session.held.append((event, payload))
            else:
                self._tell(
                    event, payload, owner=owner if owner_only else None, owner_only=owner_only, droppable=droppable
                )

        async def reached(point: Point) -> None:
            if point == "before-end" and fault == "stuck":
                await asyncio.Event().wait()
            if point == "first-text" and fault not in (None, "starting", "stuck", "held"):
                await self._on_fault(fault)

        speak = Voice if self._options.protocol == 3 else Voice4
        voice = speak(subject, send, self._throttle())
        user = {"role": "user", "content": message.text if self._options.protocol == 4 else _text(message.text)}
        row = self._ledger.run(message.run_id, session.key)
        context = [] if asked.tool_choice or "exec" in asked.prompt else session.context()
        run = Run(
            message, asked, self._options, voice, row,
            history=context,
            told=Told(self._ask, lambda steered: self._steered(session, steered), reached),
        )  # fmt: skip
        if self._options.release.rows_at_start:
            session.add(message.run_id, user)
        session.active = run
        session.aborted_last_run = False
        self._remember(message.run_id, run)
        task = asyncio.create_task(self._play(session, run, user, owner))
        self._tasks[run] = task

    async def _play(self, session: Session, run: Run, user: dict[str, Any], owner: Connection | None) -> None:
        try:
            await run.play()
        finally:
            run.settle("aborted")
            del self._tasks[run]
            if self._on_ended is not None:
                self._on_ended(run.row)
            run_id = run.message.run_id
            if not self._options.release.rows_at_start:
                session.add(run_id, user)
            for row in run.rows:
                session.add(run_id, row)
            if session.active is run:
                session.active = None
                self._next(session, run, owner)

    def _next(self, session: Session, done: Run, owner: Connection | None) -> None:
        """What waited runs now, under a new id: all of it as one message, or the first."""
        for message in done.steered:
            self._empty_final(session, message)
        if not session.queue:
            return
        together = self._options.queue_mode != "followup"
        taken = list(session.queue) if together else session.queue[:1]
        del session.queue[: len(taken)]
        text = "\n\n".join(message.text for message in taken)
        self._start(session, Message(self.new_id(), text, text), owner)

    def _steered(self, session: Session, message: Message) -> None:
        user = {"role": "user", "content": message.text if self._options.protocol == 4 else _text(message.text)}
        session.add(message.run_id, user)
        self._empty_final(session, message)

    def _release(self, session: Session) -> None:
        """Send what was held back until this message."""
        held, session.held = session.held, []
        for event, payload in held:
            self._tell(event, payload)

    # -- the end of runs

    def abort(self, session: Session, run: Run, reason: str) -> None:
        """Stop a run and say so. The caller tells the rest (``abort_settled``) when it has answered."""
        partial = run.voice.final_text
        run.voice.aborted(reason)
        for message in run.steered:
            self._empty_final(session, message)
        run.steered.clear()
        session.queue.clear()  # who stops a run means all that waited for it, too
        content = [{"type": "text", "text": partial}] if partial else []
        run.rows.append({"role": "assistant", "content": content, "stopReason": "aborted"})
        run.settle("aborted")
        session.active = None
        session.aborted_last_run = True
        self._tasks[run].cancel()

    async def kill(self) -> None:
        """End every run without a word, as a process that dies."""
        for session in self.all.values():
            session.queue.clear()
        tasks = list(self._tasks.values())
        for run in list(self._tasks):
            run.settle("killed")
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- odds and ends

    def _ask(self, body: dict[str, Any], fault: str) -> AsyncIterator[Piece]:
        return ask(self._http, self._options.provider_url, body, fault=fault)

    def _throttle(self) -> Callable[[], bool]:
        """Whether a chat delta is due, asked once per piece of text."""
        every_s = DELTA_EVERY_S / self._options.speed
        clock = asyncio.get_running_loop().time
        last_s = float("-inf")

        def due() -> bool:
            nonlocal last_s
            if clock() - last_s < every_s:
                return False
            last_s = clock()
            return True

        return due

    def _remember(self, run_id: str, run: Run | Message) -> None:
        self.runs[run_id] = run
        while len(self.runs) > RUN_LIMIT:
            self.runs.popitem(last=False)


def _text(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]
