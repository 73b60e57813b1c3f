"""The requests of a client after its handshake: the scope each needs, and the payloads of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from kmon.openclaw.protocol.frames import GatewayRequest
from kmon.openclaw.simulated.connection import ClientConnection
from kmon.openclaw.simulated.frames_v3 import MODEL, PROVIDER, now_ms
from kmon.openclaw.simulated.handshake import Admitted, validation_message
from kmon.openclaw.simulated.options import GatewayOptions
from kmon.openclaw.simulated.releases import EVENTS, MAX_BUFFERED_BYTES, MAX_PAYLOAD_BYTES, METHODS, QueueMode
from kmon.openclaw.simulated.run import SimulatedRun, UserMessage
from kmon.openclaw.simulated.sessions import GatewaySession, Sessions

MESSAGE_LIMIT_CHARS = 200_000
Name = Annotated[str, Meta(min_length=1, max_length=300)]
Payload = dict[str, Any]
DEFAULTS: Payload = {"modelProvider": PROVIDER, "model": MODEL, "contextTokens": 128_000}


class MethodError(Exception):
    """A refused request, with the protocol's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.payload = {"code": code, "message": message}


class SendParams(Struct, frozen=True):
    sessionKey: Name  # noqa: N815 - the protocol's own spelling, here and below
    message: Annotated[str, Meta(min_length=1, max_length=MESSAGE_LIMIT_CHARS)]
    idempotencyKey: Name  # noqa: N815
    queueMode: QueueMode | None = None  # noqa: N815


class HistoryParams(Struct, frozen=True):
    sessionKey: Name  # noqa: N815
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class AbortParams(Struct, frozen=True):
    sessionKey: Name  # noqa: N815
    runId: str | None = None  # noqa: N815


class WaitParams(Struct, frozen=True):
    runId: Name  # noqa: N815
    timeoutMs: Annotated[int, Meta(ge=0, le=600_000)] = 30_000  # noqa: N815


