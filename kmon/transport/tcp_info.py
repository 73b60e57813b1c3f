"""Samples the kernel's state of a TCP connection: is the peer silent, the path, or this program?

Linux gives it in ``TCP_INFO`` (linux/tcp.h); other systems do not. Sampling takes microseconds and changes nothing.
Probing does: the kernel then sends TCP keep-alives, which the peer's kernel acknowledges even if the program behind it
sends nothing. Probes are sent only in a silence, so streams that flow are not changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

from msgspec import Struct, structs

_TCP_INFO = struct.Struct("=3xB4x24I")
"""Eight bytes of small fields, then the 32-bit ones every kernel since 2.6 has; later ones follow."""
_PROBES = 0
_UNACKED, _LAST_DATA_RECV, _LAST_ACK_RECV, _RTT, _RCV_SPACE, _TOTAL_RETRANS = 5, 12, 13, 16, 23, 24

ASK_EVERY_S = 1
"""Time between two TCP keep-alives; the kernel takes whole seconds."""
SELDOM_S = 15
SELDOM_AFTER = 4
"""Unanswered keep-alives after which they are sent every ``SELDOM_S`` seconds only."""
MOST_PROBES = 127
GIVE_UP_AFTER = 100
"""Linux drops a connection after ``MOST_PROBES`` unanswered ones; kmon must not end a silence, so it stops before."""


class TcpState(Struct, frozen=True):
    """One sample of a socket. ``unread_bytes`` have arrived, and this program has not read them yet."""

    last_data_received_ms: int
    """Since the last segment with data (keep-alives have none). The resolution is some ms."""
    retransmits: int
    """Segments sent again since the connection began."""
    rtt_ms: float
    unacked: int
    """Segments sent and not yet acknowledged by the peer."""
    receive_space_bytes: int
    unread_bytes: int
    last_ack_received_ms: int = 0
    """Since the peer's kernel last acknowledged a segment or a keep-alive."""
    unanswered_probes: int = 0
    """Unacknowledged TCP keep-alives in a row."""


def tcp_state(sock: socket.socket) -> TcpState | None:
    """The state of a TCP socket now; None if the system does not give it or the socket is closed."""
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        (unread_bytes,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))
    except (OSError, ValueError):
        return None
    return parsed(info, unread_bytes)


def parsed(info: bytes, unread_bytes: int) -> TcpState | None:
    """The state in the bytes of ``TCP_INFO``; None if there are too few."""
    if len(info) < _TCP_INFO.size:
        return None
    fields = _TCP_INFO.unpack_from(info)
    return TcpState(
        last_data_received_ms=fields[_LAST_DATA_RECV],
        retransmits=fields[_TOTAL_RETRANS],
        rtt_ms=fields[_RTT] / 1000,
        unacked=fields[_UNACKED],
        receive_space_bytes=fields[_RCV_SPACE],
        unread_bytes=unread_bytes,
        last_ack_received_ms=fields[_LAST_ACK_RECV],
        unanswered_probes=fields[_PROBES],
    )


class PeerAddress(NamedTuple):
    """Where a connection ends: ``1.2.3.4``, ``[2001:db8::1]``, on this machine (``here``) with its port."""

    text: str
    here: bool


def peer_address(sock: socket.socket) -> PeerAddress | None:
    """The address of the other end; None if the socket is closed, or no TCP socket."""
    try:
        host, port = sock.getpeername()[:2]
        address = ip_address(host.partition("%")[0])
    except (OSError, ValueError):
        return None
    text = f"[{address}]" if address.version == 6 else str(address)
    return PeerAddress(f"{text}:{port}", True) if address.is_loopback else PeerAddress(text, False)


class TcpSampler:
    """Samples and probes one connection. ``held`` returns the bytes that were read but not yet consumed.

    ``peer`` is what was dialled, ``address`` where that led.
    """

    def __init__(self, sock: socket.socket, peer: str, held: Callable[[], int]) -> None:
        self.peer, self.address = peer, peer_address(sock)
        self._sock, self._held = sock, held
        self.asked_ns: int | None = None
        """When probing began in this silence, CLOCK_MONOTONIC; None while it is off."""

    def look(self) -> TcpState | None:
        """The state now; bytes that were read but not consumed count as unread."""
        state = tcp_state(self._sock)
        return None if state is None else structs.replace(state, unread_bytes=state.unread_bytes + self._held())

    def ask(self, unanswered: int = 0) -> None:
        """Have the kernel send TCP keep-alives from now on, once a second.

        On a connection that has been idle for a second already, the first one is sent at once. ``unanswered`` is the
        number of keep-alives in a row without an answer.
        """
        if sys.platform != "linux":
            return
        pause_s = ASK_EVERY_S if unanswered < SELDOM_AFTER else SELDOM_S
        with contextlib.suppress(OSError):  # the socket was closed meanwhile
            option = self._sock.setsockopt
            option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, pause_s)
            if self.asked_ns is None:
                option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, MOST_PROBES)
                option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, ASK_EVERY_S)
                self.asked_ns = time.monotonic_ns()
            elif unanswered >= GIVE_UP_AFTER:
                option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)

    def stop_probing(self) -> None:
        """Stop the keep-alives, because the silence is over."""
        if self.asked_ns is not None:
            self.asked_ns = None
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
