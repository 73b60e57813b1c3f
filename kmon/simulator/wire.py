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

Trait = Literal["sse", "frames", "tools", "text-arguments", "hidden-work", "terminal-event", "chat-chunks"]
"""What a fault may need of a dialect: server-sent events, event-stream frames, tool calls, arguments that are text in a
whole answer too (so that they may be no JSON), items for work that sends no output, a terminal event after the finish
reason's, or chunks of Chat Completions, which it rewrites."""
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


class ServerRoute(Struct, frozen=True):
    """The meaning of a path. ``model`` is empty and ``stream`` False where they are in the body."""

    dialect: ServerDialect
    provider: str
    model: str = ""
    stream: bool = False


class ServerDialect(ABC):
    """One wire format, on the server's side. Has no state."""

    traits: frozenset[Trait] = frozenset()

    @property
    @abstractmethod
    def name(self) -> str:
        """As in ``kmon/dialects/registry.py``."""

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

    def models(self, path: str, models: tuple[str, ...], owner: str) -> bytes | None:
        """The answer to a GET of the list of models; None when ``path`` does not ask for it."""
        return None


def provider_in(before: str, default: str) -> str:
    """The provider that a path's beginning names."""
    first, _, _ = before.removeprefix("/").partition("/")
    return default if first in ("", "v1") else first
