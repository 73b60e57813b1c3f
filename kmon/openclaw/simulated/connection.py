"""One client: what is sent to it, in order, numbered, and never more than it can take."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from kmon.openclaw.simulated.handshake import POLICY_VIOLATION, Admitted
from kmon.openclaw.simulated.release import MAX_BUFFERED_BYTES
from kmon.openclaw.simulated.request_log import GatewayLedger

DROP_ABOVE_BYTES = 1_048_576
"""With so much unsent, events that may be dropped are."""


class Connection:
    """The sending side of a WebSocket. ``frozen``: it takes in everything and sends nothing more."""

    def __init__(self, socket: web.WebSocketResponse, connection_id: str, ledger: GatewayLedger) -> None:
        self.id = connection_id
        self.admitted: Admitted | None = None
        self.frozen = False
        self.seq = 0
        self._socket = socket
        self._ledger = ledger
        self._unsent: asyncio.Queue[bytes | int] = asyncio.Queue()
        self._unsent_bytes = 0
        self._closing = False
        self.close_code: int | None = None
        """The code this side closed with, if it did first."""

    def may(self, scope: str) -> bool:
        return self.admitted is not None and scope in self.admitted.scopes

    @property
    def wants_tools(self) -> bool:
        return self.admitted is not None and "tool-events" in self.admitted.caps

    def event(
        self, name: str, payload: dict[str, Any], seq: int | None, *, droppable: bool = False, **extra: object
    ) -> None:
        if droppable and self._unsent_bytes > DROP_ABOVE_BYTES:
            return
        numbered = {} if seq is None else {"seq": seq}
        self._push({"type": "event", "event": name, "payload": payload, **numbered, **extra})

    def respond(self, request_id: str, payload: object) -> None:
        self._push({"type": "res", "id": request_id, "ok": True, "payload": payload})

    def refuse(self, request_id: str, error: dict[str, Any]) -> None:
        self._push({"type": "res", "id": request_id, "ok": False, "error": error})

    def close(self, code: int, reason: str = "") -> None:
        """Send what is unsent, then close."""
        if not self._closing:
            self._closing = True
            self.close_code = code
            self._reason = reason
            self._unsent.put_nowait(code)

    def _push(self, frame: dict[str, Any]) -> None:
        if self._closing or self.frozen:
            return
        data = msgspec.json.encode(frame)
        self._unsent_bytes += len(data)
        self._unsent.put_nowait(data)
        if self._unsent_bytes > MAX_BUFFERED_BYTES:
            while not self._unsent.empty():  # nobody takes it
                self._unsent.get_nowait()
            self.close(POLICY_VIOLATION, "slow consumer")

    async def write(self) -> None:
        """Send until closed. Ends, too, when the client is gone."""
        try:
            while not isinstance(item := await self._unsent.get(), int):
                await self._socket.send_str(item.decode())
                self._unsent_bytes -= len(item)
                self._ledger.bytes_out += len(item)
                self._ledger.frames_out += 1
            await self._socket.close(code=item, message=self._reason.encode()[:120])
        except (ConnectionError, RuntimeError):  # closed under our hands
            await self._socket.close(code=WSCloseCode.GOING_AWAY)