class ListParams(Struct, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class Methods:
    """Answers requests. Each method sends its response itself, since some send events before or after it."""

    def __init__(self, options: GatewayOptions, sessions: Sessions, presence: Callable[[], list[Payload]]) -> None:
        self._options = options
        self._sessions = sessions
        self._presence = presence
        self._table: dict[str, tuple[str, Callable[[ClientConnection, GatewayRequest], Awaitable[None]]]] = {
            "health": ("operator.read", self._health),
            "status": ("operator.read", self._status),
            "system-presence": ("operator.read", self._system_presence),
            "sessions.list": ("operator.read", self._list),
            "chat.history": ("operator.read", self._history),
            "chat.send": ("operator.write", self._send),
            "chat.abort": ("operator.write", self._abort),
            "agent.wait": ("operator.read", self._wait),
        }

    async def answer(self, connection: ClientConnection, request: GatewayRequest) -> None:
        """Answer ``request`` or refuse it."""
        try:
            known = self._table.get(request.method)
            if known is None:
                raise MethodError("INVALID_REQUEST", f"unknown method: {request.method[:80]}")
            scope, method = known
            if not connection.may(scope) and not connection.may("operator.admin"):
                raise MethodError("INVALID_REQUEST", f"missing scope: {scope}")
            await method(connection, request)
        except msgspec.ValidationError as error:
            message = validation_message(request.method, error)
            connection.refuse(request.id, {"code": "INVALID_REQUEST", "message": message})
        except MethodError as error:
            connection.refuse(request.id, error.payload)

    async def _health(self, connection: ClientConnection, request: GatewayRequest) -> None:
        connection.respond(request.id, health_payload(self._options, self._sessions.all.values()))

    async def _status(self, connection: ClientConnection, request: GatewayRequest) -> None:
        connection.respond(request.id, status_payload(self._options, len(self._sessions.all)))

    async def _system_presence(self, connection: ClientConnection, request: GatewayRequest) -> None:
        connection.respond(request.id, self._presence())

    async def _list(self, connection: ClientConnection, request: GatewayRequest) -> None:
        limit = msgspec.convert(request.params, ListParams).limit
        newest = sorted(self._sessions.all.values(), key=lambda session: -session.updated_ms)[:limit]
        rows = [session_row(self._options, session) for session in newest]
        listed = {"ts": now_ms(), "path": "(simulated)", "count": len(rows), "defaults": DEFAULTS}
        connection.respond(request.id, {**listed, "sessions": rows})

    async def _history(self, connection: ClientConnection, request: GatewayRequest) -> None:
        params = msgspec.convert(request.params, HistoryParams)
        session = self._sessions.session(params.sessionKey)
        connection.respond(request.id, history_payload(self._options, session, params.limit))

    async def _send(self, connection: ClientConnection, request: GatewayRequest) -> None:
        params = msgspec.convert(request.params, SendParams)
        run_id = params.idempotencyKey
        if run_id in self._sessions.runs:  # the same message again
            known = self._sessions.runs[run_id]
            status = "in_flight" if isinstance(known, UserMessage) or known.state == "open" else "ok"
            connection.respond(request.id, {"runId": run_id, "status": status})
            return
        connection.respond(request.id, {"runId": run_id, "status": "started"})
        session = self._sessions.session(params.sessionKey)
        message = UserMessage(run_id, params.message, params.message)
        self._sessions.take(session, message, connection, params.queueMode)

    async def _abort(self, connection: ClientConnection, request: GatewayRequest) -> None:
        params = msgspec.convert(request.params, AbortParams)
        session = self._sessions.session(params.sessionKey)
        run = session.active
        if run is None or params.runId not in (None, run.message.run_id):
            connection.respond(request.id, {"ok": True, "aborted": False, "runIds": []})
            return
        self._sessions.abort(session, run, "rpc")
        connection.respond(request.id, {"ok": True, "aborted": True, "runIds": [run.message.run_id]})
        run.frames.abort_settled()

    async def _wait(self, connection: ClientConnection, request: GatewayRequest) -> None:
        params = msgspec.convert(request.params, WaitParams)
        run = self._sessions.runs.get(params.runId)
        if isinstance(run, SimulatedRun):
            try:
                async with asyncio.timeout(params.timeoutMs / 1e3):
                    await run.over.wait()
            except TimeoutError:
                connection.respond(request.id, {"runId": params.runId, "status": "timeout"})
                return
            connection.respond(request.id, {"runId": params.runId, "status": _ending(run)})
            return
        status = "pending" if run is not None else "timeout"
        connection.respond(request.id, {"runId": params.runId, "status": status})


def hello_payload(options: GatewayOptions, admitted: Admitted, connection_id: str, snapshot: Payload) -> Payload:
    """The answer to an accepted ``connect``."""
    release = options.release
    payload: Payload = {
        "type": "hello-ok",
        "protocol": release.protocol,
        "server": {"version": release.version, "connId": connection_id},
        "features": {"methods": list(METHODS), "events": list(EVENTS)},
        "snapshot": snapshot,
        "policy": {
            "maxPayload": MAX_PAYLOAD_BYTES,
            "maxBufferedBytes": MAX_BUFFERED_BYTES,
            "tickIntervalMs": max(1, round(options.tick_s * 1e3 / options.speed)),
        },
    }
    if admitted.device_id or not release.scopes_need_device:
        auth = {"role": admitted.role, "scopes": list(admitted.scopes)}
        payload["auth"] = {**auth, "deviceToken": f"device-{admitted.device_id[:12]}"} if admitted.device_id else auth
    return payload


def snapshot_payload(presence: list[Payload], health: Payload, version: Payload, uptime_ms: int) -> Payload:
    sessions = {"mainKey": "main", "mainGatewaySessionKey": "agent:main:main", "scope": "per-sender"}
    return {
        "presence": presence,
        "health": health,
        "stateVersion": version,
        "uptimeMs": uptime_ms,
        "sessionDefaults": {"defaultAgentId": "main", **sessions},
    }


def health_payload(options: GatewayOptions, sessions: Iterable[GatewaySession]) -> Payload:
    listed = [{"key": s.key, "updatedAt": s.updated_ms, "age": now_ms() - s.updated_ms} for s in sessions]
    counted = {"count": len(listed), "recent": listed[-5:]}
    agents = [{"agentId": "main", "isDefault": True, "sessions": counted}]
    payload: Payload = {"ok": True, "ts": now_ms(), "durationMs": 0, "channels": {}, "channelOrder": []}
    payload |= {"channelLabels": {}, "heartbeatSeconds": 0, "defaultAgentId": "main"}
    payload |= {"agents": agents, "sessions": counted}
    if options.protocol == 4:
        payload["plugins"] = {"loaded": [], "errors": [], "unavailable": []}
        payload["eventLoop"] = {"degraded": False, "reasons": [], "delayP99Ms": 1.0, "utilization": 0.01}
    return payload


def status_payload(options: GatewayOptions, count: int) -> Payload:
    agents = [{"agentId": "main", "enabled": False, "every": "0m", "everyMs": None}]
    payload: Payload = {"heartbeat": {"defaultAgentId": "main", "agents": agents}, "channelSummary": []}
    payload |= {"queuedSystemEvents": [], "sessions": {"count": count, "recent": [], "byAgent": []}}
    return {"runtimeVersion": options.release.version, **payload} if options.protocol == 4 else payload


def gateway_presence(options: GatewayOptions) -> Payload:
    version = options.release.version if options.protocol == 4 else "unknown"
    return {"host": "simulated", "ip": options.host, "version": version, "mode": "gateway", "reason": "self"}


def client_presence(admitted: Admitted, reason: str) -> Payload:
    client = {"clientId": admitted.client.id, "mode": admitted.client.mode, "version": admitted.client.version}
    return {**client, "roles": [admitted.role], "scopes": list(admitted.scopes), "reason": reason, "ts": now_ms()}


def session_row(options: GatewayOptions, session: GatewaySession) -> Payload:
    """A row of ``sessions.list``; only protocol 4 has whether a run is open."""
    row: Payload = {"key": session.key, "kind": "direct", "chatType": "direct", "updatedAt": session.updated_ms}
    row |= {"sessionId": session.id, "systemSent": True, "abortedLastRun": session.aborted_last_run}
    row |= {"modelProvider": PROVIDER, "model": MODEL}
    if options.protocol == 3:
        return row
    row["effectiveQueueMode"] = options.queue_mode
    if session.active is None:
        return {**row, "status": "done", "hasActiveRun": False, "activeRunIds": []}
    open_since = {"startedAt": session.active.frames.started_ms, "hasActiveRun": True}
    return {**row, "status": "running", **open_since, "activeRunIds": [session.active.message.run_id]}


def history_payload(options: GatewayOptions, session: GatewaySession, limit: int) -> Payload:
    rows = list(session.rows)[-limit:]
    payload: Payload = {"sessionKey": session.key, "sessionId": session.id}
    if options.protocol == 3:
        bare = [{name: value for name, value in row.items() if name != "__openclaw"} for row in rows]
        return {**payload, "messages": bare, "thinkingLevel": "off"}
    waiting = [{"runId": message.run_id, "text": message.text} for message in session.queue]
    payload |= {"messages": rows, "pendingInputs": {"items": waiting, "total": len(waiting)}, "defaults": DEFAULTS}
    payload |= {"hasMore": False, "totalMessages": len(session.rows), "sessionInfo": session_row(options, session)}
    if (run := session.active) is not None:
        flight = {"runId": run.message.run_id, "text": run.frames.final_text, "startedAt": run.frames.started_ms}
        payload["inFlightRun"] = {**flight, "events": []}
    return payload


def _ending(run: SimulatedRun) -> str:
    return "ok" if run.state == "ok" else "error"
