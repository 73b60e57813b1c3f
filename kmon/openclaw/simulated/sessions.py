"""All sessions of the simulated gateway: starts runs, queues or steers messages, aborts, and broadcasts the events."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from kmon.openclaw.simulated.connection import ClientConnection, GatewayLedger
from kmon.openclaw.simulated.frames_v3 import RunFrames, RunIds, now_ms
from kmon.openclaw.simulated.frames_v4 import RunFramesV4
from kmon.openclaw.simulated.options import GatewayFault, GatewayOptions, behaviour
from kmon.openclaw.simulated.provider import Piece, ask
from kmon.openclaw.simulated.releases import DELTA_EVERY_S, STEER_LIMIT_S, QueueMode
from kmon.openclaw.simulated.run import Point, RunHooks, SimulatedRun, UserMessage

SESSION_LIMIT = 200
RUN_LIMIT = 1_000
HISTORY_ROWS_LIMIT = 200
CONTEXT_ROWS = 20
"""Rows of the history that a model call gets."""
Broadcast = Callable[..., None]


@dataclass(slots=True)
class GatewaySession:
    """One conversation, addressed by ``key``."""

    key: str
    id: str
    rows: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HISTORY_ROWS_LIMIT))
    active: SimulatedRun | None = None
    queue: list[UserMessage] = field(default_factory=list)
    held: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Frames that are sent with the next message only (held delivery)."""
    updated_ms: int = field(default_factory=now_ms)
    aborted_last_run: bool = False

    def add(self, run_id: str, row: dict[str, Any]) -> None:
        """Add a row to the history, with the members that every row has."""
        self.updated_ms = now_ms()
        marked = {"__openclaw": {"runId": run_id, "seq": len(self.rows) + 1}}
        self.rows.append({**row, "timestamp": self.updated_ms, **marked})

    def context(self) -> list[dict[str, str]]:
        """The text of the conversation so far, oldest first, as messages of a model call."""
        messages = []
        for row in list(self.rows)[-CONTEXT_ROWS:]:
            text = row_text(row)
            if row["role"] in ("user", "assistant") and text:
                messages.append({"role": row["role"], "content": text})
        return messages


def row_text(row: dict[str, Any]) -> str:
    """The text of a row."""
    content = row.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or () if part.get("type") == "text")


