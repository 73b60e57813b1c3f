"""DNS lookups of a host, and TCP connections to each of its addresses, with their durations."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Sequence

from msgspec import Struct

from kmon.doctor.repeat import try_five_times
from kmon.transport.connect import Address, connect_first
from kmon.transport.errors import of_resolving, stream_error

ADDRESSES_LIMIT = 16
ETHERNET_BYTES = 1500
_IP_MTU = 14
_IPV6_MTU = 24
"""Socket options of Linux (``in.h``, ``in6.h``), which Python does not define."""


class Lookup(Struct, frozen=True):
    """One DNS lookup: its duration, and the addresses or the reason why there are none."""

    duration_ms: float
    addresses: tuple[Address, ...] = ()
    error: str | None = None


class Segments(Struct, frozen=True):
    """Largest TCP segment of a connection, and the path MTU that the kernel assumes; None where it is not known."""

    segment_bytes: int | None = None
    path_mtu_bytes: int | None = None

    @property
    def described(self) -> str:
        """``path MTU 1500, segments of 1460 bytes``."""
        mtu = "not available here" if self.path_mtu_bytes is None else f"{self.path_mtu_bytes}"
        size = "" if self.segment_bytes is None else f", segments of {self.segment_bytes} bytes"
        return f"path MTU {mtu}{size}"

    @property
    def narrow(self) -> bool:
        """Whether the path MTU is below that of Ethernet, which means a tunnel such as a VPN or PPPoE."""
        return self.path_mtu_bytes is not None and self.path_mtu_bytes < ETHERNET_BYTES


class Touch(Struct, frozen=True):
    """One connection, opened and closed. ``timed_out`` is True if it failed by a time limit, not by a refusal."""

    duration_ms: float
    error: str | None = None
    timed_out: bool = False
    segments: Segments | None = None


class Reach(Struct, frozen=True):
    """All connections to one address."""

    ip: str
    family: str
    """``IPv4`` or ``IPv6``."""
    touches: tuple[Touch, ...]

    @property
    def connects(self) -> bool:
        """Whether at least one connection was made."""
        return any(touch.error is None for touch in self.touches)

    @property
    def timed_out(self) -> bool:
        """Whether no connection was made and at least one try ran into a time limit."""
        return not self.connects and any(touch.timed_out for touch in self.touches)

    @property
    def error(self) -> str | None:
        """The last failure, if there was one."""
        return next((touch.error for touch in reversed(self.touches) if touch.error), None)

    @property
    def segments(self) -> Segments | None:
        """The sizes of the last connection that was made."""
        return next((touch.segments for touch in reversed(self.touches) if touch.segments), None)


async def look_up(host: str, port: int, limit_s: float) -> Lookup:
    """Look up ``host`` with the system's resolver, for at most ``limit_s``.

    ``getaddrinfo`` cannot be interrupted, so it runs in a daemon thread whose late result is dropped.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Lookup] = loop.create_future()

    def set_result(lookup: Lookup) -> None:
        if not answer.done():
            answer.set_result(lookup)

    def resolve() -> None:
        start_ns = time.monotonic_ns()
        try:
            addresses = tuple(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:ADDRESSES_LIMIT])
            lookup = Lookup(_since_ms(start_ns), addresses)
        except (OSError, UnicodeError) as error:
            local = of_resolving(error) if isinstance(error, OSError) else None
            lookup = Lookup(_since_ms(start_ns), error=stream_error(local or error).message)
        with contextlib.suppress(RuntimeError):  # the event loop has been closed in the meantime
            loop.call_soon_threadsafe(set_result, lookup)

    threading.Thread(target=resolve, daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            return await answer
    except TimeoutError:
        return Lookup(limit_s * 1000, error=f"the resolver gave no answer within {limit_s:g} s")


async def reach_all(addresses: Sequence[Address], limit_s: float) -> tuple[Reach, ...]:
    """Connect to all addresses at the same time, to each five times in a row; each connection has ``limit_s``."""
    return tuple(await asyncio.gather(*(_reach(address, limit_s) for address in addresses)))


async def _reach(address: Address, limit_s: float) -> Reach:
    family = "IPv6" if address[0] == socket.AF_INET6 else "IPv4"
    return Reach(str(address[4][0]), family, await try_five_times(lambda: _touch(address, limit_s)))


async def _touch(address: Address, limit_s: float) -> Touch:
    start_ns = time.monotonic_ns()
    try:
        async with asyncio.timeout(limit_s):
            sock = await connect_first([address], None)
    except TimeoutError as error:
        by_limit = error.errno is None  # an ETIMEDOUT of the kernel has an errno
        words = f"no answer within {limit_s:g} s" if by_limit else "no answer until the system gave up"
        return Touch(_since_ms(start_ns), words, timed_out=True)
    except OSError as error:
        return Touch(_since_ms(start_ns), stream_error(error).message)
    with sock:
        return Touch(_since_ms(start_ns), segments=_segments_of(sock))


def _segments_of(sock: socket.socket) -> Segments:
    segment_bytes = _option(sock, socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    if sys.platform != "linux":
        return Segments(segment_bytes)
    level, name = (socket.IPPROTO_IPV6, _IPV6_MTU) if sock.family == socket.AF_INET6 else (socket.IPPROTO_IP, _IP_MTU)
    return Segments(segment_bytes, _option(sock, level, name))


def _option(sock: socket.socket, level: int, name: int) -> int | None:
    try:
        return sock.getsockopt(level, name) or None
    except OSError:
        return None


def _since_ms(start_ns: int) -> float:
    return (time.monotonic_ns() - start_ns) / 1e6
