"""The relay's own answers, and how a client's connection is closed so that the client can read them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus

import httpcore

from kmon.transport.backend import StampedStream

READ_BYTES = 65_536
CLOSING_S = 2.0
"""How long a client may be silent after its last answer before its connection is closed."""
CLOSING_LIMIT_S = 10.0
CLOSING_LIMIT_BYTES = 64 << 20
"""How much of an unfinished request is read and discarded; providers accept bodies of half that size."""


def own_answer(status: int, message: str, code: str, *, to_head: bool = False) -> bytes:
    """A response of the relay itself: a JSON error in the shape that clients can show; without a body for a HEAD."""
    body = json.dumps({"error": {"message": message, "type": "kmon_proxy_error", "code": code}}).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if to_head else body)


async def close_after(client: StampedStream, answer: bytes) -> None:
    """Send ``answer`` and wait, with limits, until the client has closed.

    Closing with unread bytes resets the connection, and a client that is still sending its request would lose the
    answer: so further bytes are read and discarded.
    """
    left_bytes = CLOSING_LIMIT_BYTES
    with contextlib.suppress(TimeoutError, httpcore.NetworkError, httpcore.TimeoutException, OSError):
        async with asyncio.timeout(CLOSING_LIMIT_S):
            await client.write(answer, CLOSING_S)
            await client.half_close()
            while left_bytes > 0 and (data := await client.read(READ_BYTES, CLOSING_S)):
                left_bytes -= len(data)
