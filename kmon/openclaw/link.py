"""A link to a gateway: a WebSocket after its handshake; responses are matched to requests, all frames keep their order.

Every wait has a limit: the handshake, each request, and silence, since a gateway sends ticks.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import httpcore
from msgspec import Struct

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded, frame_text
from kmon.dialects.delta import StreamError
from kmon.dialects.fault import malformed
from kmon.dialects.text import clean
from kmon.dialects.websocket import TICK_TIMEOUT, WebSocketMessage, explained
from kmon.openclaw.protocol import frames
from kmon.openclaw.protocol.device import Device
from kmon.openclaw.protocol.frames import (
    FRAME_LIMIT_BEFORE_HELLO_BYTES,
    FrameError,
    GatewayEvent,
    GatewayRequest,
    GatewayResponse,
)
from kmon.openclaw.protocol.handshake import Access, Handshake, Hello, Refused, TryAgain
from kmon.openclaw.protocol.liveness import Gap, Sequence, Ticks
from kmon.transport.errors import ExchangeError
from kmon.transport.phase import OnPhase, OnSampler
from kmon.transport.websocket import WebSocket, open_websocket

CHALLENGE_WAIT_S = 15.0
REQUEST_WAIT_S = 30.0
STARTING_LIMIT_S = 60.0
"""For how long a gateway that is still starting gets new connections."""
WAITING_LIMIT_EVENTS = 20_000
"""Events in the queue; above it the socket is not read, and the gateway drops events or closes the connection."""
BACKOFF_S = (1.0, 30.0)
"""The first wait before a new connection, and the longest."""


class WebSocketPing(Struct, frozen=True):
    """A ping or pong of the WebSocket: the gateway is alive, and nothing more."""

    kind: Literal["ping", "pong"]


class Unreadable(Struct, frozen=True):
    """A message that is no frame."""

    error: StreamError


class LinkClosed(Struct, frozen=True):
    """How the link ended, as close code and reason. Always the last item received."""

    code: int
    reason: str

    @property
    def sentence(self) -> str:
        return f"the gateway's WebSocket closed with {explained(self.code, self.reason)}"

    @property
    def error(self) -> StreamError:
        return StreamError("websocket-closed", self.sentence, code=str(self.code))


Received = GatewayEvent | GatewayResponse | GatewayRequest | Gap | WebSocketPing | Unreadable | LinkClosed
"""A :class:`GatewayRequest` is one that kmon sent; everything else came from the gateway."""


def backoff_s(failures: int) -> float:
    """The wait before the next connection: 1, 2, 4, ... at most 30 s."""
    return min(BACKOFF_S[0] * 2.0 ** min(max(failures - 1, 0), 10), BACKOFF_S[1])


class Link:
    """A connection that the gateway accepted. Created by :func:`open_link`."""

    def __init__(self, socket: WebSocket, hello: Hello, t_ns: int, answer: GatewayResponse) -> None:
        self.hello = hello
        self._socket = socket
        self._ids = itertools.count(1)
        self._name = secrets.token_hex(3)
        self._open: dict[str, asyncio.Future[tuple[int, GatewayResponse]]] = {}
        self._queue: asyncio.Queue[tuple[int, Received]] = asyncio.Queue(WAITING_LIMIT_EVENTS)
        self._sequence = Sequence()
        self._ticks = Ticks(hello.tick_ms, time.monotonic_ns())
        self.closed: LinkClosed | None = None
        self._queue.put_nowait((t_ns, answer))

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        limit_s: float = REQUEST_WAIT_S,
        on_sent: Callable[[int], None] | None = None,
    ) -> tuple[int, GatewayResponse]:
        """Send a request and wait for its response: CLOCK_MONOTONIC ns of its arrival, and the response.

        ``on_sent`` is called with the ns at which the request was sent. Raises :class:`ExchangeError` when no response
        comes within ``limit_s`` or the link ends before.
        """
        request = GatewayRequest(f"kmon-{self._name}-{next(self._ids)}", method, params)
        answer: asyncio.Future[tuple[int, GatewayResponse]] = asyncio.get_running_loop().create_future()
        if self.closed is not None:
            raise ExchangeError(self.closed.error)
        self._open[request.id] = answer
        try:
            await self._queue.put((time.monotonic_ns(), request))
            await self._socket.send(frames.encode(request))
            if on_sent is not None:
                on_sent(time.monotonic_ns())
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError:
            raise ExchangeError(StreamError("timeout", f"no answer to {method} within {limit_s:g} s")) from None
        finally:
            self._open.pop(request.id, None)

    async def received(self) -> AsyncIterator[tuple[int, Received]]:
        """All frames in order, each with its ns, from the hello to :class:`LinkClosed`. The ``connect`` is left out."""
        while True:
            t_ns, received = await self._queue.get()
            yield t_ns, received
            if isinstance(received, LinkClosed):
                return

    async def read(self) -> None:
        """Read until the end. Run as a task by :func:`open_link`."""
        watchdog = asyncio.create_task(self._watch_ticks())
        try:
            await self._read()
        except (ExchangeError, httpcore.NetworkError, httpcore.TimeoutException) as error:
            why = error.error.message if isinstance(error, ExchangeError) else str(error)
            closed = self._socket.closed
            await self._close(LinkClosed(1006 if closed is None else closed.code, clean(why)))
        finally:
            watchdog.cancel()

    async def _read(self) -> None:
        async for t_ns, message in self._socket.messages():
            self._ticks.see(t_ns)
            if message.kind == "close":
                await self._close(LinkClosed(message.code, _reason(message)), t_ns)
                return
            if message.kind in ("ping", "pong"):
                await self._queue.put((t_ns, WebSocketPing(message.kind)))
                continue
            try:
                frame = frames.parse(message.data)
            except FrameError as error:
                unreadable = malformed(f"a message is no frame of the gateway: {error}", _shown(message))
                await self._queue.put((t_ns, Unreadable(unreadable)))
                continue
            if isinstance(frame, GatewayRequest):
                continue  # a gateway sends no requests to an operator
            if isinstance(frame, GatewayEvent) and (gap := self._sequence.see(frame.seq)) is not None:
                await self._queue.put((t_ns, gap))
            await self._queue.put((t_ns, frame))
            waiting = self._open.get(frame.id) if isinstance(frame, GatewayResponse) else None
            if waiting is not None and isinstance(frame, GatewayResponse) and not waiting.done():
                waiting.set_result((t_ns, frame))

    async def _watch_ticks(self) -> None:
        while (left_ns := self._ticks.deadline_ns - time.monotonic_ns()) > 0:  # noqa: ASYNC110 - it moves meanwhile
            await asyncio.sleep(left_ns / 1e9)
        silent_s = 2 * self._ticks.interval_ms / 1000
        await self._close(LinkClosed(TICK_TIMEOUT, f"nothing for {silent_s:g} s"))
        await self._socket.close(TICK_TIMEOUT, "tick timeout")

    async def _close(self, closed: LinkClosed, t_ns: int | None = None) -> None:
        if self.closed is not None:
            return
        self.closed = closed
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(ExchangeError(closed.error))
        await self._queue.put((time.monotonic_ns() if t_ns is None else t_ns, closed))


@contextlib.asynccontextmanager
async def open_link(
    url: str,
    *,
    access: Access,
    scopes: tuple[str, ...],
    device: Callable[[], Device],
    ssl_context: ssl.SSLContext,
    open_timeout_s: float,
    on_phase: OnPhase,
    on_sampler: OnSampler | None = None,
) -> AsyncIterator[Link]:
    """Connect and do the handshake, for up to a minute while the gateway is starting. Leaving closes the socket.

    Raises :class:`ExchangeError` with one sentence, or httpcore's exceptions when there is no connection.
    """
    deadline_s = asyncio.get_running_loop().time() + STARTING_LIMIT_S
    while True:
        async with contextlib.AsyncExitStack() as stack:
            socket = await stack.enter_async_context(
                open_websocket(
                    url,
                    ssl_context=ssl_context,
                    limit_bytes=FRAME_LIMIT_BEFORE_HELLO_BYTES,
                    open_timeout_s=open_timeout_s,
                    on_phase=on_phase,
                    on_sampler=on_sampler,
                )
            )
            step, t_ns, answer = await _handshake(socket, Handshake(access, scopes, device))
            if isinstance(step, Hello):
                socket.allow(step.max_payload_bytes)
                link = Link(socket, step, t_ns, answer)
                tasks = [asyncio.create_task(link.read()), asyncio.create_task(socket.pinging())]
                try:
                    yield link
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
                return
        if asyncio.get_running_loop().time() + step.wait_ms / 1000 > deadline_s:
            raise _failed(f"the gateway is still starting after a minute: {step.why}")
        await asyncio.sleep(step.wait_ms / 1000)


async def _handshake(socket: WebSocket, handshake: Handshake) -> tuple[Hello | TryAgain, int, GatewayResponse]:
    challenged = False
    try:
        async with asyncio.timeout(CHALLENGE_WAIT_S):
            async for t_ns, message in socket.messages():
                if message.kind == "close":
                    how = explained(message.code, _reason(message))
                    raise _failed(f"the gateway ended the handshake: it closed with {how}", code=str(message.code))
                if message.kind not in ("text", "binary"):
                    continue
                try:
                    frame = frames.parse(message.data)
                except FrameError as error:
                    sentence = f"what answers is no gateway: its first message is no frame ({error})"
                    raise _failed(sentence, frame=_shown(message)) from None
                step = handshake.feed(frame)
                if isinstance(step, GatewayRequest):
                    challenged = True
                    await socket.send(frames.encode(step))
                elif isinstance(step, Refused):
                    raise ExchangeError(step.error)
                elif step is not None and isinstance(frame, GatewayResponse):
                    return step, t_ns, frame
    except TimeoutError:
        what = "no answer to connect" if challenged else "no challenge"
        sentence = f"the WebSocket is open, but {what} came within {CHALLENGE_WAIT_S:g} s: no gateway, or stuck"
        raise _failed(sentence) from None
    raise _failed("the gateway closed the connection before the handshake was over")


def _failed(sentence: str, *, code: str | None = None, frame: str = "") -> ExchangeError:
    return ExchangeError(StreamError("handshake", sentence, code=code, frame=frame))


def _shown(message: WebSocketMessage) -> str:
    return clean(frame_text(message.data))


def _reason(message: WebSocketMessage) -> str:
    return bounded(clean(message.data.decode("utf-8", "replace")), NAME_LIMIT_CHARS)
