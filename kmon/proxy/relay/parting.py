"""Answers of the relay's own, and how a client is left so that it can read them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus

import httpcore

from kmon.transport.backend import StampedStream

READ_BYTES = 65_536
PARTING_S = 2.0
"""How long a client may be silent that has been told everything, before its connection is closed."""
PARTING_LIMIT_S = 10.0
PARTING_LIMIT_BYTES = 64 << 20
"""What of a request that is still being sent is thrown away at most; providers take bodies of half that size."""


def answer(status: int, message: str, code: str, *, to_head: bool = False) -> bytes:
    """An answer of the relay's own: a JSON error in the shape that every client can show, and none to a HEAD."""
    body = json.dumps({"error": {"message": message, "type": "kmon_proxy_error", "code": code}}).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if to_head else body)


async def part(client: StampedStream, last_words: bytes) -> None:
    """Say ``last_words`` and nothing more, and wait, within bounds, until the client has closed.

    Closing on bytes that nobody has read resets the connection, and a client that is still sending its request would
    lose the answer: so what still comes is read and thrown away.
    """
    left_bytes = PARTING_LIMIT_BYTES
    with contextlib.suppress(TimeoutError, httpcore.NetworkError, httpcore.TimeoutException, OSError):
        async with asyncio.timeout(PARTING_LIMIT_S):
            await client.write(last_words, PARTING_S)
            await client.half_close()
            while left_bytes > 0 and (data := await client.read(READ_BYTES, PARTING_S)):
                left_bytes -= len(data)
