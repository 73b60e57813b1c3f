"""Looking a host name up, timed: every address it has, of both families."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

from msgspec import Struct

from kmon.transport.connect import Address
from kmon.transport.errors import of_resolving, stream_error

ADDRESSES_LIMIT = 16


class Lookup(Struct, frozen=True):
    """One lookup: how long it took, and the addresses or why there are none."""

    duration_ms: float
    addresses: tuple[Address, ...] = ()
    error: str | None = None


async def look_up(host: str, port: int, limit_s: float) -> Lookup:
    """Ask the system's resolver. It cannot be interrupted, so it is asked in a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Lookup] = loop.create_future()

    def tell(lookup: Lookup) -> None:
        if not answer.done():
            answer.set_result(lookup)

    def ask() -> None:
        start_ns = time.monotonic_ns()
        try:
            addresses = tuple(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:ADDRESSES_LIMIT])
            lookup = Lookup(_since_ms(start_ns), addresses)
        except (OSError, UnicodeError) as error:
            local = of_resolving(error) if isinstance(error, OSError) else None
            lookup = Lookup(_since_ms(start_ns), error=stream_error(local or error).message)
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile: nobody wants to know any more
            loop.call_soon_threadsafe(tell, lookup)

    threading.Thread(target=ask, daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            return await answer
    except TimeoutError:
        return Lookup(limit_s * 1000, error=f"the resolver gave no answer within {limit_s:g} s")


def family_of(address: Address) -> str:
    """``IPv4`` or ``IPv6``."""
    return "IPv6" if address[0] == socket.AF_INET6 else "IPv4"


def _since_ms(start_ns: int) -> float:
    return (time.monotonic_ns() - start_ns) / 1e6
