"""How large a packet may be on the way to a peer, as far as the kernel knows."""

from __future__ import annotations

import socket
import sys

from msgspec import Struct

ETHERNET_BYTES = 1500
_IP_MTU = 14
_IPV6_MTU = 24
"""Of Linux's in.h and in6.h; Python does not name them."""


class Segments(Struct, frozen=True):
    """Largest TCP segment agreed on, and the path MTU the kernel assumes; None where the system does not tell."""

    segment_bytes: int | None = None
    path_mtu_bytes: int | None = None


def segments_of(sock: socket.socket) -> Segments:
    """Ask the kernel about a connected socket."""
    if sys.platform != "linux":
        return Segments(_option(sock, socket.IPPROTO_TCP, socket.TCP_MAXSEG))
    level, name = (socket.IPPROTO_IPV6, _IPV6_MTU) if sock.family == socket.AF_INET6 else (socket.IPPROTO_IP, _IP_MTU)
    return Segments(_option(sock, socket.IPPROTO_TCP, socket.TCP_MAXSEG), _option(sock, level, name))


def described(segments: Segments) -> str:
    """``path MTU 1500, segments of 1460 bytes``."""
    mtu = "not available here" if segments.path_mtu_bytes is None else f"{segments.path_mtu_bytes}"
    size = "" if segments.segment_bytes is None else f", segments of {segments.segment_bytes} bytes"
    return f"path MTU {mtu}{size}"


def narrow(segments: Segments) -> bool:
    """Whether the path takes less than Ethernet does: a tunnel, as a VPN or PPPoE, lies on it."""
    return segments.path_mtu_bytes is not None and segments.path_mtu_bytes < ETHERNET_BYTES


def _option(sock: socket.socket, level: int, name: int) -> int | None:
    try:
        return sock.getsockopt(level, name) or None
    except OSError:
        return None
