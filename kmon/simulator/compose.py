"""From a request to what will be sent for it: picks the fault, writes the answer, lets the fault have its way.

Pure: the same seed, request and ordinals give the same script, byte for byte and gap for gap, on any day.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from random import Random

from msgspec import Struct

from kmon.simulator.answers import answer
from kmon.simulator.dialects.chat import CHAT
from kmon.simulator.faults.base import Fault, HeldUntilNext, Setting, Smooth
from kmon.simulator.profile import Facts, Profile
from kmon.simulator.prompt import is_nudge
from kmon.simulator.reply import complete, streamed, usage
from kmon.simulator.request import ChatRequest
from kmon.simulator.script import Script, scaled
from kmon.simulator.wire import ServerDialect

KEY_LIMIT = 10_000


class Composed(Struct, frozen=True):
    """A script and the name of the fault that shaped it."""

    fault: str
    script: Script


def conversation_hash(request: ChatRequest) -> str:
    """A short name for what was asked: messages and the names of the tools."""
    tools = [tool.function.name for tool in request.tools or ()]
    return hashlib.sha256(repr((request.conversation, tools)).encode("utf-8", "replace")).hexdigest()[:12]


class Ordinals:
    """Counts how often the same thing was asked, so that the second time may go differently from the first."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Hashable, int] = OrderedDict()

    def next(self, *key: Hashable) -> int:
        self._counts[key] = ordinal = self._counts.pop(key, 0) + 1
        if len(self._counts) > KEY_LIMIT:
            self._counts.popitem(last=False)
        return ordinal


def facts(request: ChatRequest, provider: str, dialect: ServerDialect = CHAT) -> Facts:
    """What a profile may ask about ``request``."""
    return Facts(
        provider=provider,
        model=request.model,
        tools=bool(request.tools),
        tool_result=request.tool_result,
        nudge=is_nudge(request),
        dialect=dialect.name,
        include_usage=request.wants_usage,
        prompt_chars=sum(len(message.text) for message in request.messages),
    )


class Times(Struct, frozen=True, kw_only=True):
    """Which of its like a request is: with the request itself, what an answer follows from."""

    provider: str
    seed: int
    ordinal: int
    """Counts the same conversation at the provider."""
    turn: int = 1
    """Counts all requests that are alike to a profile."""
    releases: bool = False
    """Whether the request lets a held answer go on, and is therefore not held itself."""


def compose(
    request: ChatRequest,
    profile: Profile,
    times: Times,
    *,
    dialect: ServerDialect = CHAT,
    speed: float = 1.0,
    asked: Fault | None = None,
) -> Composed:
    """What is sent for ``request``.

    ``asked`` is the fault of the request's header or model, one its dialect can have; otherwise the profile decides.
    """
    key = f"{times.seed}/{times.provider}/{request.model}/{conversation_hash(request)}/{times.ordinal}"
    about = facts(request, times.provider, dialect)
    fault = asked or profile.fault(about, seed=times.seed, turn=times.turn, ordinal=times.ordinal)
    if (times.releases and isinstance(fault, HeldUntilNext)) or (fault.streams_only and not request.stream):
        fault = Smooth()
    rng = Random(key)
    pace = profile.pace(times.provider, request.model)
    wire = dialect.wire(request, rng)
    heard = fault.heard(request)
    said = fault.answer(answer(heard, pace.reasoning_tokens, rng))
    used = usage(request, said)
    write = streamed if request.stream else complete
    script = write(wire, said, used, pace, rng)
    setting = Setting(tools=bool(request.tools), frames=wire, whole=wire.whole(said, used), rng=Random(f"{key}/fault"))
    return Composed(fault.name, wire.timed(scaled(fault.script(script, setting), speed), used))
