"""Addresses that fail before any request is read: by name resolution, TCP or TLS. Users know them as places."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from msgspec import Struct

from kmon.simulator.certificates import Authority, Flaw
from kmon.simulator.connection import HttpConnection

HOST = "127.0.0.1"
NO_SUCH_HOST = "no-such-host.kmon.invalid"
"""Names under ``invalid`` never resolve (RFC 6761)."""

PLACES: dict[str, str] = {
    "no-such-host": "the host name does not resolve",
    "refused": "nothing listens on the port",
    "black-hole": "what asks for a connection is dropped: the queue of those not yet accepted is full",
    "mute": "the connection is taken and nothing is ever said",
    "mute-tls": "the same where TLS is expected: no handshake",
    "plain-as-tls": "plain HTTP where TLS is expected",
    "expired-certificate": "a certificate that has expired",
    "foreign-certificate": "a certificate for another host",
    "self-signed-certificate": "a certificate that nobody vouches for",
    "tls": "healthy: TLS, with a certificate of the simulator's own authority",
}
"""Every place by its name, and what is wrong there."""
FLAWS: dict[str, Flaw] = {
    "expired-certificate": "expired",
    "foreign-certificate": "foreign",
    "self-signed-certificate": "self-signed",
    "tls": "none",
}


class Opened(Struct, frozen=True):
    """Origins by the name of the place. ``authority_pem`` is empty where none of them has a certificate."""

    origins: Mapping[str, str]
    authority_pem: bytes = b""


class _Mute(asyncio.Protocol):
    """Accepts a connection and sends nothing. ``opened`` returns what is called when the client has left."""

    def __init__(self, opened: Callable[[], Callable[[], None]]) -> None:
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._left = self._opened()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()


@contextlib.asynccontextmanager
async def opened(
    names: Collection[str],
    plain_port: int,
    connection: Callable[[], HttpConnection],
    mute_opened: Callable[[], Callable[[], None]],
) -> AsyncIterator[Opened]:
    """Open the places of these names. Those with a certificate serve by ``connection``.

    ``mute_opened`` is called for each connection to a mute place, and what it returns when the client has left.
    """
    loop = asyncio.get_running_loop()
    origins: dict[str, str] = {}
    authority = Authority() if FLAWS.keys() & set(names) else None
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            scheme = "https"
            match name:
                case "no-such-host":
                    origins[name] = f"http://{NO_SUCH_HOST}:9"
                    continue
                case "plain-as-tls":
                    port = plain_port
                case "refused":
                    scheme, port = "http", stack.enter_context(_taken()).getsockname()[1]
                case "black-hole":
                    scheme, port = "http", await stack.enter_async_context(_full())
                case "mute" | "mute-tls":
                    scheme = "http" if name == "mute" else "https"
                    server = await loop.create_server(lambda: _Mute(mute_opened), HOST, 0)
                    port = _port(await stack.enter_async_context(server))
                case _:
                    assert authority is not None
                    context = await asyncio.to_thread(authority.context, FLAWS[name])
                    server = await loop.create_server(connection, HOST, 0, ssl=context, ssl_shutdown_timeout=1.0)
                    port = _port(await stack.enter_async_context(server))
            origins[name] = f"{scheme}://{HOST}:{port}"
        yield Opened(origins, authority.pem if authority else b"")


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def _taken() -> socket.socket:
    """A port that is taken and does not listen."""
    sock = socket.socket()
    sock.bind((HOST, 0))
    return sock


@contextlib.asynccontextmanager
async def _full() -> AsyncIterator[int]:
    """A port whose queue of unaccepted connections is full, so that the kernel drops further SYNs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_taken())
        listener.listen(0)
        for _ in range(2):  # a queue of length 0 holds one, on some systems two
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
