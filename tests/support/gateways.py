"""A scripted gateway on loopback: the real handshake, checked; then whatever the test says."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.support.sockets import socket_server

TOKEN = "gateway-token-of-the-test"
SESSION = "agent:main:test"


class Peer:
    """The gateway's side of one connection, after its hello."""

    def __init__(self, socket: web.WebSocketResponse, protocol: int, connect: dict[str, Any]) -> None:
        self.socket, self.protocol, self.connect = socket, protocol, connect
        self.asked: list[dict[str, Any]] = []
        self._seq = 100

    async def request(self, method: str) -> dict[str, Any]:
        """The next request of that method, not answered yet."""
        while True:
            frame = await _received(self.socket)
            self.asked.append(frame)
            if frame["method"] == method:
                return frame

    async def respond(self, request: dict[str, Any], payload: object = None, error: object = None) -> None:
        body = {"type": "res", "id": request["id"], "ok": error is None}
        await self.send(body | ({"payload": payload} if error is None else {"error": error}))

    async def send(self, frame: dict[str, Any]) -> None:
        await self.socket.send_str(json.dumps(frame))

    async def event(self, name: str, skip: int = 0, **payload: Any) -> None:  # noqa: ANN401 - JSON
        self._seq += 1 + skip
        await self.send({"type": "event", "event": name, "payload": payload, "seq": self._seq})

    async def accept(self) -> tuple[str, str]:
        """Take a ``chat.send``: its run id and session."""
        asked = await self.request("chat.send")
        run, session = asked["params"]["idempotencyKey"], asked["params"]["sessionKey"]
        await self.respond(asked, {"runId": run, "status": "started"})
        return run, session

    async def agent(self, run: str, session: str, stream: str, **told: Any) -> None:  # noqa: ANN401 - JSON
        await self.event("agent", runId=run, sessionKey=session, stream=stream, data=told, ts=1)

    async def says(self, run: str, session: str, *words: str, start: bool = True) -> None:
        """A turn's beginning and its words so far, as agent and chat events both tell."""
        if start:
            await self.agent(run, session, "lifecycle", phase="start", startedAt=1)
        for i, word in enumerate(words):
            whole = "".join(words[: i + 1])
            await self.agent(run, session, "assistant", text=whole, delta=word)
            await self.event("chat", runId=run, sessionKey=session, state="delta", message=message(whole))

    async def final(self, run: str, session: str, text: str | None) -> None:
        if text is not None:
            await self.agent(run, session, "lifecycle", phase="end", endedAt=2)
        said = {} if text is None else {"message": message(text)}
        await self.event("chat", runId=run, sessionKey=session, state="final", **said)


def message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": 1}


Talk = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def gateway(
    talk: Talk,
    *,
    protocol: int = 4,
    tick_ms: int = 30_000,
    starting: int = 0,
    token: str = TOKEN,
    known: Callable[[str], bool] = lambda _: True,
) -> AsyncIterator[str]:
    """Serve ``talk``. The first ``starting`` connections are told to come again; devices may be ``known`` or not."""
    connections = 0

    async def script(socket: web.WebSocketResponse) -> None:
        nonlocal connections
        connections += 1
        await socket.send_json(
            {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n-1", "ts": 1795230860861}}
        )
        asked = await _received(socket)
        refused = _refusal(asked["params"], token, known, starting=connections <= starting)
        if refused is not None:
            await socket.send_json({"type": "res", "id": asked["id"], "ok": False, "error": refused})
            await socket.close(code=1008)
            return
        hello = {
            "type": "hello-ok",
            "protocol": protocol,
            "server": {"version": "test", "connId": "c"},
            "features": {"methods": [], "events": []},
            "snapshot": {"sessionDefaults": {"mainSessionKey": "agent:main:main"}},
            "auth": {"role": "operator", "scopes": asked["params"]["scopes"]},
            "policy": {"maxPayload": 1 << 20, "maxBufferedBytes": 1 << 21, "tickIntervalMs": tick_ms},
        }
        await socket.send_json({"type": "res", "id": asked["id"], "ok": True, "payload": hello})
        await talk(Peer(socket, protocol, asked["params"]))

    async with socket_server(script) as url:
        yield url


def _refusal(params: dict[str, Any], token: str, known: Callable[[str], bool], *, starting: bool) -> object:
    """What the real gateway checks, in its own words."""
    if starting:
        return {
            "code": "UNAVAILABLE",
            "message": "starting",
            "details": {"reason": "startup-sidecars"},
            "retryAfterMs": 60,
        }
    if not params["minProtocol"] <= 4 <= params["maxProtocol"]:
        return {"code": "PROTOCOL_MISMATCH", "message": "protocol mismatch", "details": {"expectedProtocol": 4}}
    if params.get("auth", {}).get("token") != token:
        details = {"code": "AUTH_TOKEN_MISMATCH"}
        return {"code": "INVALID_REQUEST", "message": "unauthorized: gateway token mismatch", "details": details}
    device, client = params["device"], params["client"]
    signed = "|".join(
        ("v2", device["id"], client["id"], client["mode"], params["role"], ",".join(params["scopes"]),
         str(device["signedAt"]), token, device["nonce"])
    )  # fmt: skip
    key = Ed25519PublicKey.from_public_bytes(_bytes(device["publicKey"]))
    key.verify(_bytes(device["signature"]), signed.encode())  # raises, and closes the connection, when it is wrong
    if not known(device["id"]):
        return {"code": "NOT_PAIRED", "message": "pairing required", "details": {"requestId": "r1"}}
    return None


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def _received(socket: web.WebSocketResponse) -> dict[str, Any]:
    message = await socket.receive()
    if message.type is not WSMsgType.TEXT:
        raise ConnectionError("the client went away")
    frame: dict[str, Any] = json.loads(message.data)
    return frame


async def forever(_: Peer) -> None:
    await asyncio.Event().wait()
