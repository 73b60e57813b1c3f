"""The simulated provider: accepts connections, routes requests, answers them by script."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from kmon.dialects.local_only import LocalOnly
from kmon.dialects.text import clean
from kmon.simulator.client_behaviour import described
from kmon.simulator.compose import Ordinals, Times, compose, conversation_hash, facts
from kmon.simulator.connection import Connection
from kmon.simulator.dialects.chat import CHAT, error_body
from kmon.simulator.dialects.registry import route, server_dialects
from kmon.simulator.endpoints import Opened, opened
from kmon.simulator.faults.path import date_header
from kmon.simulator.faults.registry import FAULTS, HEADER, check, from_header, from_model
from kmon.simulator.http import HttpError, Request, response_head, whole
from kmon.simulator.parked import HeldAnswers, conversation
from kmon.simulator.player import Player, answer_whole
from kmon.simulator.profile import Profile
from kmon.simulator.request_log import Exchange, Ledger
from kmon.simulator.retries import AMZ_INVOCATION, AMZ_REQUEST, client_attempt
from kmon.simulator.script import Script, Whole
from kmon.simulator.sse import JSON_HEADERS
from kmon.simulator.wire import DEFAULT_PROVIDER, Route

CONNECTION_LIMIT = 1_024
USER_AGENT_LIMIT_CHARS = 200
LEDGER_PATH = "/_kmon/ledger"
REPLAY_ROOT = "/replay/"
MODELS = ("moonshotai/Kimi-K2.6", "openai/gpt-oss-120b", *(f"sim/{name}" for name in FAULTS))


@dataclass(slots=True)
class _Client:
    """What the server remembers of a connection."""

    number: int
    exchanges: int = 0
    onlooker: bool = False


class Simulator:
    """A loopback provider.

    ``replays`` maps path prefixes (``/replay/NAME/INDEX``) to recorded answers. ``on_finished`` is called with each
    exchange that has ended; ``on_refused`` with a sentence for the first request of each kind that was refused because
    it comes of a web page or is meant for another host. Use as an async context manager; ``port`` is known inside it.
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
        on_finished: Callable[[Exchange], None] | None = None,
        places: Collection[str] = (),
    ) -> None:
        self.ledger = Ledger()
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
        self._clients: dict[Connection, _Client] = {}
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

    def _connection(self) -> Connection:
        return Connection(self._serve, self._opened, self._closed, self._local_only.check)

    def _mute_opened(self) -> Callable[[], None]:
        """A client has come to where nobody speaks; call what is returned when it has left."""
        self._accepted += 1
        self.ledger.opened += 1
        exchange = self.ledger.exchange(self._accepted, time.monotonic_ns(), "", "")
        exchange.fault = "mute"

        def left() -> None:
            self.ledger.closed += 1
            exchange.end("client")
            if self._on_finished is not None:
                self._on_finished(exchange)

        return left

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for connection in tuple(self._clients):
            await connection.stop()
        await self._open.aclose()
        await self._server.wait_closed()

    def origin_for(self, provider: str) -> str:
        """Where the profile has a client go that imitates talking to ``provider``."""
        place = self.profile.place(provider)
        return self.origin if place is None else self.opened_places.origins[place]

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def base_url(self, provider: str) -> str:
        """What a client that imitates talking to ``provider`` is aimed at."""
        return f"{self.origin}/{provider}/v1"

    def report(self, *, stamps: bool) -> dict[str, Any]:
        """The ledger, ready for JSON, and in it what each client did."""
        report = self.ledger.report(stamps=stamps)
        now_ns = time.monotonic_ns()
        for row, exchange in zip(report["requests"], self.ledger.exchanges, strict=True):
            row["client"] = described(exchange, now_ns)
        return report

    def _opened(self, connection: Connection) -> None:
        self._accepted += 1
        self._clients[connection] = _Client(self._accepted)
        self.ledger.opened += 1

    def _closed(self, connection: Connection) -> None:
        if not self._clients.pop(connection).onlooker:
            self.ledger.closed += 1

    async def _serve(self, connection: Connection) -> None:
        client = self._clients[connection]
        try:
            if len(self._clients) > CONNECTION_LIMIT:
                raise HttpError(503, f"more than {CONNECTION_LIMIT} connections")
            while (request := await connection.read_request()) is not None:
                await self._exchange(connection, client, request)
                if not request.keep_alive:
                    return
        except HttpError as error:
            body = error_body(error.message, "invalid_request_error", error.code)
            size = ("content-length", str(len(body)))
            head = response_head(error.status, (*JSON_HEADERS, size, ("connection", "close")))
            await connection.refuse(head, body)

    async def _exchange(self, connection: Connection, client: _Client, request: Request) -> None:
        if request.path == LEDGER_PATH:
            await self._show_ledger(connection, client, request)
            return
        client.exchanges += 1
        exchange = self.ledger.exchange(client.number, connection.t_accept_ns, request.method, request.path)
        exchange.amz_sdk_request = request.headers.get(AMZ_REQUEST, "")
        exchange.amz_sdk_invocation_id = request.headers.get(AMZ_INVOCATION, "")
        exchange.client_attempt = client_attempt(request.headers)
        exchange.user_agent = clean(request.headers.get("user-agent", "")).replace("\n", " ")[:USER_AGENT_LIMIT_CHARS]
        try:
            await self._route(connection, exchange, request)
        finally:
            exchange.end("client" if connection.client_left else "stopped")
            if self._on_finished is not None:
                self._on_finished(exchange)

    async def _route(self, connection: Connection, exchange: Exchange, request: Request) -> None:
        first, _, _ = request.path.removeprefix("/").partition("/")
        exchange.provider = DEFAULT_PROVIDER if first == "v1" else first
        if request.path.startswith(REPLAY_ROOT):
            await self._replay(connection, exchange, request)
        elif (body := _models(request.path, exchange.provider)) is not None:
            headers = (*JSON_HEADERS, date_header(self.profile.skew_s(exchange.provider)))
            listed = Whole(200, headers, body) if request.method == "GET" else CHAT.refusal(405, "use GET")
            await answer_whole(connection, exchange, listed)
        elif (asked := route(request.path)) is not None:
            await self._ask(connection, exchange, request, asked)
        else:
            refused = CHAT.refusal(404, f"no such path here: {request.path[:200]}")
            await answer_whole(connection, exchange, refused)

    async def _ask(self, connection: Connection, exchange: Exchange, request: Request, asked: Route) -> None:
        dialect = asked.dialect
        exchange.provider, exchange.model, exchange.dialect = asked.provider, asked.model, dialect.name
        if request.method != "POST":
            await answer_whole(connection, exchange, dialect.refusal(405, "use POST"))
            return
        try:
            chat = dialect.read(request, asked.model, asked.stream)
            fault = from_header(request.headers[HEADER]) if HEADER in request.headers else from_model(chat.model)
            check(fault, dialect)
        except ValueError as error:
            await answer_whole(connection, exchange, dialect.refusal(400, str(error)))
            return
        talk = conversation(exchange.provider, chat)
        exchange.model, exchange.conversation = chat.model, conversation_hash(chat)
        exchange.stream, exchange.tools, exchange.tool_result = bool(chat.stream), bool(chat.tools), chat.tool_result
        self.ledger.asked(exchange, fault.name if fault is not None else "")
        exchange.released = self._held.release(talk)
        composed = compose(
            chat,
            self.profile,
            Times(
                provider=exchange.provider,
                seed=self._seed,
                ordinal=self._ordinals.next(exchange.provider, chat.model, exchange.conversation),
                turn=self._ordinals.next(facts(chat, exchange.provider, dialect).alike),
                releases=exchange.released,
            ),
            dialect=dialect,
            speed=self._speed,
            asked=fault,
        )
        exchange.fault = composed.fault
        await Player(connection, exchange, self._held).play(composed.script, talk)

    async def _replay(self, connection: Connection, exchange: Exchange, request: Request) -> None:
        prefix = "/".join(request.path.split("/")[:4])
        script = self._replays.get(prefix)
        if script is None:
            refused = CHAT.refusal(404, f"nothing is replayed at {prefix[:200]}")
            await answer_whole(connection, exchange, refused)
            return
        exchange.fault, exchange.stream = "as-recorded", True
        await Player(connection, exchange, self._held).play(script)

    async def _show_ledger(self, connection: Connection, client: _Client, request: Request) -> None:
        if not client.exchanges and not client.onlooker:  # who only looks is not counted
            client.onlooker = True
            self.ledger.opened -= 1
        body = json.dumps(self.report(stamps=request.query.get("stamps") == "1")).encode()
        await connection.send(whole(200, JSON_HEADERS, body))


def _models(path: str, provider: str) -> bytes | None:
    """The list of models, where ``path`` asks for it in any dialect."""
    lists = (entry.models(path, MODELS, provider) for entry in server_dialects())
    return next((body for body in lists if body is not None), None)


def is_loopback(host: str) -> bool:
    """Whether listening on ``host`` keeps the simulator on this machine."""
    try:
        addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(str(address[4][0]).startswith("127.") or address[4][0] == "::1" for address in addresses)
