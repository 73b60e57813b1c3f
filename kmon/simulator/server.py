"""The simulated provider: it accepts connections, routes requests, answers each by a script and logs it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from kmon.dialects.server_request import LocalOnly
from kmon.dialects.text import clean
from kmon.simulator.client_behaviour import AMZ_INVOCATION, AMZ_REQUEST, as_object, client_attempt
from kmon.simulator.connection import HttpConnection
from kmon.simulator.dialects.chat import CHAT, error_body
from kmon.simulator.dialects.registry import route, server_dialects
from kmon.simulator.endpoints import Opened, opened
from kmon.simulator.faults.path import date_header
from kmon.simulator.faults.registry import FAULTS, HEADER, check, from_header, from_model
from kmon.simulator.held_answers import HeldAnswers, HeldConversation, conversation
from kmon.simulator.http import HttpError, ServerRequest, response_head, whole
from kmon.simulator.profile import Profile
from kmon.simulator.request_log import LoggedRequest, RequestLog
from kmon.simulator.script import Script, Whole
from kmon.simulator.script_builder import BuildContext, Ordinals, build_script, conversation_hash, facts
from kmon.simulator.script_sender import ScriptSender, send_whole
from kmon.simulator.sockets import SocketEnvelope, asks_for_a_socket
from kmon.simulator.sockets import serve as serve_socket
from kmon.simulator.sse import JSON_HEADERS
from kmon.simulator.wire import DEFAULT_PROVIDER, ServerRoute, SocketRequest, SocketTalk

CONNECTION_LIMIT = 1_024
USER_AGENT_LIMIT_CHARS = 200
LEDGER_PATH = "/_kmon/ledger"
REPLAY_ROOT = "/replay/"
MODELS = ("moonshotai/Kimi-K2.6", "openai/gpt-oss-120b")
"""In the list of models, before one ``sim/NAME`` per fault."""


@dataclass(slots=True)
class _Client:
    """The state of a connection."""

    number: int
    requests: int = 0
    reads_log: bool = False
    """Whether it only reads the log; it is not counted then."""


class Simulator:
    """A loopback provider, open while its async context is; ``port`` is known inside.

    ``replays`` maps path prefixes (``/replay/NAME/INDEX``) to recorded answers. ``on_finished`` is called with each
    request that has ended. ``on_refused`` is called with a sentence for the first request of each kind that was
    refused because it comes from a web page or names another host.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        seed: int = 1,
        replays: Mapping[str, Script] | None = None,
        on_finished: Callable[[LoggedRequest], None] | None = None,
        places: Collection[str] = (),
    ) -> None:
        self.request_log = RequestLog()
        self.host = host
        self.port = port
        self.profile = profile
        self._speed = speed
        self._seed = seed
        self._replays = replays or {}
        self._on_finished = on_finished
        self.on_refused: Callable[[str], None] = lambda _sentence: None
        self._local_only = LocalOnly("the simulator", host, lambda sentence: self.on_refused(sentence))
        self._ordinals = Ordinals()
        self._held = HeldAnswers()
        self._clients: dict[HttpConnection, _Client] = {}
        self._accepted = 0
        self._places = tuple(dict.fromkeys((*places, *(name for _, name in profile.places))))
        self.opened_places = Opened({})

    async def __aenter__(self) -> Simulator:
        """Listen. Raises OSError when the address cannot be used."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        self._open = AsyncExitStack()
        try:
            self.opened_places = await self._open.enter_async_context(
                opened(self._places, self.port, self._connection, self._mute_opened)
            )
        except BaseException:
            self._server.close()
            raise
        return self

    def _connection(self) -> HttpConnection:
        return HttpConnection(self._serve, self._opened, self._closed, self._local_only.check)

    def _mute_opened(self) -> Callable[[], None]:
        """A client has connected to a mute place; call the returned function when it has left."""
        self._accepted += 1
        self.request_log.opened += 1
        logged = self.request_log.add(self._accepted, time.monotonic_ns(), "", "")
        logged.fault = "mute"

        def left() -> None:
            self.request_log.closed += 1
            logged.end("client")
            if self._on_finished is not None:
                self._on_finished(logged)

        return left

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for connection in tuple(self._clients):
            await connection.stop()
        await self._open.aclose()
        await self._server.wait_closed()

    def origin_for(self, provider: str) -> str:
        """The origin for ``provider`` by the profile: the simulator's or a place's."""
        place = self.profile.place(provider)
        return self.origin if place is None else self.opened_places.origins[place]

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def base_url(self, provider: str) -> str:
        """The base URL for a client that takes the simulator for ``provider``."""
        return f"{self.origin}/{provider}/v1"

    def report(self, *, stamps: bool) -> dict[str, Any]:
        """The request log as an object for JSON, with what each client did."""
        report = self.request_log.report(stamps=stamps)
        now_ns = time.monotonic_ns()
        for row, logged in zip(report["requests"], self.request_log.newest, strict=True):
            row["client"] = as_object(logged, now_ns)
        return report

    def _opened(self, connection: HttpConnection) -> None:
        self._accepted += 1
        self._clients[connection] = _Client(self._accepted)
        self.request_log.opened += 1

    def _closed(self, connection: HttpConnection) -> None:
        if not self._clients.pop(connection).reads_log:
            self.request_log.closed += 1

    async def _serve(self, connection: HttpConnection) -> None:
        client = self._clients[connection]
        try:
            if len(self._clients) > CONNECTION_LIMIT:
                raise HttpError(503, f"more than {CONNECTION_LIMIT} connections")
            while (request := await connection.read_request()) is not None:
                await self._answer(connection, client, request)
                if not request.keep_alive:
                    return
        except HttpError as error:
            body = error_body(error.message, "invalid_request_error", error.code)
            size = ("content-length", str(len(body)))
            head = response_head(error.status, (*JSON_HEADERS, size, ("connection", "close")))
            await connection.refuse(head, body)

    async def _answer(self, connection: HttpConnection, client: _Client, request: ServerRequest) -> None:
        if request.path == LEDGER_PATH:
            await self._send_log(connection, client, request)
            return
        client.requests += 1
        found = route(request.path) if asks_for_a_socket(request) else None
        talk = None if found is None else found.dialect.socket()
        if talk is not None:
            await serve_socket(connection, request, talk, partial(self._turn, connection, client, request, talk))
            return
        await self._logged(connection, client, request, partial(self._route, connection, request))

    async def _turn(
        self,
        connection: HttpConnection,
        client: _Client,
        upgrade: ServerRequest,
        talk: SocketTalk,
        asked: SocketRequest,
    ) -> None:
        """One request of a WebSocket, answered and logged like one over HTTP. A fault in the upgrade is for all."""
        found = route(upgrade.path)
        assert found is not None
        request = replace(upgrade, body=asked.body)

        async def answer(logged: LoggedRequest) -> None:
            logged.provider = found.provider
            script, held = self._scripted(logged, request, replace(found, dialect=asked.dialect))
            sender = ScriptSender(connection, logged, self._held, SocketEnvelope(talk, asked))
            talk.answered(asked, script)  # before it is sent: the client may go on at once
            await sender.send(script, held)

        await self._logged(connection, client, request, answer)

    async def _logged(
        self,
        connection: HttpConnection,
        client: _Client,
        request: ServerRequest,
        answer: Callable[[LoggedRequest], Awaitable[None]],
    ) -> None:
        logged = self.request_log.add(client.number, connection.t_accept_ns, request.method, request.path)
        logged.amz_sdk_request = request.headers.get(AMZ_REQUEST, "")
        logged.amz_sdk_invocation_id = request.headers.get(AMZ_INVOCATION, "")
        logged.client_attempt = client_attempt(request.headers)
        logged.user_agent = clean(request.headers.get("user-agent", "")).replace("\n", " ")[:USER_AGENT_LIMIT_CHARS]
        try:
            await answer(logged)
        finally:
            logged.end("client" if connection.client_left else "stopped")
            if self._on_finished is not None:
                self._on_finished(logged)

    async def _route(self, connection: HttpConnection, request: ServerRequest, logged: LoggedRequest) -> None:
        first, _, _ = request.path.removeprefix("/").partition("/")
        logged.provider = DEFAULT_PROVIDER if first == "v1" else first
        if request.path.startswith(REPLAY_ROOT):
            await self._replay(connection, logged, request)
        elif (body := _models(request.path, logged.provider)) is not None:
            headers = (*JSON_HEADERS, date_header(self.profile.skew_s(logged.provider)))
            listed = Whole(200, headers, body) if request.method == "GET" else CHAT.refusal(405, "use GET")
            await send_whole(connection, logged, listed)
        elif (found := route(request.path)) is not None:
            await self._generate(connection, logged, request, found)
        else:
            refused = CHAT.refusal(404, f"no such path here: {request.path[:200]}")
            await send_whole(connection, logged, refused)

    async def _generate(
        self, connection: HttpConnection, logged: LoggedRequest, request: ServerRequest, found: ServerRoute
    ) -> None:
        if request.method != "POST":
            logged.provider, logged.model, logged.dialect = found.provider, found.model, found.dialect.name
            await send_whole(connection, logged, found.dialect.refusal(405, "use POST"))
            return
        script, talk = self._scripted(logged, request, found)
        await ScriptSender(connection, logged, self._held).send(script, talk)

    def _scripted(
        self, logged: LoggedRequest, request: ServerRequest, found: ServerRoute
    ) -> tuple[Script, HeldConversation | None]:
        """The answer to a request, and the conversation in which it may be held; a refusal is in none."""
        dialect = found.dialect
        logged.provider, logged.model, logged.dialect = found.provider, found.model, dialect.name
        try:
            chat = dialect.read(request, found.model, found.stream)
            fault = from_header(request.headers[HEADER]) if HEADER in request.headers else from_model(chat.model)
            check(fault, dialect)
        except ValueError as error:
            return (dialect.refusal(400, str(error)),), None
        talk = conversation(logged.provider, chat)
        logged.model, logged.conversation = chat.model, conversation_hash(chat)
        logged.stream, logged.tools, logged.tool_result = bool(chat.stream), bool(chat.tools), chat.tool_result
        self.request_log.count_try(logged, fault.name if fault is not None else "")
        logged.released = self._held.release(talk)
        context = BuildContext(
            provider=logged.provider,
            seed=self._seed,
            ordinal=self._ordinals.next(logged.provider, chat.model, logged.conversation),
            turn=self._ordinals.next(facts(chat, logged.provider, dialect).counted),
            dialect=dialect,
            speed=self._speed,
            fault=fault,
            releases=logged.released,
        )
        if fault is None:
            logged.unfit = self.profile.unfit(dialect, stream=logged.stream)
        built = build_script(chat, self.profile, context)
        logged.fault = built.fault
        return built.script, talk

    async def _replay(self, connection: HttpConnection, logged: LoggedRequest, request: ServerRequest) -> None:
        prefix = "/".join(request.path.split("/")[:4])
        script = self._replays.get(prefix)
        if script is None:
            refused = CHAT.refusal(404, f"nothing is replayed at {prefix[:200]}")
            await send_whole(connection, logged, refused)
            return
        logged.fault, logged.stream = "as-recorded", True
        await ScriptSender(connection, logged, self._held).send(script)

    async def _send_log(self, connection: HttpConnection, client: _Client, request: ServerRequest) -> None:
        if not client.requests and not client.reads_log:
            client.reads_log = True
            self.request_log.opened -= 1
        body = json.dumps(self.report(stamps=request.query.get("stamps") == "1")).encode()
        await connection.send(whole(200, JSON_HEADERS, body))


def _models(path: str, provider: str) -> bytes | None:
    """The list of models as JSON, if ``path`` is that of a list in any dialect."""
    names = (*MODELS, *(f"sim/{name}" for name in FAULTS))
    lists = (entry.models(path, names, provider) for entry in server_dialects())
    return next((body for body in lists if body is not None), None)


def is_loopback(host: str) -> bool:
    """Whether all addresses of ``host`` are loopback."""
    try:
        addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(str(address[4][0]).startswith("127.") or address[4][0] == "::1" for address in addresses)
