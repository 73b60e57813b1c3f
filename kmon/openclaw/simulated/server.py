"""The simulated gateway's server: WebSockets, ticks, broadcasts, its own faults, and its shutdown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from aiohttp import web

from kmon.dialects.server_request import LocalOnly
from kmon.openclaw.protocol.frames import (
    FRAME_LIMIT_BEFORE_HELLO_BYTES,
    FrameError,
    GatewayError,
    GatewayRequest,
    parse,
)
from kmon.openclaw.simulated.connection import ClientConnection, GatewayLedger
from kmon.openclaw.simulated.frames_v3 import now_ms
from kmon.openclaw.simulated.handshake import POLICY_VIOLATION, Rejected, error_payload, judge
from kmon.openclaw.simulated.http import GatewayServer, refusal
from kmon.openclaw.simulated.methods import (
    Methods,
    client_presence,
    gateway_presence,
    health_payload,
    hello_payload,
    snapshot_payload,
)
from kmon.openclaw.simulated.options import GatewayFault, GatewayOptions
from kmon.openclaw.simulated.releases import HEALTH_S, MAX_PAYLOAD_BYTES, RETRY_AFTER_MS, STARTING_S
from kmon.openclaw.simulated.sessions import Sessions
from kmon.simulator.server import LEDGER_PATH

HANDSHAKE_LIMIT_S = 10.0
DRAIN_LIMIT_S = 315.0
CONNECTION_LIMIT = 256
GAP_FRAMES = 3
"""Sequence numbers that a simulated gap leaves out."""
SERVICE_RESTART = 1012
TOO_BIG = 1009
TRY_AGAIN_LATER = 1013
RUN_EVENTS = ("chat", "agent")


class Gateway:
    """A loopback gateway. Use as an async context manager; ``port`` is known inside it.

    ``on_run_ended`` is called with the ledger's row of each run that ended, ``on_refused`` with a sentence for the
    first request of each kind that was refused because it came from a web page or named another host. Leaving kills
    open runs as protocol 3 does; call :meth:`shut_down` before it to shut down as the release does.
    """

    def __init__(
        self,
        options: GatewayOptions,
        *,
        on_run_ended: Callable[[dict[str, Any]], None] | None = None,
        on_refused: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self._on_run_ended = on_run_ended
        self._local_only = LocalOnly("the gateway", options.host, on_refused)
        self.options = options
        self.port = options.port
        self.ledger = GatewayLedger()
        self._connections: set[ClientConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._seq = 0
        self._version = {"presence": 1, "health": 1}
        self._ticking = True
        self._frozen = False
        self._began_s = time.monotonic()

    async def __aenter__(self) -> Gateway:
        """Listen. Raises OSError when the address cannot be used."""
        timeout = aiohttp.ClientTimeout(total=None)
        self._http = aiohttp.ClientSession(timeout=timeout)
        self.sessions = Sessions(
            self.options, self._http, self.ledger, self._broadcast, self._start_fault, self._on_run_ended
        )
        self._methods = Methods(self.options, self.sessions, self._presence)
        server = GatewayServer(self._get, self._local_only.check)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.options.host, self.options.port, reuse_address=True).start()
        except BaseException:
            await self._runner.cleanup()
            await self._http.close()
            raise
        self.port = self._runner.addresses[0][1]
        self._spawn(self._ticks())
        self._spawn(self._healths())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.sessions.kill()
        self._announce_shutdown()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._runner.cleanup()
        await self._http.close()

    @property
    def origin(self) -> str:
        """Scheme, host and port, for HTTP."""
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        return f"http://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The WebSocket URL for clients."""
        return self.origin.replace("http", "ws", 1)

    async def shut_down(self) -> None:
        """End as the release does: protocol 4 lets open runs end first, protocol 3 drops them without an event."""
        if self.options.release.drains:
            try:
                async with asyncio.timeout(DRAIN_LIMIT_S / self.options.speed):
                    while runs := self.sessions.open_runs:
                        await runs[0].over.wait()
                        await asyncio.sleep(0)
            except TimeoutError:
                pass
        self._announce_shutdown()
        await self.sessions.kill()

    def _announce_shutdown(self) -> None:
        reason: dict[str, Any] = {"reason": "gateway stopping"}
        if self.options.protocol == 3:
            reason["restartExpectedMs"] = None
        self._broadcast("shutdown", reason)
        for connection in self._connections:
            connection.close(SERVICE_RESTART, "service restart")

    # -- broadcasts

    def _broadcast(
        self,
        event: str,
        payload: dict[str, Any],
        *,
        owner: ClientConnection | None = None,
        owner_only: bool = False,
        droppable: bool = False,
    ) -> None:
        """Send an event to all clients that may see it; with ``owner_only`` to ``owner`` if it wants tool events."""
        release = self.options.release
        if owner_only:
            if owner is not None and owner in self._connections and owner.wants_tools:
                owner.event(event, payload, self._number(owner) if release.tool_frames_have_seq else None)
            return
        if not release.seq_per_connection:
            self._seq += 1
        extra = {"stateVersion": self._version} if event in ("health", "presence") else {}
        for connection in self._connections:
            if connection.admitted is None or (event in RUN_EVENTS and not connection.may("operator.read")):
                continue
            connection.event(event, payload, self._number(connection), droppable=droppable, **extra)

    def _number(self, connection: ClientConnection) -> int:
        if not self.options.release.seq_per_connection:
            return self._seq
        connection.seq += 1
        return connection.seq

    async def _start_fault(self, fault: GatewayFault) -> None:
        """Start a fault of the gateway itself."""
        match fault:
            case "tick-loss":
                self._ticking = False
            case "frozen":
                self._ticking, self._frozen = False, True
                for connection in self._connections:
                    connection.frozen = True
            case "seq-gap":
                self._seq += GAP_FRAMES
                for connection in self._connections:
                    connection.seq += GAP_FRAMES
            case "slow-consumer":
                for connection in self._connections:
                    connection.close(POLICY_VIOLATION, "slow consumer")
            case "shutdown":
                self._spawn(self.shut_down())

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(self.options.tick_s / self.options.speed)
            if self._ticking:
                self._broadcast("tick", {"ts": now_ms()})

    async def _healths(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_S / self.options.speed)
            self._broadcast_health()

    def _broadcast_health(self) -> None:
        self._version["health"] += 1
        self._broadcast("health", health_payload(self.options, self.sessions.all.values()))

    def _presence(self) -> list[dict[str, Any]]:
        clients = [c.admitted for c in self._connections if c.admitted is not None]
        return [gateway_presence(self.options), *(client_presence(c, "connect") for c in clients)]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- clients

    async def _get(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return refusal(request, 405, "use GET")
        if "upgrade" in request.headers.get("connection", "").lower():
            return await self._serve(request)
        if request.path == LEDGER_PATH:
            return web.json_response(self.ledger.report())
        if request.path == "/healthz" and self.options.protocol == 4:
            return web.json_response({"ok": True, "status": "live"})
        return web.Response(status=404, text="Not Found")

    async def _serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_PAYLOAD_BYTES, autoping=True, timeout=2.0)
        await socket.prepare(request)
        connection = ClientConnection(socket, self.sessions.new_id(), self.ledger)
        connection.frozen = self._frozen
        self.ledger.opened += 1
        self._connections.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            if len(self._connections) > CONNECTION_LIMIT:
                connection.close(TRY_AGAIN_LATER, "too many connections")
            else:
                await self._talk(connection, socket)
        finally:
            self._connections.discard(connection)
            code = connection.close_code or socket.close_code or 1006
            connection.close(1000)
            await asyncio.wait({writer}, timeout=2.0)
            writer.cancel()
            self.ledger.closed[code] += 1
            self._broadcast_presence(connection)
        return socket

    async def _talk(self, connection: ClientConnection, socket: web.WebSocketResponse) -> None:
        nonce = self.sessions.new_id()
        challenge: dict[str, Any] = {"nonce": nonce, "ts": now_ms()}
        connection.event("connect.challenge", challenge, None)
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT_S):
                message = await socket.receive()
        except TimeoutError:
            connection.close(POLICY_VIOLATION, "handshake timeout")
            return
        if not self._shake_hands(connection, message, nonce):
            self.ledger.refused += 1
            await self._until_closed(socket)
            return
        async for message in socket:
            if (request := self._request(connection, message)) is not None:
                self.ledger.requests[request.method] += 1
                if request.method == "agent.wait":  # waits for a run; other requests must not wait for it
                    self._spawn(self._methods.answer(connection, request))
                else:
                    await self._methods.answer(connection, request)

    def _request(self, connection: ClientConnection, message: aiohttp.WSMessage) -> GatewayRequest | None:
        if message.type is not aiohttp.WSMsgType.TEXT:
            connection.close(POLICY_VIOLATION, "invalid frame")
            return None
        self.ledger.bytes_in += len(message.data)
        try:
            frame = parse(message.data)
        except FrameError as error:
            connection.close(POLICY_VIOLATION, f"invalid frame: {error}"[:100])
            return None
        if not isinstance(frame, GatewayRequest):
            connection.close(POLICY_VIOLATION, "invalid request frame")
            return None
        return frame

    def _shake_hands(self, connection: ClientConnection, message: aiohttp.WSMessage, nonce: str) -> bool:
        """Judge the first message; whether its sender is admitted."""
        if message.type is aiohttp.WSMsgType.TEXT and len(message.data) > FRAME_LIMIT_BEFORE_HELLO_BYTES:
            connection.close(TOO_BIG, "frame too large before connect")
            return False
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
            return False
        request = self._request(connection, message)
        if request is None:
            return False
        if request.method != "connect":
            error = GatewayError("INVALID_REQUEST", "invalid handshake: first request must be connect")
            connection.refuse(request.id, error_payload(error))
            connection.close(POLICY_VIOLATION, error.message)
            return False
        self.ledger.requests["connect"] += 1
        judged = self._starting() or judge(request.params, nonce, self.options)
        if isinstance(judged, Rejected):
            connection.refuse(request.id, error_payload(judged.error))
            connection.close(judged.close_code, judged.error.message[:100])
            return False
        connection.admitted = judged
        health = health_payload(self.options, self.sessions.all.values())
        uptime_ms = round((time.monotonic() - self._began_s) * 1e3)
        snapshot = snapshot_payload(self._presence(), health, dict(self._version), uptime_ms)
        connection.respond(request.id, hello_payload(self.options, judged, connection.id, snapshot))
        self._broadcast_presence(connection)
        if self.options.protocol == 3:
            self._broadcast_health()
        return True

    def _starting(self) -> Rejected | None:
        """The refusal of a starting gateway; None if there is no such fault, or the start is over."""
        if self.options.fault != "starting" or time.monotonic() - self._began_s > STARTING_S / self.options.speed:
            return None
        error = GatewayError(
            "UNAVAILABLE",
            "gateway starting",
            {"reason": "startup-sidecars"},
            retryable=True,
            retry_after_ms=max(1.0, RETRY_AFTER_MS / self.options.speed),
        )
        return Rejected(error, TRY_AGAIN_LATER)

    def _broadcast_presence(self, connection: ClientConnection) -> None:
        """Send the presence to the other clients when one came or went."""
        if connection.admitted is None or not any(other is not connection for other in self._connections):
            return
        self._version["presence"] += 1
        self._broadcast("presence", {"presence": self._presence()})

    async def _until_closed(self, socket: web.WebSocketResponse) -> None:
        """Read until the writer has closed the socket."""
        async for _ in socket:
            pass
