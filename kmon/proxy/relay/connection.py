"""One client and its upstream: two pipes that pass bytes on as they come, and end together.

Each client connection has exactly one connection to the upstream, so that a keep-alive, half a request or a reset of
one side reaches the other. Both directions have back pressure: above a bounded buffer, bytes that a slow reader has not
taken are not read from the other side.
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

from kmon.dialects.delta import CONNECT_TIMEOUT, StreamError
from kmon.proxy.relay.closing import CLOSING_S, READ_BYTES, close_after, own_answer
from kmon.proxy.relay.head import RequestHead
from kmon.proxy.relay.observer import Delivery, End, ExchangeObserver, Observe
from kmon.proxy.relay.request_side import TOO_MANY, Check, OpenRequest, RequestSide
from kmon.proxy.relay.response_side import ResponseSide
from kmon.proxy.relay.upstream import Upstream
from kmon.transport.backend import StampedStream
from kmon.transport.errors import stream_error
from kmon.transport.phase import Phase
from kmon.transport.tcp_info import TcpSampler

FLUSH_S = 0.5
"""How long the last bytes of a client that left may take to reach the upstream."""
_DRAIN_STEP_S = 0.01
_NETWORK_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError)

Finish = Callable[[], Awaitable[None]]
"""What to do after a pipe has ended."""


class Connection:
    """Serves one client from its first byte to the last byte of both sides.

    ``check`` refuses requests of web pages and reports them itself; ``complain`` is called for invalid requests.
    """

    def __init__(
        self,
        client: StampedStream,
        upstream: Upstream,
        *,
        context: ssl.SSLContext,
        connect_timeout_s: float,
        check: Check,
        observe: Observe,
        complain: Callable[[str], None],
    ) -> None:
        self._client, self._to = client, upstream
        self._context, self._limit_s = context, connect_timeout_s
        self._observe, self._complain = observe, complain
        self._requests = RequestSide(upstream.authority, check, self._opened)
        self._responses = ResponseSide(self._requests.open)
        self._upstream: httpcore.AsyncNetworkStream | None = None
        self._stamps: StampedStream | None = None
        self._sampler: TcpSampler | None = None
        self._news = {"upgrade": asyncio.Event(), "answered": asyncio.Event()}
        self._delivery = Delivery()
        self._abort = asyncio.Event()

    async def serve(self) -> None:
        """Pass bytes on until either side ends; then end the other side's connection in the same way."""
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
                await self._close_upstream()
        if not work.cancelled():
            work.result()

    def _opened(self, t_ns: int, head: RequestHead) -> ExchangeObserver:
        observer = self._observe(t_ns, head, self._abort.set)
        observer.delivered_by(self._delivery)
        if self._sampler is not None:
            observer.upstream_sampler(self._sampler)
        return observer

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
            to_head = self._requests.open[0].head.method == "HEAD"
            self._all_ended(End("unreachable", unreachable))
            sentence = f"kmon proxy cannot reach {self._to.authority}: {unreachable.message}"
            status = 504 if unreachable.code == CONNECT_TIMEOUT else 502
            await close_after(self._client, own_answer(status, sentence, unreachable.kind, to_head=to_head))
            return
        await self._pass(first)

    async def _first_request(self) -> tuple[bytes, list[OpenRequest]] | None:
        """The first bytes to pass on, none if they are refused; None when the client leaves before."""
        while True:
            try:
                data = await self._client.read(READ_BYTES)
            except httpcore.NetworkError:
                return None
            if not data:
                return None
            first = self._requests.feed(self._client.last_read_ns, data)
            if first[0] or self._requests.problem is not None:
                return first

    async def _dial(self) -> StreamError | None:
        observer = self._requests.open[0].observer

        def on_phase(phase: Phase, t_ns: int, detail: str) -> None:
            observer.phase(phase, t_ns, detail)

        def on_sampler(sampler: TcpSampler) -> None:
            self._sampler = sampler
            observer.upstream_sampler(sampler)

        try:
            self._upstream, self._stamps = await self._to.dial(self._context, self._limit_s, on_phase, on_sampler)
        except (*_NETWORK_ERRORS, ValueError) as error:
            return stream_error(error)
        return None

    async def _pass(self, first: tuple[bytes, list[OpenRequest]]) -> None:
        up, down = asyncio.create_task(self._up(first)), asyncio.create_task(self._down())
        gone = asyncio.create_task(self._client.ended())
        try:
            await asyncio.wait({up, down, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not up.done() and not down.done():  # its last bytes may not have reached the upstream yet
                await asyncio.wait({up, down}, timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)
            over = next((pipe for pipe in (down, up) if pipe.done()), None)
            finish = partial(self._client_left, None) if over is None else over.result()
        finally:
            await _ended(up, down, gone)
        await finish()

    # -- the two pipes: each returns what to do after its end ----------------------------------------------------------

    async def _up(self, first: tuple[bytes, list[OpenRequest]]) -> Finish:
        assert self._upstream is not None
        piece, sent = first
        try:
            while True:
                if piece:
                    await self._upstream.write(piece)
                for request in sent:
                    request.sent = True
                    request.observer.phase("request_sent", time.monotonic_ns(), "")
                if self._requests.problem is not None:
                    return await self._answers_before()
                if self._requests.held:
                    if not await self._upgrade_settled():
                        return partial(self._client_left, None)
                    tunnel = self._responses.tunnel
                    piece, sent = self._requests.release(time.monotonic_ns(), tunnel)
                    if piece or sent or self._requests.held or self._requests.problem is not None:
                        continue
                try:
                    data = await self._client.read(READ_BYTES)
                except httpcore.NetworkError as error:
                    return partial(self._client_left, error)
                if not data:
                    return partial(self._client_left, None)
                piece, sent = self._requests.feed(self._client.last_read_ns, data)
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
            news = self._responses.feed(self._stamps.last_read_ns, data)
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
        """The upstream reads no more of the request: it may have answered already, which the other pipe sees."""
        while True:
            try:
                if not await self._client.read(READ_BYTES):
                    return partial(self._client_left, None)
            except httpcore.NetworkError as error:
                return partial(self._client_left, error)

    async def _answers_before(self) -> Finish:
        """A request is refused: the complete requests before it still get their answers."""
        assert self._requests.problem is not None
        reading = asyncio.create_task(self._only_answer_left())
        try:
            while (opened := self._requests.open) and opened[0].sent and self._requests.problem.code != TOO_MANY:
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
        await self._close_upstream(reset=error is not None)

    async def _upstream_ended(self) -> None:
        if self._responses.tunnel is None:
            error = self._responses.upstream_ended()
            how = End("complete") if error is None else End("upstream-ended", error)
        else:
            how = End("upstream-ended")
        self._all_ended(how)
        await close_after(self._client, self._refusal())

    async def _upstream_lost(self, error: Exception) -> None:
        cause = stream_error(error)
        self._all_ended(End("upstream-ended", cause))
        if cause.kind == "reset":
            await self._delivered()
            await self._client.reset()
        else:
            await close_after(self._client, b"")

    async def _refuse(self) -> None:
        """End the open exchanges and pass on no further bytes of this client."""
        refusal = self._refusal()
        self._all_ended(End("client-left", StreamError("protocol", str(self._requests.problem))))
        await self._close_upstream()
        await close_after(self._client, refusal)

    def _refusal(self) -> bytes:
        """The answer to a refused request, empty if none may be sent now; reports the reason once."""
        problem = self._requests.problem
        if problem is None:
            return b""
        if not problem.reported:
            self._complain(str(problem))
        to_head = self._requests.refused_a_head
        refusal = own_answer(problem.status, f"kmon proxy: {problem}", problem.code, to_head=to_head)
        return refusal if self._responses.between else b""

    def _all_ended(self, end: End) -> None:
        t_ns = time.monotonic_ns()
        while self._requests.open:
            self._requests.open.popleft().observer.ended(t_ns, end)

    async def _close_upstream(self, *, reset: bool = False) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None and self._stamps is not None:
            await (self._stamps.reset() if reset else upstream.aclose())

    async def _delivered(self) -> None:
        """Wait until the kernel has sent everything to the client: a reset would discard the rest."""
        sock: socket.socket = self._client.get_extra_info("socket")
        with contextlib.suppress(TimeoutError, OSError, ValueError):
            async with asyncio.timeout(CLOSING_S):
                while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]:  # noqa: ASYNC110
                    await asyncio.sleep(_DRAIN_STEP_S)


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are done with their sockets."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
