"""One client of the simulated gateway: the frames sent to it, in order and bounded; and the counters of all clients."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from kmon.openclaw.simulated.handshake import POLICY_VIOLATION, Admitted
from kmon.openclaw.simulated.releases import MAX_BUFFERED_BYTES

DROP_ABOVE_BYTES = 1_048_576
"""With more bytes unsent, droppable events are dropped."""
LEDGER_RUNS_LIMIT = 1_000


class GatewayLedger:
    """Counters of connections, requests and bytes, and the newest runs as rows that each run updates."""

    def __init__(self) -> None:
        self.opened = 0
        self.refused = 0
        self.closed: Counter[int] = Counter()
        self.requests: Counter[str] = Counter()
        self.bytes_in = 0
        self.bytes_out = 0
        self.frames_out = 0
        self._runs: deque[dict[str, Any]] = deque(maxlen=LEDGER_RUNS_LIMIT)

    def run(self, run_id: str, session_key: str) -> dict[str, Any]:
        """Add the row of a run that was accepted."""
        row: dict[str, Any] = {"run": run_id, "session": session_key, "state": "open", "provider_requests": 0}
        self._runs.append(row)
        return row

    def report(self) -> dict[str, Any]:
        """All counters and rows, ready for JSON."""
        closed = sum(self.closed.values())
        return {
            "connections": {"opened": self.opened, "refused": self.refused, "open": self.opened - closed},
            "close_codes": {str(code): count for code, count in sorted(self.closed.items())},
            "requests": dict(sorted(self.requests.items())),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "frames_out": self.frames_out,
            "runs": list(self._runs),
        }


class ClientConnection:
    """The sending side of a WebSocket. ``frozen``: it still reads and sends nothing more."""

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
        """The code of this side, if it closed first."""

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
        """Send the queued frames, then close."""
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
            while not self._unsent.empty():  # the client does not read
                self._unsent.get_nowait()
            self.close(POLICY_VIOLATION, "slow consumer")

    async def write(self) -> None:
        """Send until closed, or until the client is gone."""
        try:
            while not isinstance(item := await self._unsent.get(), int):
                await self._socket.send_str(item.decode())
                self._unsent_bytes -= len(item)
                self._ledger.bytes_out += len(item)
                self._ledger.frames_out += 1
            await self._socket.close(code=item, message=self._reason.encode()[:120])
        except (ConnectionError, RuntimeError):  # closed meanwhile
            await self._socket.close(code=WSCloseCode.GOING_AWAY)
