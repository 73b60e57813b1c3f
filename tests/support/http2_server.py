"""A TLS server on loopback that speaks HTTP/2, written with h2: what it answers is up to the test."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import h2.config
import h2.connection
import h2.events
import trustme

from tests.support.loopback import listening

Answer = Callable[["Talk", int], Awaitable[None]]
HEAD = ((":status", "200"), ("content-type", "text/event-stream"))


class Talk:
    """One connection. ``bodies`` has the request of each stream, ``heads`` its headers."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.session = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=False))
        self.writer = writer
        self.bodies: dict[int, bytearray] = {}
        self.heads: dict[int, dict[str, str]] = {}

    async def flush(self) -> None:
        self.writer.write(self.session.data_to_send())
        await self.writer.drain()

    async def head(self, stream: int, *fields: tuple[str, str], end: bool = False) -> None:
        self.session.send_headers(stream, fields or HEAD, end_stream=end)
        await self.flush()

    async def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self.session.send_data(stream, data, end_stream=end)
        await self.flush()

    async def raw(self, frame: bytes) -> None:
        """Bytes that h2 would not send."""
        self.writer.write(frame)
        await self.writer.drain()


def goaway(last_stream: int, code: int = 0) -> bytes:
    """A GOAWAY frame."""
    return b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + last_stream.to_bytes(4, "big") + code.to_bytes(4, "big")


class Http2Server:
    """Answers each request once it is whole. ``by`` has the connection of each, from 1. Clients trust it with
    the context ``trusting``."""

    def __init__(self, answer: Answer) -> None:
        self.url = ""
        self.answer, self.authority = answer, trustme.CA()
        self.trusting = ssl.create_default_context()
        self.authority.configure_trust(self.trusting)
        self.by: list[int] = []
        self.talks: list[Talk] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(writer)
        self.talks.append(talk)
        number = len(self.talks)
        talk.session.initiate_connection()
        await talk.flush()
        while data := await reader.read(65_536):
            for event in talk.session.receive_data(data):
                await self._take(talk, number, event)
            if writer.is_closing():
                return
            await talk.flush()

    async def _take(self, talk: Talk, number: int, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            talk.heads[event.stream_id] = {_text(name): _text(value) for name, value in event.headers}
            talk.bodies[event.stream_id] = bytearray()
        elif isinstance(event, h2.events.DataReceived):
            talk.bodies[event.stream_id] += event.data
            talk.session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.by.append(number)
            await self.answer(talk, event.stream_id)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@contextlib.asynccontextmanager
async def serving_http2(answer: Answer, *, protocols: tuple[str, ...] = ("h2",)) -> AsyncIterator[Http2Server]:
    """A server on localhost with its own authority, which offers these protocols by ALPN."""
    server, context = Http2Server(answer), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(list(protocols))
    async with listening(server, context) as port:
        server.url = f"https://localhost:{port}/v1"
        yield server
