"""The server's side of a dialect: how it reads a request, encodes an answer, and refuses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from random import Random
from typing import Literal, Protocol

from msgspec import Struct

from kmon.recording.interaction import Request as RecordedRequest
from kmon.simulator.answers import ModelAnswer
from kmon.simulator.http import Headers, ServerRequest
from kmon.simulator.request import ChatRequest, TokenUsage
from kmon.simulator.script import Script, SendChunk, Whole

Trait = Literal[
    "text-framed",
    "event-stream",
    "keepalives",
    "comments",
    "stream-in-body",
    "tools",
    "tool-pieces",
    "tool-text",
    "tool-finish",
    "hidden-work",
    "server-tools",
    "terminal-event",
    "chat-chunks",
]
"""What a fault may need of a dialect.

- ``text-framed``: events are lines of text, which can be damaged as text and may end with CR LF.
- ``event-stream``: events are the binary frames of an AWS event stream, with lengths and checksums.
- ``keepalives``: there is a sign of life that is no progress (:meth:`Frames.keepalive` does not return None).
- ``comments``: lines that begin with a colon are skipped, as in server-sent events.
- ``stream-in-body``: the body of the request asks for the stream, so that a server can ignore that.
- ``tools``: an answer can call tools.
- ``tool-pieces``: the arguments of a call come in pieces, after an event with its name.
- ``tool-text``: the arguments are text also in an answer that is not streamed, so that they can be invalid JSON.
- ``tool-finish``: there is a finish reason that says that tools were called.
- ``hidden-work``: there are items for reasoning that sends no output.
- ``server-tools``: there are items for a tool that the server runs, and it says when that begins and ends.
- ``terminal-event``: an event after that of the finish reason ends the stream.
- ``chat-chunks``: events are chunks of Chat Completions, whose members the fault rewrites.
"""
Carrier = Literal["http", "websocket"]
"""What carries the messages of a dialect."""
SSE_TRAITS: frozenset[Trait] = frozenset({"text-framed", "keepalives", "comments"})
"""Those of every dialect over server-sent events."""
DEFAULT_PROVIDER = "sim"


class Frames(Protocol):
    """What faults need of an encoder."""

    def keepalive(self) -> bytes | None:
        """A sign of life that is no progress; None in a dialect that has none."""

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        """An error inside a stream that has begun with 200."""

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        """An HTTP error before any stream."""


class Wire(Frames, Protocol):
    """Encodes one answer. Deterministic: the same answer is the same bytes."""

    @property
    def head(self) -> Headers:
        """The headers of the stream."""

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        """Every piece of the stream in order, without times; a piece of progress for each piece of the answer."""

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        """The answer as one JSON document."""

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        """The final script, with the times that the dialect itself reports set to those of the script."""


class SocketRequest(Struct, frozen=True):
    """One request of a WebSocket's client, as the HTTP request that would ask for the same."""

    body: bytes
    dialect: ServerDialect
    lane: str = ""
    """Requests of a lane are answered one after the other."""


class SocketTalk(Protocol):
    """The server's side of one WebSocket: what was said so far."""

    def read(self, message: bytes) -> SocketRequest | bytes:
        """The request in a message of the client, or the message that refuses it."""
        ...

    def refusal(self, whole: Whole, request: SocketRequest) -> bytes:
        """The message that says what this HTTP answer says."""
        ...

    def answered(self, request: SocketRequest, script: Script) -> None:
        """This is the answer that was sent."""
        ...


class ServerRoute(Struct, frozen=True):
    """The meaning of a path. ``model`` is empty and ``stream`` False where they are in the body."""

    dialect: ServerDialect
    provider: str
    model: str = ""
    stream: bool = False


class ServerDialect(ABC):
    """One wire format, on the server's side. Has no state."""

    traits: frozenset[Trait] = frozenset()
    """What is true of it. A fault that needs another trait is refused, and ``kmon selftest`` does not try it here."""
    carrier: Carrier = "http"
    on_socket: ServerDialect | None = None
    """The same dialect over a WebSocket, if one carries it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As in ``kmon/dialects/registry.py``."""

    @property
    def words(self) -> str:
        """Its name, with its carrier if that is not HTTP."""
        return self.name if self.carrier == "http" else f"{self.name} over a WebSocket"

    @abstractmethod
    def route(self, path: str) -> ServerRoute | None:
        """The meaning of a (decoded) path, None when it is not this dialect's.

        Whatever stands before the dialect's own part is free, and its first word is the provider that is imitated.
        """

    @abstractmethod
    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        """The request in the body, for a model named in the path (or ""), streamed or not where the path decides it.

        Raises ValueError with a sentence for the client when it is none.
        """

    @abstractmethod
    def wire(self, request: ChatRequest, rng: Random) -> Wire:
        """The encoder of one answer."""

    @abstractmethod
    def refusal(self, status: int, message: str) -> Whole:
        """An HTTP error to a request that could not be read."""

    def read_recorded(self, request: RecordedRequest) -> ChatRequest:
        """The request of a recording, to be asked again. Raises ValueError when it makes no sense."""
        return self.read(ServerRequest("POST", "", {}, {}, request.body), request.model, True)

    def socket(self) -> SocketTalk | None:
        """A fresh conversation over a WebSocket at a path of this dialect; None if none carries it."""
        return None

    def models(self, path: str, models: tuple[str, ...], owner: str) -> bytes | None:
        """The answer to a GET of the list of models; None when ``path`` does not ask for it."""
        return None


def provider_in(before: str, default: str) -> str:
    """The provider that a path's beginning names."""
    first, _, _ = before.removeprefix("/").partition("/")
    return default if first in ("", "v1") else first
