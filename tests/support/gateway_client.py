"""A small real client of the gateway, as its own are: challenge, signed device, requests by id, events in order."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kmon.openclaw.simulated.options import TOKEN
from kmon.openclaw.simulated.server import Gateway

Frame = dict[str, Any]
Start = Callable[..., Awaitable[Gateway]]
"""The fixture ``start``: a gateway with these options."""
SCOPES = ("operator.read", "operator.write")
LIMIT_S = 30.0
T = TypeVar("T")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_device(params: Frame, challenge: Frame, form: str = "v2", token: str = TOKEN) -> Frame:
    """A new device's identity for ``params``, signed over the challenge."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    identity = hashlib.sha256(public).hexdigest()
    client, at, nonce = params["client"], challenge["ts"], challenge["nonce"]
    parts = [form, identity, client["id"], client["mode"], params["role"], ",".join(params["scopes"])]
    parts += [str(at), token, nonce]
    if form == "v3":
        parts += [client["platform"].lower(), ""]
    signature = b64(key.sign("|".join(parts).encode()))
    return {"id": identity, "publicKey": b64(public), "signature": signature, "signedAt": at, "nonce": nonce}


def connect_params(client: str = "cli", mode: str = "cli", **members: object) -> Frame:
    return {
        "minProtocol": 3,
        "maxProtocol": 4,
        "client": {"id": client, "version": "0.0.1", "platform": "linux", "mode": mode},
        "role": "operator",
        "scopes": list(SCOPES),
        "caps": ["tool-events"],
        "auth": {"token": TOKEN},
        **members,
    }


class Client:
    """A connection whose frames, in both directions, are kept in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[Frame] = []
        self._news = asyncio.Condition()
        self._count = 0

    async def listen(self) -> None:
        async for message in self.socket:
            await self._keep(json.loads(message.data))
        async with self._news:
            self._news.notify_all()

    async def _keep(self, frame: Frame) -> None:
        async with self._news:
            self.frames.append(frame)
            self._news.notify_all()

    async def until(self, seen: Callable[[], T]) -> T:
        """What ``seen`` says, once it says something true."""
        async with asyncio.timeout(LIMIT_S), self._news:
            while not (found := seen()):
                assert not self.socket.closed, f"closed with {self.socket.close_code} while waiting"
                await self._news.wait()
            return found

    async def closed(self) -> int | None:
        """The code the gateway closes with."""
        async with asyncio.timeout(LIMIT_S), self._news:
            while not self.socket.closed:
                await self._news.wait()
        return self.socket.close_code

    async def event(self, name: str, **members: object) -> Frame:
        """The first event of that name whose payload has these members."""
        found = await self.until(lambda: next(iter(self.events(name, **members)), None))
        assert found is not None
        return found

    def events(self, name: str, **members: object) -> list[Frame]:
        return [
            frame["payload"]
            for frame in self.frames
            if frame.get("event") == name and members.items() <= frame["payload"].items()
        ]

    async def post(self, method: str, params: Frame) -> str:
        """Send a request and return its id."""
        self._count += 1
        request = {"type": "req", "id": str(self._count), "method": method, "params": params}
        await self._keep(request)
        await self.socket.send_json(request)
        return str(self._count)

    async def answer(self, request_id: str) -> Frame:
        found = await self.until(
            lambda: next((f for f in self.frames if f["type"] == "res" and f["id"] == request_id), None)
        )
        assert found is not None
        return found

    async def ask(self, method: str, **params: object) -> Frame:
        """The whole response to a request."""
        return await self.answer(await self.post(method, params))

    async def send(self, message: str, run_id: str, session: str = "agent:main:test", **params: object) -> Frame:
        return await self.ask("chat.send", sessionKey=session, message=message, idempotencyKey=run_id, **params)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Client]:
    """A connection that has not said anything yet."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        client = Client(socket)
        listening = asyncio.create_task(client.listen())
        try:
            yield client
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def connected(url: str, **members: object) -> AsyncIterator[Client]:
    """A connection after its handshake, with a device of its own."""
    async with opened(url) as client:
        challenge = await client.event("connect.challenge")
        params = connect_params(**members)
        answer = await client.ask("connect", **params, device=signed_device(params, challenge))
        assert answer["ok"], answer
        yield client
