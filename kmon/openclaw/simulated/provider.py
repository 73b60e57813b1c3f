"""A model call: a real streaming Chat Completions request, read event by event, or buffered (mechanism A)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from msgspec import Struct

from kmon.dialects.sse import Event, SSEDecoder
from kmon.openclaw.simulated.releases import FailureReason
from kmon.simulator.faults.registry import HEADER

READ_BYTES = 65_536
ERROR_BODY_BYTES = 2_000


class Text(Struct, frozen=True):
    """A piece of the answer, split as the provider sent it."""

    text: str


class ToolPart(Struct, frozen=True):
    """A piece of a tool call. ``name`` and ``id`` come with the first piece."""

    index: int
    id: str
    name: str
    arguments: str


class Finished(Struct, frozen=True):
    """The regular end of the answer."""

    reason: str
    output_tokens: int


Piece = Text | ToolPart | Finished


class ProviderError(Exception):
    """A failed call. ``detail`` is the message of the HTTP library."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


async def ask(http: aiohttp.ClientSession, base_url: str, body: dict[str, Any], *, fault: str) -> AsyncIterator[Piece]:
    """The pieces of the answer to ``body``. Raises ProviderError; there is no time limit."""
    headers = {"authorization": "Bearer sk-simulated", **({HEADER: fault} if fault else {})}
    url = f"{base_url.rstrip('/')}/chat/completions"
    try:
        async with http.post(url, json=body, headers=headers) as response:
            if response.status != 200:
                await response.content.read(ERROR_BODY_BYTES)
                raise ProviderError("http", f"HTTP {response.status}")
            finished = False
            async for piece in _pieces(response):
                finished = finished or isinstance(piece, Finished)
                yield piece
            if not finished:
                raise ProviderError("truncated", "Stream ended without finish_reason")
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
        raise ProviderError("reset", "terminated") from None


async def buffered(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Mechanism A: nothing until the provider has ended; then all the text as one piece, and the rest.

    This is the defect of some adapters of the gateway: no event comes for as long as the provider streams.
    """
    read = [piece async for piece in pieces]
    text = "".join(piece.text for piece in read if isinstance(piece, Text))
    if text:
        yield Text(text)
    for piece in read:
        if not isinstance(piece, Text):
            yield piece


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[Piece]:
    decoder = SSEDecoder()
    reason, output_tokens = "", 0
    async for data in response.content.iter_any():
        for item in decoder.feed(data):
            if not isinstance(item, Event) or item.data == b"[DONE]":
                continue
            event = _event(item.data)
            if isinstance(event.get("error"), dict):
                raise ProviderError("http", str(event["error"].get("message", "error"))[:200])
            usage = event.get("usage")
            if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
                output_tokens = usage["completion_tokens"]
            for choice in event.get("choices") or ():
                for piece in _delta_pieces(choice.get("delta") or {}):
                    yield piece
                reason = choice.get("finish_reason") or reason
    if reason:
        yield Finished(reason, output_tokens)


def _delta_pieces(delta: dict[str, Any]) -> list[Piece]:
    pieces: list[Piece] = []
    if text := delta.get("content"):
        pieces.append(Text(str(text)))
    for call in delta.get("tool_calls") or ():
        function = call.get("function") or {}
        name, arguments = str(function.get("name") or ""), str(function.get("arguments") or "")
        pieces.append(ToolPart(int(call.get("index") or 0), str(call.get("id") or ""), name, arguments))
    return pieces


def _event(data: bytes) -> dict[str, Any]:
    """The event's JSON object; an empty one if it is none, since the gateway's library skips such events."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
