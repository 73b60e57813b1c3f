"""The three frames of the gateway: requests, their responses by id, and events. Text in, typed values out.

Source: the gateway's protocol documents and recordings of two releases. Payloads stay plain JSON objects, since both
releases add members at will; the code that reads a payload checks what it needs.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from kmon.dialects.json_access import items, members, text

FRAME_LIMIT_BEFORE_HELLO_BYTES = 64 * 1024
"""Limit of both sides until the handshake is over; after it the gateway's ``policy.maxPayload`` applies."""


class FrameError(ValueError):
    """A message that is not a frame; the text says why."""


class GatewayRequest(Struct, frozen=True, tag_field="type", tag="req"):
    id: str
    method: str
    params: dict[str, Any] = {}


class GatewayError(Struct, frozen=True):
    """Why a request was refused. ``retry_after_ms`` is set where the gateway asks for another try."""

    code: str
    message: str = ""
    details: dict[str, Any] | None = None
    retryable: bool = False
    retry_after_ms: float | None = msgspec.field(default=None, name="retryAfterMs")


class GatewayResponse(Struct, frozen=True, tag_field="type", tag="res"):
    """The answer to the request of the same ``id``; responses come in any order."""

    id: str
    ok: bool
    payload: Any = None
    error: GatewayError | None = None


class GatewayEvent(Struct, frozen=True, tag_field="type", tag="event"):
    """``seq`` counts per connection (2026.9) or for all connections (2026.2); the challenge has none."""

    event: str
    payload: dict[str, Any] = {}
    seq: int | None = None


Frame = GatewayRequest | GatewayResponse | GatewayEvent

_decoder: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


def parse(data: str | bytes) -> Frame:
    """The frame of one WebSocket text message. Raises :class:`FrameError` and nothing else."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(str(error) or type(error).__name__) from None


def encode(frame: Frame) -> str:
    """A frame as it is sent."""
    return msgspec.json.encode(frame).decode()


def message_text(message: object) -> str:
    """The text of a chat message: its text blocks in order. Content may also be a plain string."""
    content = members(message).get("content")
    if isinstance(content, str):
        return content
    return "".join(text(members(block).get("text")) for block in items(content) if members(block).get("type") == "text")
