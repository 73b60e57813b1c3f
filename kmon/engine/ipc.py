"""The messages between a front end and the engine process: msgpack with a length of 4 bytes before it, both ways."""

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
    """The first message to the engine: the plan and the keys. Keys are sent only by this pipe, not in argv or env.

    ``environment`` holds the variables that the engine needs and that may hold a password, such as proxies.
    """

    plan: bytes
    """In msgpack; :mod:`kmon.hosts` knows the kinds of plans."""
    keys: Keys
    environment: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Start({len(self.plan)} bytes, {self.keys!r}, {', '.join(sorted(self.environment))})"


class Do(Struct, frozen=True, tag="do"):
    """A command from the user."""

    command: Command


ToEngine = Start | Do

_encoder = msgspec.msgpack.Encoder()
_message_decoder = msgspec.msgpack.Decoder(ToEngine)
_events_decoder = msgspec.msgpack.Decoder(list[Event])


def pack(message: object) -> bytes:
    """The bytes of a message on the pipe."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def read_message(reader: asyncio.StreamReader) -> ToEngine | None:
    """The next message for the engine, or None when the front end has closed or a message is over the limit."""
    return await _read(reader, _message_decoder)


async def read_events(reader: asyncio.StreamReader) -> list[Event] | None:
    """The next batch of events, or None when the engine has ended or a message is over the limit."""
    return await _read(reader, _events_decoder)


async def _read(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[_T]) -> _T | None:
    try:
        (size_bytes,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if size_bytes > MESSAGE_LIMIT_BYTES:
            return None
        return decoder.decode(await reader.readexactly(size_bytes))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
