"""A peer that is gone without a word: the kernel drops what comes for a socket, so nothing is acknowledged (Linux).

A filter on the socket needs no privileges, where a network namespace or a firewall rule would.
"""

from __future__ import annotations

import socket
import struct

SO_ATTACH_FILTER = 26
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_FLAGS_AT = 13
_FIN_OR_RST = 0x01 | 0x04
_KEEP, _DROP = 0xFFFF, 0
PROGRAM = (
    (_LOAD_BYTE, 0, 0, _FLAGS_AT),
    (_JUMP_IF_SET, 0, 1, _FIN_OR_RST),
    (_RETURN, 0, 0, _KEEP),
    (_RETURN, 0, 0, _DROP),
)
"""Classic BPF over the TCP header: a goodbye is let through, so that the simulator knows when its client has left. (Not
that of a client which has sent more since then: what it sent is missing before its goodbye.)"""


def attach_deaf_filter(sock: socket.socket) -> None:
    """Let nothing reach ``sock`` any more but FIN and RST."""
    import ctypes

    code = b"".join(struct.pack("HBBI", *instruction) for instruction in PROGRAM)
    held = ctypes.create_string_buffer(code)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(PROGRAM), ctypes.addressof(held)))
