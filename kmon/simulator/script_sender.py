"""Sends a script on a connection in real time, and records what was sent."""

from __future__ import annotations

import asyncio
import time
from math import inf
from typing import Protocol

from kmon.simulator.connection import HttpConnection
from kmon.simulator.held_answers import HeldAnswers, HeldConversation
from kmon.simulator.http import LAST_CHUNK, chunk, response_head, whole
from kmon.simulator.request_log import LoggedRequest
from kmon.simulator.script import (
    Close,
    CloseFrame,
    Cut,
    DropInput,
    EndBody,
    Hold,
    KeepAlives,
    KeepOpen,
    Raw,
    Reset,
    Script,
    SendChunk,
    SendHead,
    Whole,
)

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid")
SETTLE_S = 0.05
"""Time for the client to acknowledge what was sent."""


class Envelope(Protocol):
    """What is around the pieces of an answer on the wire. Empty bytes are not sent."""

    def head(self, step: SendHead) -> bytes: ...

    def piece(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...

    def whole(self, step: Whole) -> bytes: ...

    def close(self, step: CloseFrame) -> bytes: ...


class HttpEnvelope:
    """A chunked body of HTTP/1.1, or a sized one."""

    def head(self, step: SendHead) -> bytes:
        return response_head(step.status, (*step.headers, ("transfer-encoding", "chunked")))

    def piece(self, data: bytes) -> bytes:
        return chunk(data)

    def end(self) -> bytes:
        return LAST_CHUNK

    def whole(self, step: Whole) -> bytes:
        return whole(step.status, step.headers, step.body)

    def close(self, step: CloseFrame) -> bytes:
        return b""  # HTTP has none


class ScriptSender:
    """Sends one answer. Steps are due at absolute times, so that delays do not add up to drift."""

    def __init__(
        self,
        connection: HttpConnection,
        logged: LoggedRequest,
        held: HeldAnswers,
        envelope: Envelope = HttpEnvelope(),  # noqa: B008 - it has no state
    ) -> None:
        self._connection, self._envelope = connection, envelope
        self._logged = logged
        self._held = held
        self._clock = asyncio.get_running_loop().time
        self._due_s = self._clock()
        self._text: list[str] = []

    async def send(self, script: Script, conversation: HeldConversation | None = None) -> None:
        """Send all steps; cancelled when the client leaves. Without a ``conversation``, ``Hold`` never ends."""
        for step in script:
            match step:
                case SendHead():
                    await self._until(step.after_s)
                    self._log_head(step)
                    await self._write(self._envelope.head(step))
                case SendChunk():
                    await self._until(step.after_s)
                    self._text.append(step.text)
                    await self._write(self._envelope.piece(step.data), is_chunk=True)
                case KeepAlives():
                    await self._keep_alive(step)
                case Hold() if conversation is not None:
                    with self._held.hold(conversation, "".join(self._text)) as released:
                        await released.wait()
                    self._due_s = self._clock()
                case Hold() | KeepOpen():
                    await asyncio.Event().wait()
                case Reset():
                    announced = self._envelope.piece(step.data) if step.data else b""
                    if announced:
                        await self._write(announced[: len(announced) // 2])
                    await self._until(step.after_s)
                    self._connection.reset()
                    self._logged.end("reset")
                    return
                case Raw():
                    await self._until(step.after_s)
                    await self._write(step.data)
                case Close() | CloseFrame() | Cut():
                    await self._until(step.after_s)
                    if isinstance(step, CloseFrame):
                        await self._write(self._envelope.close(step))
                    self._logged.end("clean")
                    if isinstance(step, Cut):
                        self._connection.cut()
                    else:
                        self._connection.close()
                    return
                case DropInput():
                    await asyncio.sleep(SETTLE_S)
                    self._connection.drop_input()
                case EndBody():
                    await self._until(step.after_s)
                    await self._write(self._envelope.end())
                case Whole():
                    await self._until(step.after_s)
                    self._log_head(step)
                    await self._write(self._envelope.whole(step))
        self._logged.end("clean")

    def _log_head(self, step: SendHead | Whole) -> None:
        self._logged.status = step.status
        self._logged.request_id = next((v for name, v in step.headers if name.lower() in REQUEST_ID_HEADERS), "")

    async def _until(self, after_s: float) -> None:
        self._due_s += after_s
        await asyncio.sleep(max(0.0, self._due_s - self._clock()))

    async def _keep_alive(self, step: KeepAlives) -> None:
        end_s = inf if step.duration_s is None else self._due_s + step.duration_s
        while self._due_s + step.every_s < end_s:
            await self._until(step.every_s)
            await self._write(self._envelope.piece(step.data), is_chunk=True)
        await self._until(end_s - self._due_s)

    async def _write(self, data: bytes, *, is_chunk: bool = False) -> None:
        if not data:
            return
        self._logged.sent(len(data), time.monotonic_ns(), chunk=is_chunk)
        self._connection.write(data)
        if not self._connection.keeps_up:
            self._logged.blocked(time.monotonic_ns(), self._connection.unsent_bytes)
            try:
                await self._connection.caught_up()
            finally:
                self._logged.unblocked(time.monotonic_ns())


async def send_whole(connection: HttpConnection, logged: LoggedRequest, answer: Whole) -> None:
    """Send a complete response at once."""
    logged.status = answer.status
    data = whole(answer.status, answer.headers, answer.body)
    logged.sent(len(data), time.monotonic_ns(), chunk=False)
    await connection.send(data)
    logged.end("clean")
