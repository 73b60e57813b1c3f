"""Connects to a name with several addresses, each with a head start over the next (RFC 8305, Happy Eyeballs)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from kmon.transport.errors import LocalError, of_connecting

Address = tuple[Any, Any, int, str, Any]
"""As ``getaddrinfo`` gives it: family, type, protocol, canonical name, socket address."""
Option = tuple[Any, ...]

STAGGER_S = 0.25
"""Head start of one address over the next."""


async def connect_first(addresses: list[Address], options: Iterable[Option] | None) -> socket.socket:
    """A non-blocking socket connected to the first address that answers.

    If none answers, raises the last ``OSError``; a :class:`LocalError` only if every address failed with one.
    """
    options = list(options or ())
    waiting: set[asyncio.Task[socket.socket]] = set()
    failure: OSError | None = None
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
                    if failure is None or isinstance(failure, LocalError) or not isinstance(error, LocalError):
                        failure = error
                if not last:
                    break
    finally:
        for task in waiting:
            task.cancel()
            task.add_done_callback(_discard)
    raise failure or OSError("the name has no address")


def allowed_addresses(host: str, addresses: list[Address]) -> list[Address]:
    """The resolved addresses that ``host`` may have: ``localhost`` only has loopback addresses.

    A key may go to ``localhost`` unencrypted, so an answer of a resolver that says otherwise is ignored (RFC 6761,
    section 6.3).
    """
    if host != "localhost":
        return addresses
    return [address for address in addresses if ip_address(str(address[4][0]).partition("%")[0]).is_loopback]


def _discard(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an address that answered after another was chosen."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect_one(address: Address, options: Iterable[Option]) -> socket.socket:
    family, kind, protocol, _, sockaddr = address
    sock: socket.socket | None = None
    try:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        for option in options:
            sock.setsockopt(*option)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError) and (local := of_connecting(error, family, sockaddr)) is not None:
            raise local from error
        raise
    return sock
