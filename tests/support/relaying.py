"""A relay in this process, and everything that its watchers were told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from kmon.proxy.relay.head import RequestHead, ResponseHead
from kmon.proxy.relay.observer import Abort, Delivery, End, Side
from kmon.proxy.relay.server import Server, listener
from kmon.proxy.relay.upstream import Upstream
from kmon.transport.phase import Phase
from kmon.transport.tcp_info import TcpSampler


@dataclass
class Seen:
    """One exchange as its watcher saw it."""

    head: RequestHead
    abort: Abort
    asked: bytes = b""
    delivery: Delivery | None = None
    phases: list[Phase] = field(default_factory=list)
    answer: ResponseHead | None = None
    body: bytearray = field(default_factory=bytearray)
    tunnel: list[tuple[Side, bytes]] = field(default_factory=list)
    over: asyncio.Future[End] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def request_body(self, t_ns: int, payload: bytes) -> None:
        self.asked += payload

    def phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self.phases.append(phase)

    def upstream_sampler(self, sampler: TcpSampler) -> None:
        assert sampler.peer

    def delivered_by(self, delivery: Delivery) -> None:
        self.delivery = delivery

    def answered(self, t_ns: int, head: ResponseHead) -> None:
        self.answer = head

    def answer_body(self, t_ns: int, payload: bytes) -> None:
        self.body += payload

    def tunnelled(self, t_ns: int, side: Side, data: bytes) -> None:
        self.tunnel.append((side, data))

    def ended(self, t_ns: int, end: End) -> None:
        self.over.set_result(end)

    async def end(self) -> End:
        async with asyncio.timeout(20):
            return await self.over


@dataclass
class Relay:
    server: Server
    seen: list[Seen]
    complaints: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def open(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client's connection over which ``data`` was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(data)
        return reader, writer

    async def quiet(self) -> None:
        """Wait until no client is left."""
        async with asyncio.timeout(20):
            while self.server.clients:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def relaying(
    url: str, context: ssl.SSLContext | None = None, host: str = "127.0.0.1", connect_timeout_s: float = 5.0
) -> AsyncIterator[Relay]:
    """A relay to the origin of ``url``, told to listen on ``host``."""
    seen: list[Seen] = []
    complaints: list[str] = []

    def watch(t_ns: int, head: RequestHead, abort: Abort) -> Seen:
        seen.append(Seen(head, abort))
        return seen[-1]

    server = Server(
        listener(host, 0),
        Upstream.of(url),
        host=host,
        context=context or ssl.create_default_context(),
        connect_timeout_s=connect_timeout_s,
        observe=watch,
        complain=complaints.append,
    )
    try:
        yield Relay(server, seen, complaints)
    finally:
        await server.close()


def open_sockets() -> int:
    """How many sockets this process holds."""
    count = 0
    for held in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(held.readlink()).startswith("socket:")
    return count
