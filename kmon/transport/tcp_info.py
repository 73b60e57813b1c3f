"""What the kernel knows of a connection: is it the peer that is silent, the path, or this program?

Linux tells it in ``TCP_INFO`` (linux/tcp.h); elsewhere there is no witness. Looking takes microseconds and changes
nothing. Asking does: it has the kernel send TCP keep-alives, which the peer's kernel acknowledges whether or not the
program behind it has anything to say. That is done in a silence only, so streams that flow are left as they are.
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

from msgspec import Struct, structs

_TCP_INFO = struct.Struct("=3xB4x24I")
"""Eight bytes of small fields, then the 32-bit ones every kernel since 2.6 has; later ones follow."""
_PROBES = 0
_UNACKED, _LAST_DATA_RECV, _LAST_ACK_RECV, _RTT, _RCV_SPACE, _TOTAL_RETRANS = 5, 12, 13, 16, 23, 24

ASK_EVERY_S = 1
"""Between two TCP keep-alives, in whole seconds: the kernel takes no less."""
SELDOM_S = 15
SELDOM_AFTER = 4
"""Unanswered keep-alives after which they are sent seldom: nobody is there, and nothing is learnt by hurry."""
MOST_PROBES = 127
GIVE_UP_AFTER = 100
"""Linux drops a connection after ``MOST_PROBES`` unanswered ones; kmon ends no silence, so it stops asking before."""


class TcpState(Struct, frozen=True):
    """One look at a socket. ``unread_bytes`` have arrived and were not read by this program yet."""

    last_data_received_ms: int
    """Since the last segment that carried data; keep-alives of TCP itself carry none. Steps of some ms."""
    retransmits: int
    """Segments sent again since the connection began."""
    rtt_ms: float
    unacked: int
    """Segments sent and not yet acknowledged by the peer."""
    receive_space_bytes: int
    unread_bytes: int
    last_ack_received_ms: int = 0
    """Since the peer's kernel last acknowledged anything, a TCP keep-alive for instance."""
    unanswered_probes: int = 0
    """TCP keep-alives in a row that nobody acknowledged."""


def witness_of(sock: socket.socket) -> TcpState | None:
    """Look at a TCP socket now; None where the system does not tell, or when the socket is closed."""
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        (unread_bytes,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))
    except (OSError, ValueError):
        return None
    return parsed(info, unread_bytes)


def parsed(info: bytes, unread_bytes: int) -> TcpState | None:
    """A witness of the bytes of ``TCP_INFO``; None if they are too few to hold what is wanted."""
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


class TcpSampler:
    """The connection of one attempt, as something to look at. ``held`` counts bytes read but not yet taken."""

    def __init__(self, sock: socket.socket, peer: str, held: Callable[[], int]) -> None:
        self.peer = peer
        self._sock, self._held = sock, held
        self.asked_ns: int | None = None
        """When the peer's kernel was first asked in this silence, CLOCK_MONOTONIC; None when it is not being asked."""

    def look(self) -> TcpState | None:
        """The connection now; bytes that this program holds and has not taken count as unread."""
        seen = witness_of(self._sock)
        return None if seen is None else structs.replace(seen, unread_bytes=seen.unread_bytes + self._held())

    def ask(self, unanswered: int = 0) -> None:
        """Have the kernel ask the peer's for a sign of life from now on, once a second.

        On a line that has been idle for a second already, the first question leaves at once.
        """
        if sys.platform != "linux":
            return
        pause_s = ASK_EVERY_S if unanswered < SELDOM_AFTER else SELDOM_S
        with contextlib.suppress(OSError):  # closed meanwhile: there is nobody left to ask
            option = self._sock.setsockopt
            option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, pause_s)
            if self.asked_ns is None:
                option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, MOST_PROBES)
                option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, ASK_EVERY_S)
                self.asked_ns = time.monotonic_ns()
            elif unanswered >= GIVE_UP_AFTER:
                option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)

    def leave_be(self) -> None:
        """The silence is over: ask no more."""
        if self.asked_ns is not None:
            self.asked_ns = None
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