class Sessions:
    """All sessions and their runs.

    ``broadcast`` sends an event to every client that may see it, ``on_fault`` starts a fault of the gateway itself, and
    ``on_ended`` gets the ledger's row of each run that ended.
    """

    def __init__(
        self,
        options: GatewayOptions,
        http: aiohttp.ClientSession,
        ledger: GatewayLedger,
        broadcast: Broadcast,
        on_fault: Callable[[GatewayFault], Awaitable[None]],
        on_ended: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.all: OrderedDict[str, GatewaySession] = OrderedDict()
        self.runs: OrderedDict[str, SimulatedRun | UserMessage] = OrderedDict()
        """The newest runs by id, and queued or steered messages, which have no run of their own."""
        self._options = options
        self._http = http
        self._ledger = ledger
        self._broadcast = broadcast
        self._on_fault = on_fault
        self._on_ended = on_ended
        self._rng = Random(options.seed)
        self._tasks: dict[SimulatedRun, asyncio.Task[None]] = {}

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def session(self, key: str) -> GatewaySession:
        """The session of that key, created if needed. Above the limit the oldest idle one is dropped."""
        if key not in self.all:
            self.all[key] = GatewaySession(key, self.new_id())
            idle = [name for name, session in self.all.items() if session.active is None and name != key]
            if len(self.all) > SESSION_LIMIT and idle:
                del self.all[idle[0]]
        return self.all[key]

    @property
    def open_runs(self) -> list[SimulatedRun]:
        return list(self._tasks)

    # -- messages

    def take(
        self, session: GatewaySession, message: UserMessage, owner: ClientConnection | None, mode: QueueMode | None
    ) -> None:
        """An accepted message: start a run for it, or queue, steer or interrupt as ``mode`` says."""
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
                active.frames.abort_settled()
                self._start(session, message, owner)
            case _:
                session.queue.append(message)
                self._remember(message.run_id, message)
                asyncio.get_running_loop().call_soon(self._empty_final, session, message)

    def _empty_final(self, session: GatewaySession, message: UserMessage) -> None:
        """Send the end of a message that gets no run of its own, once: a final without a message."""
        if self.runs.get(message.run_id) is message:
            del self.runs[message.run_id]
            ending = {"runId": message.run_id, "sessionKey": session.key, "seq": 1, "state": "final"}
            self._broadcast("chat", ending)

    def _start(self, session: GatewaySession, message: UserMessage, owner: ClientConnection | None) -> None:
        asked = behaviour(message.text, self._options)
        message = UserMessage(message.run_id, message.text, asked.prompt)
        fault = asked.fault

        def send(event: str, payload: dict[str, Any], *, owner_only: bool = False, droppable: bool = False) -> None:
            if fault == "held":
                session.held.append((event, payload))
            else:
                self._broadcast(
                    event, payload, owner=owner if owner_only else None, owner_only=owner_only, droppable=droppable
                )

        async def reached(point: Point) -> None:
            if point == "before-end" and fault == "stuck":
                await asyncio.Event().wait()
            if point == "first-text" and fault not in (None, "starting", "stuck", "held"):
                await self._on_fault(fault)

        builder = RunFrames if self._options.protocol == 3 else RunFramesV4
        frames = builder(RunIds(message.run_id, session.key, session.id), send, self._throttle())
        user = {"role": "user", "content": message.text if self._options.protocol == 4 else _text(message.text)}
        row = self._ledger.run(message.run_id, session.key)
        history = [] if asked.tool_choice or "exec" in asked.prompt else session.context()
        run = SimulatedRun(
            message, asked, self._options, frames, row,
            history=history,
            hooks=RunHooks(self._ask, lambda steered: self._steered(session, steered), reached),
        )  # fmt: skip
        if self._options.release.rows_at_start:
            session.add(message.run_id, user)
        session.active = run
        session.aborted_last_run = False
        self._remember(message.run_id, run)
        task = asyncio.create_task(self._play(session, run, user, owner))
        self._tasks[run] = task

    async def _play(
        self, session: GatewaySession, run: SimulatedRun, user: dict[str, Any], owner: ClientConnection | None
    ) -> None:
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

    def _next(self, session: GatewaySession, done: SimulatedRun, owner: ClientConnection | None) -> None:
        """Start the queued messages under a new run id: all as one message, or the first."""
        for message in done.steered:
            self._empty_final(session, message)
        if not session.queue:
            return
        together = self._options.queue_mode != "followup"
        taken = list(session.queue) if together else session.queue[:1]
        del session.queue[: len(taken)]
        text = "\n\n".join(message.text for message in taken)
        self._start(session, UserMessage(self.new_id(), text, text), owner)

    def _steered(self, session: GatewaySession, message: UserMessage) -> None:
        user = {"role": "user", "content": message.text if self._options.protocol == 4 else _text(message.text)}
        session.add(message.run_id, user)
        self._empty_final(session, message)

    def _release(self, session: GatewaySession) -> None:
        """Send the frames that were held until this message."""
        held, session.held = session.held, []
        for event, payload in held:
            self._broadcast(event, payload)

    # -- the end of runs

    def abort(self, session: GatewaySession, run: SimulatedRun, reason: str) -> None:
        """Stop a run and send its ``aborted``. The caller sends ``abort_settled`` after its response."""
        partial = run.frames.final_text
        run.frames.aborted(reason)
        for message in run.steered:
            self._empty_final(session, message)
        run.steered.clear()
        session.queue.clear()  # an abort also drops the messages that waited for the run
        content = [{"type": "text", "text": partial}] if partial else []
        run.rows.append({"role": "assistant", "content": content, "stopReason": "aborted"})
        run.settle("aborted")
        session.active = None
        session.aborted_last_run = True
        self._tasks[run].cancel()

    async def kill(self) -> None:
        """End every run without an event, as a process that dies."""
        for session in self.all.values():
            session.queue.clear()
        tasks = list(self._tasks.values())
        for run in list(self._tasks):
            run.settle("killed")
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- parts of a run

    def _ask(self, body: dict[str, Any], fault: str) -> AsyncIterator[Piece]:
        return ask(self._http, self._options.provider_url, body, fault=fault)

    def _throttle(self) -> Callable[[], bool]:
        """A function that is called per piece of text: whether a chat delta is due."""
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

    def _remember(self, run_id: str, run: SimulatedRun | UserMessage) -> None:
        self.runs[run_id] = run
        while len(self.runs) > RUN_LIMIT:
            self.runs.popitem(last=False)


def _text(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]
