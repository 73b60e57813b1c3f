"""What the gateway says of itself: hello, health, status, presence, the rows of sessions and histories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kmon.openclaw.simulated.frames_v3 import MODEL, PROVIDER, now_ms
from kmon.openclaw.simulated.handshake import Admitted
from kmon.openclaw.simulated.options import GatewayOptions
from kmon.openclaw.simulated.release import EVENTS, MAX_BUFFERED_BYTES, MAX_PAYLOAD_BYTES, METHODS
from kmon.openclaw.simulated.session import Session

Payload = dict[str, Any]
DEFAULTS: Payload = {"modelProvider": PROVIDER, "model": MODEL, "contextTokens": 128_000}


def hello(options: GatewayOptions, admitted: Admitted, connection_id: str, snapshot: Payload) -> Payload:
    """The answer to a connect that is let in."""
    release = options.release
    said: Payload = {
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
        said["auth"] = {**auth, "deviceToken": f"device-{admitted.device_id[:12]}"} if admitted.device_id else auth
    return said


def snapshot(presence: list[Payload], health: Payload, version: Payload, uptime_ms: int) -> Payload:
    sessions = {"mainKey": "main", "mainSessionKey": "agent:main:main", "scope": "per-sender"}
    return {
        "presence": presence,
        "health": health,
        "stateVersion": version,
        "uptimeMs": uptime_ms,
        "sessionDefaults": {"defaultAgentId": "main", **sessions},
    }


def health(options: GatewayOptions, sessions: Iterable[Session]) -> Payload:
    listed = [{"key": s.key, "updatedAt": s.updated_ms, "age": now_ms() - s.updated_ms} for s in sessions]
    counted = {"count": len(listed), "recent": listed[-5:]}
    agents = [{"agentId": "main", "isDefault": True, "sessions": counted}]
    said: Payload = {"ok": True, "ts": now_ms(), "durationMs": 0, "channels": {}, "channelOrder": []}
    said |= {"channelLabels": {}, "heartbeatSeconds": 0, "defaultAgentId": "main"}
    said |= {"agents": agents, "sessions": counted}
    if options.protocol == 4:
        said["plugins"] = {"loaded": [], "errors": [], "unavailable": []}
        said["eventLoop"] = {"degraded": False, "reasons": [], "delayP99Ms": 1.0, "utilization": 0.01}
    return said


def status(options: GatewayOptions, count: int) -> Payload:
    agents = [{"agentId": "main", "enabled": False, "every": "0m", "everyMs": None}]
    said: Payload = {"heartbeat": {"defaultAgentId": "main", "agents": agents}, "channelSummary": []}
    said |= {"queuedSystemEvents": [], "sessions": {"count": count, "recent": [], "byAgent": []}}
    return {"runtimeVersion": options.release.version, **said} if options.protocol == 4 else said


def gateway_presence(options: GatewayOptions) -> Payload:
    version = options.release.version if options.protocol == 4 else "unknown"
    return {"host": "simulated", "ip": options.host, "version": version, "mode": "gateway", "reason": "self"}


def client_presence(admitted: Admitted, reason: str) -> Payload:
    client = {"clientId": admitted.client.id, "mode": admitted.client.mode, "version": admitted.client.version}
    return {**client, "roles": [admitted.role], "scopes": list(admitted.scopes), "reason": reason, "ts": now_ms()}


def session_row(options: GatewayOptions, session: Session) -> Payload:
    """A row of ``sessions.list``; only protocol 4 tells whether a run is open."""
    row: Payload = {"key": session.key, "kind": "direct", "chatType": "direct", "updatedAt": session.updated_ms}
    row |= {"sessionId": session.id, "systemSent": True, "abortedLastRun": session.aborted_last_run}
    row |= {"modelProvider": PROVIDER, "model": MODEL}
    if options.protocol == 3:
        return row
    row["effectiveQueueMode"] = options.queue_mode
    if session.active is None:
        return {**row, "status": "done", "hasActiveRun": False, "activeRunIds": []}
    open_since = {"startedAt": session.active.voice.started_ms, "hasActiveRun": True}
    return {**row, "status": "running", **open_since, "activeRunIds": [session.active.message.run_id]}


def history(options: GatewayOptions, session: Session, limit: int) -> Payload:
    rows = list(session.rows)[-limit:]
    said: Payload = {"sessionKey": session.key, "sessionId": session.id}
    if options.protocol == 3:
        bare = [{name: value for name, value in row.items() if name != "__openclaw"} for row in rows]
        return {**said, "messages": bare, "thinkingLevel": "off"}
    waiting = [{"runId": message.run_id, "text": message.text} for message in session.queue]
    said |= {"messages": rows, "pendingInputs": {"items": waiting, "total": len(waiting)}, "defaults": DEFAULTS}
    said |= {"hasMore": False, "totalMessages": len(session.rows), "sessionInfo": session_row(options, session)}
    if (run := session.active) is not None:
        flight = {"runId": run.message.run_id, "text": run.voice.final_text, "startedAt": run.voice.started_ms}
        said["inFlightRun"] = {**flight, "events": []}
    return said
