"""One client and its upstream: two pipes that pass bytes on as they come, and end together.

A client's connection has exactly one connection to the upstream, so that whatever one side does to it (keeping it,
half a request, a reset) is done to the other. Both directions wait for their reader: what a slow one has not taken is
not read from the other side, past a bounded buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpcore

from kmon.dialects.delta import StreamError
from kmon.proxy.relay.head import RequestHead
from kmon.proxy.relay.observer import Delivery, End, Watch, Watcher
from kmon.proxy.relay.parting import PARTING_S, READ_BYTES, answer, part
from kmon.proxy.relay.request_side import IMPATIENT, Asking, Check, Open
from kmon.proxy.relay.response_side import Answering
from kmon.proxy.relay.upstream import Upstream
from kmon.transport.backend import StampedStream
from kmon.transport.errors import CONNECT_TIMEOUT, stream_error
from kmon.transport.phase import Phase
from kmon.transport.tcp_info import TcpSampler

LAST_WORDS_S = 0.5
"""How long what a client sent before it left may still take to reach the upstream."""
_DRAIN_STEP_S = 0.01
_NETWORK_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError)

Finish = Callable[[], Awaitable[None]]
"""What is to be done when a pipe has ended."""


class Connection:
    """Serves one client from its first byte to the last of both sides.

    ``check`` judges who asks, and tells of it itself; ``complain`` is told what is no request.
    """

    def __init__(
        self,
        client: StampedStream,
        upstream: Upstream,
        *,
        context: ssl.SSLContext,
        connect_timeout_s: float,
        check: Check,
        watch: Watch,
        complain: Callable[[str], None],
    ) -> None:
        self._client, self._to = client, upstream
        self._context, self._limit_s = context, connect_timeout_s
        self._watch, self._complain = watch, complain
        self._asking = Asking(upstream.authority, check, self._opened)
        self._answering = Answering(self._asking.open)
        self._upstream: httpcore.AsyncNetworkStream | None = None
        self._stamps: StampedStream | None = None
        self._line: TcpSampler | None = None
        self._news = {"upgrade": asyncio.Event(), "answered": asyncio.Event()}
        self._delivery = Delivery()
        self._abort = asyncio.Event()

    async def serve(self) -> None:
        """Pass everything on until either side ends; then the other's connection is ended the same way."""
        work = asyncio.create_task(self._serve())
        abort = asyncio.create_task(self._abort.wait())
        try:
            await asyncio.wait({work, abort}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self._all_ended(End("aborted"))
        finally:
            try:
                await _ended(work, abort)
            finally:  # also where the server is closed just then
                self._all_ended(End("aborted"))
                await self._client.aclose()
                await self._hang_up()
        if not work.cancelled():
            work.result()

    def _opened(self, t_ns: int, head: RequestHead) -> Watcher:
        watcher = self._watch(t_ns, head, self._abort.set)
        watcher.delivered_by(self._delivery)
        if self._line is not None:
            watcher.upstream_line(self._line)
        return watcher

    # -- life ----------------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        first = await self._first_request()
        if first is None:
            return
        if not first[0]:
            await self._refuse()
            return
        dialled = asyncio.create_task(self._dial())
        gone = asyncio.create_task(self._client.ended())
        try:
            await asyncio.wait({dialled, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not dialled.done():
                self._all_ended(End("client-left"))
                return
        finally:
            await _ended(gone)
            if not dialled.done():
                await _ended(dialled)
        unreachable = dialled.result()
        if unreachable is not None:
            to_head = self._asking.open[0].head.method == "HEAD"
            self._all_ended(End("unreachable", unreachable))
            said = f"kmon proxy cannot reach {self._to.authority}: {unreachable.message}"
            status = 504 if unreachable.code == CONNECT_TIMEOUT else 502
            await part(self._client, answer(status, said, unreachable.kind, to_head=to_head))
            return
        await self._pass(first)

    async def _first_request(self) -> tuple[bytes, list[Open]] | None:
        """The first bytes that can be passed on, none if they are refused; None when the client leaves before."""
        while True:
            try:
                data = await self._client.read(READ_BYTES)
            except httpcore.NetworkError:
                return None
            if not data:
                return None
            first = self._asking.feed(self._client.last_read_ns, data)
            if first[0] or self._asking.problem is not None:
                return first

    async def _dial(self) -> StreamError | None:
        watcher = self._asking.open[0].watcher

        def on_phase(phase: Phase, t_ns: int, detail: str) -> None:
            watcher.phase(phase, t_ns, detail)

        def on_line(line: TcpSampler) -> None:
            self._line = line
            watcher.upstream_line(line)

        try:
            self._upstream, self._stamps = await self._to.dial(self._context, self._limit_s, on_phase, on_line)
        except (*_NETWORK_ERRORS, ValueError) as error:
            return stream_error(error)
        return None

    async def _pass(self, first: tuple[bytes, list[Open]]) -> None:
        up, down = asyncio.create_task(self._up(first)), asyncio.create_task(self._down())
        gone = asyncio.create_task(self._client.ended())
        try:
            await asyncio.wait({up, down, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not up.done() and not down.done():  # its last words may still be on their way up
                await asyncio.wait({up, down}, timeout=LAST_WORDS_S, return_when=asyncio.FIRST_COMPLETED)
            over = next((pipe for pipe in (down, up) if pipe.done()), None)
            finish = partial(self._client_left, None) if over is None else over.result()
        finally:
            await _ended(up, down, gone)
        await finish()

    # -- the two pipes: each returns what is then to be done -----------------------------------------------------------

    async def _up(self, first: tuple[bytes, list[Open]]) -> Finish:
        assert self._upstream is not None
        piece, sent = first
        try:
            while True:
                if piece:
                    await self._upstream.write(piece)
                for request in sent:
                    request.sent = True
                    request.watcher.phase("request_sent", time.monotonic_ns(), "")
                if self._asking.problem is not None:
                    return await self._answers_before()
                if self._asking.held:
                    if not await self._upgrade_settled():
                        return partial(self._client_left, None)
                    tunnel = self._answering.tunnel
                    piece, sent = self._asking.release(time.monotonic_ns(), tunnel)
                    if piece or sent or self._asking.held or self._asking.problem is not None:
                        continue
                try:
                    data = await self._client.read(READ_BYTES)
                except httpcore.NetworkError as error:
                    return partial(self._client_left, error)
                if not data:
                    return partial(self._client_left, None)
                piece, sent = self._asking.feed(self._client.last_read_ns, data)
        except _NETWORK_ERRORS:
            return await self._only_answer_left()

    async def _down(self) -> Finish:
        assert self._upstream is not None
        assert self._stamps is not None
        while True:
            try:
                data = await self._upstream.read(READ_BYTES)
            except _NETWORK_ERRORS as error:
                return partial(self._upstream_lost, error)
            if not data:
                return partial(self._upstream_ended)
            news = self._answering.feed(self._stamps.last_read_ns, data)
            self._delivery.offered_ns = time.monotonic_ns()
            try:
                await self._client.write(data)
            except (httpcore.NetworkError, OSError) as error:
                return partial(self._client_left, error)
            self._delivery.offered_ns = None
            if news is not None:
                self._news[news].set()

    async def _upgrade_settled(self) -> bool:
        """Wait for the answer to an upgrade; False when the client leaves before."""
        settled = asyncio.create_task(self._news["upgrade"].wait())
        gone = asyncio.create_task(self._client.ended())
        try:
            await asyncio.wait({settled, gone}, return_when=asyncio.FIRST_COMPLETED)
            self._news["upgrade"].clear()
            return settled.done()
        finally:
            await _ended(settled, gone)

    async def _only_answer_left(self) -> Finish:
        """The upstream takes no more of the request: it may have answered already, which the other pipe will see."""
        while True:
            try:
                if not await self._client.read(READ_BYTES):
                    return partial(self._client_left, None)
            except httpcore.NetworkError as error:
                return partial(self._client_left, error)

    async def _answers_before(self) -> Finish:
        """Something is refused: the requests before it, which are whole, still get their answers."""
        assert self._asking.problem is not None
        reading = asyncio.create_task(self._only_answer_left())
        try:
            while (opened := self._asking.open) and opened[0].sent and self._asking.problem.code != IMPATIENT:
                answered = asyncio.create_task(self._news["answered"].wait())
                await asyncio.wait({reading, answered}, return_when=asyncio.FIRST_COMPLETED)
                await _ended(answered)
                if reading.done():
                    return reading.result()
                self._news["answered"].clear()
        finally:
            await _ended(reading)
        return self._refuse

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _client_left(self, error: Exception | None) -> None:
        self._all_ended(End("client-left"))
        await self._hang_up(reset=error is not None)

    async def _upstream_ended(self) -> None:
        if self._answering.tunnel is None:
            error = self._answering.upstream_ended()
            how = End("complete") if error is None else End("upstream-ended", error)
        else:
            how = End("upstream-ended")
        self._all_ended(how)
        await part(self._client, self._last_words())

    async def _upstream_lost(self, error: Exception) -> None:
        cause = stream_error(error)
        self._all_ended(End("upstream-ended", cause))
        if cause.kind == "reset":
            await self._delivered()
            await self._client.reset()
        else:
            await part(self._client, b"")

    async def _refuse(self) -> None:
        """End what is open; nothing more of this client is passed on."""
        said = self._last_words()
        self._all_ended(End("client-left", StreamError("protocol", str(self._asking.problem))))
        await self._hang_up()
        await part(self._client, said)

    def _last_words(self) -> bytes:
        """Why nothing more is passed on, if so: for the client where its next answer would stand, and for the owner."""
        problem = self._asking.problem
        if problem is None:
            return b""
        if not problem.told:
            self._complain(str(problem))
        to_head = self._asking.refused_a_head
        said = answer(problem.status, f"kmon proxy: {problem}", problem.code, to_head=to_head)
        return said if self._answering.between else b""

    def _all_ended(self, end: End) -> None:
        t_ns = time.monotonic_ns()
        while self._asking.open:
            self._asking.open.popleft().watcher.ended(t_ns, end)

    async def _hang_up(self, *, reset: bool = False) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None and self._stamps is not None:
            await (self._stamps.reset() if reset else upstream.aclose())

    async def _delivered(self) -> None:
        """Wait until the client's side of the kernel has everything: a reset would throw away what has not left."""
        sock: socket.socket = self._client.get_extra_info("socket")
        with contextlib.suppress(TimeoutError, OSError, ValueError):
            async with asyncio.timeout(PARTING_S):
                while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]:  # noqa: ASYNC110
                    await asyncio.sleep(_DRAIN_STEP_S)


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they let go of their sockets."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
