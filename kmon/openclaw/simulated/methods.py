"""The requests a client may make after its handshake: what each needs, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from kmon.openclaw.protocol.frames import Request
from kmon.openclaw.simulated import payloads
from kmon.openclaw.simulated.connection import Connection
from kmon.openclaw.simulated.frames_v3 import now_ms
from kmon.openclaw.simulated.options import GatewayOptions
from kmon.openclaw.simulated.release import QueueMode
from kmon.openclaw.simulated.run import Message, Run
from kmon.openclaw.simulated.sessions import Sessions

MESSAGE_LIMIT_CHARS = 200_000
Name = Annotated[str, Meta(min_length=1, max_length=300)]
Payload = dict[str, Any]


class MethodError(Exception):
    """A request that is refused, with the protocol's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.shape = {"code": code, "message": message}


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
    """Answers requests. Each method responds by itself, since some say more before and after."""

    def __init__(self, options: GatewayOptions, sessions: Sessions, presence: Callable[[], list[Payload]]) -> None:
        self._options = options
        self._sessions = sessions
        self._presence = presence
        self._table: dict[str, tuple[str, Callable[[Connection, Request], Awaitable[None]]]] = {
            "health": ("operator.read", self._health),
            "status": ("operator.read", self._status),
            "system-presence": ("operator.read", self._system_presence),
            "sessions.list": ("operator.read", self._list),
            "chat.history": ("operator.read", self._history),
            "chat.send": ("operator.write", self._send),
            "chat.abort": ("operator.write", self._abort),
            "agent.wait": ("operator.read", self._wait),
        }

    async def answer(self, connection: Connection, request: Request) -> None:
        """Answer ``request``, if only with a refusal."""
        try:
            known = self._table.get(request.method)
            if known is None:
                raise MethodError("INVALID_REQUEST", f"unknown method: {request.method[:80]}")
            scope, method = known
            if not connection.may(scope) and not connection.may("operator.admin"):
                raise MethodError("INVALID_REQUEST", f"missing scope: {scope}")
            await method(connection, request)
        except msgspec.ValidationError as error:
            problem, _, place = str(error).replace("`", "").partition(" - at $.")
            message = f"invalid {request.method} params: at /{place.replace('.', '/')}: {problem}"
            connection.refuse(request.id, {"code": "INVALID_REQUEST", "message": message})
        except MethodError as error:
            connection.refuse(request.id, error.shape)

    async def _health(self, connection: Connection, request: Request) -> None:
        connection.respond(request.id, payloads.health(self._options, self._sessions.all.values()))

    async def _status(self, connection: Connection, request: Request) -> None:
        connection.respond(request.id, payloads.status(self._options, len(self._sessions.all)))

    async def _system_presence(self, connection: Connection, request: Request) -> None:
        connection.respond(request.id, self._presence())

    async def _list(self, connection: Connection, request: Request) -> None:
        limit = msgspec.convert(request.params, ListParams).limit
        newest = sorted(self._sessions.all.values(), key=lambda session: -session.updated_ms)[:limit]
        rows = [payloads.session_row(self._options, session) for session in newest]
        said = {"ts": now_ms(), "path": "(simulated)", "count": len(rows), "defaults": payloads.DEFAULTS}
        connection.respond(request.id, {**said, "sessions": rows})

    async def _history(self, connection: Connection, request: Request) -> None:
        params = msgspec.convert(request.params, HistoryParams)
        session = self._sessions.session(params.sessionKey)
        connection.respond(request.id, payloads.history(self._options, session, params.limit))

    async def _send(self, connection: Connection, request: Request) -> None:
        params = msgspec.convert(request.params, SendParams)
        run_id = params.idempotencyKey
        if run_id in self._sessions.runs:  # the same message again
            known = self._sessions.runs[run_id]
            status = "in_flight" if isinstance(known, Message) or known.state == "open" else "ok"
            connection.respond(request.id, {"runId": run_id, "status": status})
            return
        connection.respond(request.id, {"runId": run_id, "status": "started"})
        session = self._sessions.session(params.sessionKey)
        message = Message(run_id, params.message, params.message)
        self._sessions.take(session, message, connection, params.queueMode)

    async def _abort(self, connection: Connection, request: Request) -> None:
        params = msgspec.convert(request.params, AbortParams)
        session = self._sessions.session(params.sessionKey)
        run = session.active
        if run is None or params.runId not in (None, run.message.run_id):
            connection.respond(request.id, {"ok": True, "aborted": False, "runIds": []})
            return
        self._sessions.abort(session, run, "rpc")
        connection.respond(request.id, {"ok": True, "aborted": True, "runIds": [run.message.run_id]})
        run.voice.abort_settled()

    async def _wait(self, connection: Connection, request: Request) -> None:
        params = msgspec.convert(request.params, WaitParams)
        run = self._sessions.runs.get(params.runId)
        if isinstance(run, Run):
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


def _ending(run: Run) -> str:
    return "ok" if run.state == "ok" else "error"
