"""The words between a front end and the engine's process: length-prefixed msgpack, both ways, bounded."""

from __future__ import annotations

import asyncio
import struct
from typing import TypeVar

import msgspec
from msgspec import Struct

from kmon.engine.api import Command
from kmon.engine.plan import Keys
from kmon.stream.events import Event

MESSAGE_LIMIT_BYTES = 256 * 1024 * 1024
_T = TypeVar("_T")
_LENGTH = struct.Struct(">I")


class Start(Struct, frozen=True, tag="start"):
    """The first message down: the plan, and the keys beside it. Keys travel by this pipe only: not argv, not env.

    ``environment`` is what the engine needs of the environment that may hold a password: proxies, for one.
    """

    plan: bytes
    """In msgpack; which kinds of plan there are is known to the host's factory only."""
    keys: Keys
    environment: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Start({len(self.plan)} bytes, {self.keys!r}, {', '.join(sorted(self.environment))})"


class Do(Struct, frozen=True, tag="do"):
    """A command from the user."""

    command: Command


Down = Start | Do
Up = list[Event]

_encoder = msgspec.msgpack.Encoder()
_down = msgspec.msgpack.Decoder(Down)
_up = msgspec.msgpack.Decoder(Up)


def pack(message: object) -> bytes:
    """A message as it goes over the pipe."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def read_down(reader: asyncio.StreamReader) -> Start | Do | None:
    """The next message for the engine, or None when the front end is gone."""
    return await _read(reader, _down)


async def read_up(reader: asyncio.StreamReader) -> list[Event] | None:
    """The next batch of events, or None when the engine is gone."""
    return await _read(reader, _up)


async def _read(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[_T]) -> _T | None:
    try:
        (size_bytes,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if size_bytes > MESSAGE_LIMIT_BYTES:
            return None
        return decoder.decode(await reader.readexactly(size_bytes))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
