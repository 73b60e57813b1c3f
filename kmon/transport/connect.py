"""Connecting to a name with several addresses: each gets a head start over the next (RFC 8305, Happy Eyeballs)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

Address = tuple[Any, Any, int, str, Any]
"""As ``getaddrinfo`` gives it: family, type, protocol, canonical name, socket address."""
Option = tuple[Any, ...]

STAGGER_S = 0.25
"""How long one address may keep the next waiting."""


async def connect_first(addresses: list[Address], options: Iterable[Option] | None) -> socket.socket:
    """A non-blocking socket connected to the first address that answers. Raises the last ``OSError`` if none does."""
    options = list(options or ())
    waiting: set[asyncio.Task[socket.socket]] = set()
    failure: OSError = OSError("the name has no address")
    try:
        for i, address in enumerate(addresses):
            waiting.add(asyncio.ensure_future(_connect_one(address, options)))
            last = i == len(addresses) - 1
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=None if last else STAGGER_S, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    error = task.exception()
                    if error is None:
                        return task.result()
                    if not isinstance(error, OSError):
                        raise error
                    failure = error
                if not last:
                    break
    finally:
        for task in waiting:
            task.cancel()
            task.add_done_callback(_discard)
    raise failure


def _discard(loser: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an address that answered after another was chosen."""
    if not loser.cancelled() and loser.exception() is None:
        loser.result().close()


async def _connect_one(address: Address, options: Iterable[Option]) -> socket.socket:
    family, kind, protocol, _, sockaddr = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        for option in options:
            sock.setsockopt(*option)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock
