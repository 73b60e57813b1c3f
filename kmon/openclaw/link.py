"""A link to a gateway: a WebSocket, let in by the handshake, with requests matched by id and everything else in order.

Every wait has a bound: the handshake, each request, and silence itself, since a gateway ticks.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpcore
from msgspec import Struct

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded, frame_text
from kmon.dialects.close_codes import TICK_TIMEOUT, explained
from kmon.dialects.delta import StreamError
from kmon.dialects.fault import malformed
from kmon.dialects.text import clean
from kmon.dialects.websocket import Message
from kmon.openclaw.protocol import frames
from kmon.openclaw.protocol.device import Device
from kmon.openclaw.protocol.frames import FRAME_LIMIT_BEFORE_HELLO_BYTES, FrameError, GatewayEvent, Request, Response
from kmon.openclaw.protocol.handshake import Access, Handshake, Hello, Refused, TryAgain
from kmon.openclaw.protocol.liveness import Gap, Sequence, Ticks
from kmon.transport.errors import ExchangeError
from kmon.transport.phase import OnLine, OnPhase
from kmon.transport.websocket import WebSocket, open_websocket

CHALLENGE_WAIT_S = 15.0
REQUEST_WAIT_S = 30.0
STARTING_LIMIT_S = 60.0
"""How long a gateway that says it is starting is asked again."""
WAITING_LIMIT_EVENTS = 20_000
"""Events nobody has taken yet; past it the socket is left alone, and the gateway drops or closes a slow reader."""
BACKOFF_S = (1.0, 30.0)


class Life(Struct, frozen=True):
    """A sign of life that says nothing else: a protocol ping or pong."""

    kind: str


class Unreadable(Struct, frozen=True):
    """A message that is no frame."""

    error: StreamError


class Ended(Struct, frozen=True):
    """How the link ended, in code and words. Always the last thing heard."""

    code: int
    reason: str

    @property
    def sentence(self) -> str:
        return f"the gateway's WebSocket closed with {explained(self.code, self.reason)}"


Heard = GatewayEvent | Response | Request | Gap | Life | Unreadable | Ended
"""A :class:`Request` is one that was sent here; all else came in."""


def backoff_s(failures: int) -> float:
    """How long to wait before the next connection: 1, 2, 4, ... at most 30 s."""
    return min(BACKOFF_S[0] * 2.0 ** min(max(failures - 1, 0), 10), BACKOFF_S[1])


class Link:
    """A gateway that let us in. Make one with :func:`open_link`."""

    def __init__(self, socket: WebSocket, hello: Hello, t_ns: int, answer: Response) -> None:
        self.hello = hello
        self._socket = socket
        self._ids = itertools.count(1)
        self._name = secrets.token_hex(3)
        self._asked: dict[str, asyncio.Future[tuple[int, Response]]] = {}
        self._queue: asyncio.Queue[tuple[int, Heard]] = asyncio.Queue(WAITING_LIMIT_EVENTS)
        self._sequence = Sequence()
        self._ticks = Ticks(hello.tick_ms, time.monotonic_ns())
        self.ended: Ended | None = None
        self._queue.put_nowait((t_ns, answer))

    async def request(self, method: str, params: dict[str, Any], limit_s: float = REQUEST_WAIT_S) -> Response:
        """Ask and wait for the answer, however the answers are ordered. See :meth:`asked`."""
        return (await self.asked(method, params, limit_s))[1]

    async def asked(
        self,
        method: str,
        params: dict[str, Any],
        limit_s: float = REQUEST_WAIT_S,
        on_sent: Callable[[int], None] | None = None,
    ) -> tuple[int, Response]:
        """The answer to a request with its stamp. ``on_sent`` is told when the request had left.

        Raises :class:`ExchangeError` when none comes within ``limit_s`` or the link ends before.
        """
        request = Request(f"kmon-{self._name}-{next(self._ids)}", method, params)
        answer: asyncio.Future[tuple[int, Response]] = asyncio.get_running_loop().create_future()
        if self.ended is not None:
            raise ExchangeError(StreamError("websocket-closed", self.ended.sentence, code=str(self.ended.code)))
        self._asked[request.id] = answer
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
            self._asked.pop(request.id, None)

    async def heard(self) -> AsyncIterator[tuple[int, Heard]]:
        """All that is said, stamped and in order, from the hello until it :class:`Ended`; never the ``connect``."""
        while True:
            t_ns, heard = await self._queue.get()
            yield t_ns, heard
            if isinstance(heard, Ended):
                return

    async def read(self) -> None:
        """Read until the end. Run as a task by :func:`open_link`."""
        watchdog = asyncio.create_task(self._watch_ticks())
        try:
            await self._read()
        except (ExchangeError, httpcore.NetworkError, httpcore.TimeoutException) as error:
            said = error.error.message if isinstance(error, ExchangeError) else str(error)
            closed = self._socket.closed
            await self._end(Ended(1006 if closed is None else closed.code, clean(said)))
        finally:
            watchdog.cancel()

    async def _read(self) -> None:
        async for t_ns, message in self._socket.messages():
            self._ticks.see(t_ns)
            if message.kind == "close":
                await self._end(Ended(message.code, _reason(message)), t_ns)
                return
            if message.kind in ("ping", "pong"):
                await self._queue.put((t_ns, Life(message.kind)))
                continue
            try:
                frame = frames.parse(message.data)
            except FrameError as error:
                await self._queue.put((t_ns, Unreadable(_unreadable(error, message))))
                continue
            if isinstance(frame, Request):
                continue  # a gateway asks nothing of an operator
            if isinstance(frame, GatewayEvent) and (gap := self._sequence.see(frame.seq)) is not None:
                await self._queue.put((t_ns, gap))
            await self._queue.put((t_ns, frame))
            waiting = self._asked.get(frame.id) if isinstance(frame, Response) else None
            if waiting is not None and isinstance(frame, Response) and not waiting.done():
                waiting.set_result((t_ns, frame))

    async def _watch_ticks(self) -> None:
        while (left_ns := self._ticks.deadline_ns - time.monotonic_ns()) > 0:  # noqa: ASYNC110 - it moves meanwhile
            await asyncio.sleep(left_ns / 1e9)
        silent_s = 2 * self._ticks.interval_ms / 1000
        await self._end(Ended(TICK_TIMEOUT, f"nothing for {silent_s:g} s"))
        await self._socket.close(TICK_TIMEOUT, "tick timeout")

    async def _end(self, ended: Ended, t_ns: int | None = None) -> None:
        if self.ended is not None:
            return
        self.ended = ended
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(
                    ExchangeError(StreamError("websocket-closed", ended.sentence, code=str(ended.code)))
                )
        await self._queue.put((time.monotonic_ns() if t_ns is None else t_ns, ended))


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
    on_line: OnLine | None = None,
) -> AsyncIterator[Link]:
    """Connect and be let in; a gateway that is starting is asked again for a minute. Leaving closes the socket.

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
                    on_line=on_line,
                )
            )
            got, t_ns, answer = await _shaken(socket, Handshake(access, scopes, device))
            if isinstance(got, Hello):
                socket.allow(got.max_payload_bytes)
                link = Link(socket, got, t_ns, answer)
                tasks = [asyncio.create_task(link.read()), asyncio.create_task(socket.pinging())]
                try:
                    yield link
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
                return
        if asyncio.get_running_loop().time() + got.wait_ms / 1000 > deadline_s:
            raise ExchangeError(StreamError("handshake", f"the gateway is still starting after a minute: {got.why}"))
        await asyncio.sleep(got.wait_ms / 1000)


