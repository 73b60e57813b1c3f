"""Plays a script on a connection, in real time, and keeps the account."""

from __future__ import annotations

import asyncio
import time
from math import inf

from kmon.simulator.connection import Connection
from kmon.simulator.http import LAST_CHUNK, chunk, response_head, whole
from kmon.simulator.parked import Conversation, HeldAnswers
from kmon.simulator.request_log import Exchange
from kmon.simulator.script import Beat, Close, Cut, Deaf, End, Head, Hold, Raw, Reset, Script, Send, Silence, Whole

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid")

SETTLE_S = 0.05
"""Until what was sent is acknowledged."""


class Player:
    """One answer being sent. Steps are due at absolute times, so that late ones do not add up to drift."""

    def __init__(self, connection: Connection, exchange: Exchange, held: HeldAnswers) -> None:
        self._connection = connection
        self._exchange = exchange
        self._held = held
        self._clock = asyncio.get_running_loop().time
        self._due_s = self._clock()
        self._said: list[str] = []

    async def play(self, script: Script, conversation: Conversation | None = None) -> None:
        """Send it all. Ends early, by cancellation, when the client leaves."""
        for step in script:
            match step:
                case Head():
                    await self._until(step.after_s)
                    self._note(step)
                    await self._send(response_head(step.status, (*step.headers, ("transfer-encoding", "chunked"))))
                case Send():
                    await self._until(step.after_s)
                    self._said.append(step.text)
                    await self._send(chunk(step.data), is_chunk=True)
                case Beat():
                    await self._beat(step)
                case Hold() if conversation is not None:
                    with self._held.hold(conversation, "".join(self._said)) as released:
                        await released.wait()
                    self._due_s = self._clock()
                case Hold() | Silence():
                    await asyncio.Event().wait()
                case Reset():
                    announced = chunk(step.data) if step.data else b""
                    if announced:
                        await self._send(announced[: len(announced) // 2])
                    await self._until(step.after_s)
                    self._connection.reset()
                    self._exchange.end("reset")
                    return
                case Raw():
                    await self._until(step.after_s)
                    await self._send(step.data)
                case Close():
                    await self._until(step.after_s)
                    self._exchange.end("clean")
                    self._connection.hang_up()
                    return
                case Cut():
                    await self._until(step.after_s)
                    self._exchange.end("clean")
                    self._connection.cut()
                    return
                case Deaf():
                    await asyncio.sleep(SETTLE_S)
                    self._connection.deafen()
                case End():
                    await self._until(step.after_s)
                    await self._send(LAST_CHUNK)
                case Whole():
                    await self._until(step.after_s)
                    self._note(step)
                    await self._send(whole(step.status, step.headers, step.body))
        self._exchange.end("clean")

    def _note(self, step: Head | Whole) -> None:
        self._exchange.status = step.status
        self._exchange.request_id = next((v for name, v in step.headers if name.lower() in REQUEST_ID_HEADERS), "")

    async def _until(self, after_s: float) -> None:
        self._due_s += after_s
        await asyncio.sleep(max(0.0, self._due_s - self._clock()))

    async def _beat(self, step: Beat) -> None:
        end_s = inf if step.duration_s is None else self._due_s + step.duration_s
        while self._due_s + step.every_s < end_s:
            await self._until(step.every_s)
            await self._send(chunk(step.data), is_chunk=True)
        await self._until(end_s - self._due_s)

    async def _send(self, data: bytes, *, is_chunk: bool = False) -> None:
        self._exchange.sent(len(data), time.monotonic_ns(), chunk=is_chunk)
        self._connection.write(data)
        if not self._connection.keeps_up:
            self._exchange.blocked(time.monotonic_ns(), self._connection.unsent_bytes)
            try:
                await self._connection.caught_up()
            finally:
                self._exchange.unblocked(time.monotonic_ns())


async def answer_whole(connection: Connection, exchange: Exchange, answer: Whole) -> None:
    """Send a complete response at once."""
    exchange.status = answer.status
    data = whole(answer.status, answer.headers, answer.body)
    exchange.sent(len(data), time.monotonic_ns(), chunk=False)
    await connection.send(data)
    exchange.end("clean")
