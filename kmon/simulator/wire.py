"""What a dialect owes the simulator: how it reads a request, encodes an answer, and says no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Literal, Protocol

from msgspec import Struct

from kmon.simulator.answers import Answer
from kmon.simulator.chat import ChatRequest, Usage
from kmon.simulator.http import Headers, Request
from kmon.simulator.script import Script, Send, Whole

Spoken = Literal["chat", "converse", "messages", "deepinfra"]


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

    def stream(self, answer: Answer, usage: Usage) -> Iterator[Send]:
        """Every piece of the stream in order, without times; a piece of progress for each piece of the answer."""

    def whole(self, answer: Answer, usage: Usage) -> Whole:
        """The answer as one JSON document."""

    def timed(self, script: Script, usage: Usage) -> Script:
        """The final script, with what the dialect itself says of its time made true."""


class Dialect(Struct, frozen=True):
    """One wire format, on the server's side."""

    name: Spoken
    read: Callable[[Request, str, bool], ChatRequest]
    """The request for a model named in the path (or \"\"), streamed or not where the path says so. ValueError with a
    sentence for the client when it is none."""
    wire: Callable[[ChatRequest, Random], Wire]
    refusal: Callable[[int, str], Whole]
    """An HTTP error to a request that could not be read."""
