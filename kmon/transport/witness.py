"""What the kernel knows of a connection: is it the peer that is silent, the path, or this program?

Linux tells it in ``TCP_INFO`` (linux/tcp.h); elsewhere there is no witness. It reads the state the kernel keeps anyway,
which takes microseconds and changes nothing.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios

from msgspec import Struct

_TCP_INFO = struct.Struct("=8x24I")
"""Eight bytes of small fields, then the 32-bit ones every kernel since 2.6 has; later ones follow."""
_UNACKED, _LAST_DATA_RECV, _RTT, _RCV_SPACE, _TOTAL_RETRANS = 4, 11, 15, 22, 23


class Witness(Struct, frozen=True):
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


def witness_of(sock: socket.socket) -> Witness | None:
    """Look at a TCP socket now; None where the system does not tell, or when the socket is closed."""
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        (unread_bytes,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))
    except (OSError, ValueError):
        return None
    return parsed(info, unread_bytes)


def parsed(info: bytes, unread_bytes: int) -> Witness | None:
    """A witness of the bytes of ``TCP_INFO``; None if they are too few to hold what is wanted."""
    if len(info) < _TCP_INFO.size:
        return None
    fields = _TCP_INFO.unpack_from(info)
    return Witness(
        last_data_received_ms=fields[_LAST_DATA_RECV],
        retransmits=fields[_TOTAL_RETRANS],
        rtt_ms=fields[_RTT] / 1000,
        unacked=fields[_UNACKED],
        receive_space_bytes=fields[_RCV_SPACE],
        unread_bytes=unread_bytes,
    )
