"""The base class of the faults, and what they have in common: parameter types and positions in a script.

A fault is a class in a module of this folder with a ``tag``, its name. Its fields are the parameters that a header or
a profile sets. :mod:`kmon.simulator.faults.registry` finds it there. A fault changes the request that the model sees
(:meth:`Fault.request`), the answer (:meth:`Fault.answer`) or the script (:meth:`Fault.script`); all three are pure.
"""

from __future__ import annotations

from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from kmon.format import listed
from kmon.simulator.answers import ModelAnswer
from kmon.simulator.dialects.registry import names_with
from kmon.simulator.pacing import Seconds
from kmon.simulator.request import ChatRequest
from kmon.simulator.script import Script, SendChunk, Whole
from kmon.simulator.wire import Carrier, Frames, ServerDialect, Trait

TEXT_FRAMED: frozenset[Trait] = frozenset({"text-framed"})
EVENT_STREAM: frozenset[Trait] = frozenset({"event-stream"})
KEEPALIVES: frozenset[Trait] = frozenset({"keepalives"})
TOOLS: frozenset[Trait] = frozenset({"tools"})
TOOL_PIECES: frozenset[Trait] = frozenset({"tools", "tool-pieces"})
TOOL_TEXT: frozenset[Trait] = frozenset({"tools", "tool-text"})
TOOL_FINISH: frozenset[Trait] = frozenset({"tools", "tool-finish"})
CHAT_CHUNKS: frozenset[Trait] = frozenset({"chat-chunks"})

Tokens = Annotated[int, Meta(ge=0, le=1_000_000)]
EverySeconds = Annotated[float, Meta(ge=0.01, le=3600)]
# Two bounds, checked in Fault: a fixed-length tuple beside a bounded number crashes msgspec 0.22's converter.
SecondsSpan = Seconds | tuple[Seconds, ...]
"""Seconds, or ``[min, max]``."""
TokensSpan = Tokens | tuple[Tokens, ...]
"""Tokens, or ``[min, max]``. A position beyond the end of an answer means its middle."""


class Setting(Struct, frozen=True):
    """What a fault may use to change a script."""

    tools: bool
    """Whether the request offers tools."""
    frames: Frames
    """The encoder of the request's dialect."""
    whole: Whole
    """The same answer as one document, for providers that ignore ``stream``."""
    rng: Random
    """The fault's own random numbers."""


class Fault(Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault"):
    """One way for an answer to go wrong, or a healthy one that looks like it. This base class changes nothing."""

    healthy: ClassVar[bool] = False
    """Whether the answer is still a good one, for which kmon must give no signature."""
    streams_only: ClassVar[bool] = True
    """Whether it needs a stream and leaves other answers unchanged."""
    needs: ClassVar[frozenset[Trait]] = frozenset()
    """The traits of the dialects that can have it."""
    carrier: ClassVar[Carrier | None] = None
    """The only one that can have it: its own framing, headers or end is what goes wrong. None if any can."""

    @classmethod
    def tag(cls) -> str:
        """The name of the fault in headers and profiles."""
        tag = cls.__struct_config__.tag
        assert isinstance(tag, str)
        return tag

    @property
    def name(self) -> str:
        return self.tag()

    def request(self, request: ChatRequest) -> ChatRequest:
        """The request as the model sees it."""
        return request

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return answer

    def script(self, script: Script, setting: Setting) -> Script:
        return script

    def refusal(self, dialect: ServerDialect) -> str:
        """Why ``dialect`` cannot have this fault, as a sentence for the client; empty when it can."""
        if self.needs <= dialect.traits and self.carrier in (None, dialect.carrier):
            return ""
        able = listed(names_with(self.needs, self.carrier))
        return f"{dialect.words} cannot have the fault {self.name}; {able} can"

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            span = getattr(self, name)
            if not isinstance(span, tuple):
                continue
            if len(span) != 2:
                raise ValueError(f"{name} is {len(span)} numbers; write one, or two as [min, max]")
            if span[0] > span[1]:
                raise ValueError(f"{name} goes from {span[0]:g} down to {span[1]:g}; write the smaller one first")


class Smooth(Fault, frozen=True, tag="smooth"):
    """Nothing goes wrong."""

    healthy: ClassVar[bool] = True
    streams_only: ClassVar[bool] = False


def seconds_in(span: SecondsSpan, rng: Random) -> float:
    """The duration given, or a random one of the span, in s."""
    return rng.uniform(span[0], span[1]) if isinstance(span, tuple) else span


def tokens_in(span: TokensSpan, rng: Random) -> int:
    """The position given, or a random one of the span, in tokens."""
    return rng.randint(span[0], span[1]) if isinstance(span, tuple) else span


def later(steps: Script, delay_s: float) -> Script:
    """The same steps after a delay; the first must be a ``SendChunk``."""
    first = steps[0]
    assert isinstance(first, SendChunk)
    return (replace(first, after_s=first.after_s + delay_s), *steps[1:])