async def _shaken(socket: WebSocket, handshake: Handshake) -> tuple[Hello | TryAgain, int, Response]:
    greeted = False
    try:
        async with asyncio.timeout(CHALLENGE_WAIT_S):
            async for t_ns, message in socket.messages():
                if message.kind == "close":
                    raise ExchangeError(
                        StreamError(
                            "handshake",
                            "the gateway ended the handshake: it closed with "
                            + explained(message.code, _reason(message)),
                            code=str(message.code),
                        )
                    )
                if message.kind not in ("text", "binary"):
                    continue
                try:
                    frame = frames.parse(message.data)
                except FrameError as error:
                    raise ExchangeError(
                        StreamError(
                            "handshake",
                            f"what answers is no gateway: its first message is no frame ({error})",
                            frame=_shown(message),
                        )
                    ) from None
                step = handshake.feed(frame)
                if isinstance(step, Request):
                    greeted = True
                    await socket.send(frames.encode(step))
                elif isinstance(step, Refused):
                    raise ExchangeError(step.error)
                elif step is not None and isinstance(frame, Response):
                    return step, t_ns, frame
    except TimeoutError:
        what = "no answer to connect" if greeted else "no challenge"
        raise ExchangeError(
            StreamError(
                "handshake",
                f"the WebSocket is open, but {what} came within {CHALLENGE_WAIT_S:g} s: no gateway, or stuck",
            )
        ) from None
    raise ExchangeError(StreamError("handshake", "the gateway closed the connection before the handshake was over"))


def _unreadable(error: FrameError, message: Message) -> StreamError:
    return malformed(f"a message is no frame of the gateway: {error}", _shown(message))


def _shown(message: Message) -> str:
    return clean(frame_text(message.data))


def _reason(message: Message) -> str:
    return bounded(clean(message.data.decode("utf-8", "replace")), NAME_LIMIT_CHARS)
