"""WebSockets of the simulator: the upgrade, frames, and one answer after the other in each lane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from wsproto.frame_protocol import CloseReason, FrameProtocol
from wsproto.utilities import generate_accept_token

from kmon.dialects.websocket import MessageReader
from kmon.simulator.connection import HttpConnection
from kmon.simulator.http import ServerRequest, response_head
from kmon.simulator.script import CloseFrame, SendHead, Whole
from kmon.simulator.wire import SocketRequest, SocketTalk

MESSAGE_LIMIT_BYTES = 32 * 1024 * 1024
OPEN_LIMIT = 64
"""Requests that are read before their answers have ended."""

Answer = Callable[[SocketRequest], Awaitable[None]]
"""Sends the answer to one request."""


def asks_for_a_socket(request: ServerRequest) -> bool:
    """Whether the request is the upgrade to a WebSocket."""
    upgrade = request.headers.get("upgrade", "").lower()
    return request.method == "GET" and upgrade == "websocket" and "sec-websocket-key" in request.headers


class SocketEnvelope:
    """Each piece of an answer to ``request`` is a text message; there is no head and no end."""

    def __init__(self, talk: SocketTalk, request: SocketRequest) -> None:
        self._talk, self._request = talk, request
        self._frames = FrameProtocol(client=False, extensions=[])

    def head(self, step: SendHead) -> bytes:
        return b""

    def piece(self, data: bytes) -> bytes:
        return bytes(self._frames.send_data(data.decode()))

    def end(self) -> bytes:
        return b""

    def whole(self, step: Whole) -> bytes:
        return self.piece(self._talk.refusal(step, self._request))

    def close(self, step: CloseFrame) -> bytes:
        return bytes(self._frames.close(step.code, step.reason))


async def serve(connection: HttpConnection, request: ServerRequest, talk: SocketTalk, answer: Answer) -> None:
    """Accept the upgrade, and have ``answer`` send an answer to each request until a side closes."""
    accepted = generate_accept_token(request.headers["sec-websocket-key"].encode()).decode()
    fields = (("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accepted))
    connection.upgrade()
    await connection.send(response_head(101, fields))
    frames, reader = FrameProtocol(client=False, extensions=[]), MessageReader(MESSAGE_LIMIT_BYTES, masked=True)
    async with asyncio.TaskGroup() as answering:
        lanes: dict[str, asyncio.Task[None]] = {}
        open_now: set[asyncio.Task[None]] = set()
        while data := await connection.read():
            for message in reader.feed(data):
                if message.kind == "ping":
                    connection.write(bytes(frames.pong(message.data)))
                elif message.kind == "close":
                    _close(connection, frames, message.code)
                elif message.kind == "text":
                    asked = talk.read(message.data)
                    if isinstance(asked, bytes):
                        connection.write(bytes(frames.send_data(asked.decode())))
                        continue
                    while len(open_now) >= OPEN_LIMIT:
                        await asyncio.wait(open_now, return_when=asyncio.FIRST_COMPLETED)
                    task = answering.create_task(_after(lanes.get(asked.lane), answer, asked))
                    lanes[asked.lane] = task
                    open_now.add(task)
                    task.add_done_callback(open_now.discard)
            if reader.violation is not None:
                _close(connection, frames, reader.violation.code)
        for task in open_now:
            task.cancel()


async def _after(before: asyncio.Task[None] | None, answer: Answer, request: SocketRequest) -> None:
    if before is not None:
        await asyncio.wait([before])
    await answer(request)


def _close(connection: HttpConnection, frames: FrameProtocol, code: int) -> None:
    connection.write(bytes(frames.close(code if code != CloseReason.NO_STATUS_RCVD else None)))
    connection.close()
