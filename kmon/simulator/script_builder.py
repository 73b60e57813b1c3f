"""Makes the script of a request: the model's answer, encoded and timed, with the fault that the profile decides on.

Pure: the same seed, request and ordinals give the same script, byte for byte and gap for gap.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from kmon.simulator.answers import ModelAnswer, answer
from kmon.simulator.dialects.chat import CHAT
from kmon.simulator.faults.base import Fault, Setting, Smooth
from kmon.simulator.faults.silences import HeldUntilNext
from kmon.simulator.pacing import Pace, first_wait_s, gaps_s
from kmon.simulator.profile import Facts, Profile
from kmon.simulator.prompt import is_nudge
from kmon.simulator.request import ChatRequest, TokenUsage
from kmon.simulator.script import EndBody, Script, SendHead, Step, is_progress, scaled
from kmon.simulator.wire import ServerDialect, Wire

KEY_LIMIT = 10_000
HEAD_SHARE = 0.3
"""The headers come after this part of the wait for the first token."""
CHARS_PER_TOKEN = 4


class BuiltScript(Struct, frozen=True):
    """A script and the name of its fault."""

    fault: str
    script: Script


class BuildContext(Struct, frozen=True):
    """What a script depends on beside the request and the profile."""

    provider: str
    seed: int = 1
    ordinal: int = 1
    """How often this conversation was requested, this time included."""
    turn: int = 1
    """How often a request of equal :class:`Facts` came, this one included."""
    dialect: ServerDialect = CHAT
    speed: float = 1.0
    fault: Fault | None = None
    """The fault that the request itself names, one its dialect can have; None leaves it to the profile."""
    releases: bool = False
    """Whether the request ends the pause of a held answer; it is not held itself then."""


def conversation_hash(request: ChatRequest) -> str:
    """A short name for the messages and the names of the tools: 12 hex digits."""
    tools = [tool.function.name for tool in request.tools or ()]
    return hashlib.sha256(repr((request.conversation, tools)).encode("utf-8", "replace")).hexdigest()[:12]


class Ordinals:
    """Counts equal requests, because the second may get another answer than the first. Keeps 10,000 keys."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Hashable, int] = OrderedDict()

    def next(self, *key: Hashable) -> int:
        """How often ``key`` was given, from 1."""
        self._counts[key] = ordinal = self._counts.pop(key, 0) + 1
        if len(self._counts) > KEY_LIMIT:
            self._counts.popitem(last=False)
        return ordinal


def facts(request: ChatRequest, provider: str, dialect: ServerDialect = CHAT) -> Facts:
    """What the rules of a profile can test of ``request``."""
    return Facts(
        provider=provider,
        model=request.model,
        tools=bool(request.tools),
        tool_result=request.tool_result,
        nudge=is_nudge(request),
        dialect=dialect.name,
        include_usage=request.wants_usage,
        prompt_chars=sum(len(message.text) for message in request.messages),
        stream=bool(request.stream),
    )


def build_script(request: ChatRequest, profile: Profile, context: BuildContext) -> BuiltScript:
    """The script that answers ``request``."""
    provider, seed, ordinal = context.provider, context.seed, context.ordinal
    key = f"{seed}/{provider}/{request.model}/{conversation_hash(request)}/{ordinal}"
    fault = context.fault or profile.fault(
        facts(request, provider, context.dialect), seed=seed, turn=context.turn, ordinal=ordinal
    )
    if (context.releases and isinstance(fault, HeldUntilNext)) or (fault.streams_only and not request.stream):
        fault = Smooth()
    rng = Random(key)
    pace = profile.pace(provider, request.model)
    wire = context.dialect.wire(request, rng)
    answered = fault.answer(answer(fault.request(request), pace.reasoning_tokens, rng))
    usage = _usage(request, answered)
    if request.stream:
        script = tuple(_streamed(wire, answered, usage, pace, rng))
    else:
        script = _complete(wire, answered, usage, pace, rng)
    setting = Setting(
        tools=bool(request.tools), frames=wire, whole=wire.whole(answered, usage), rng=Random(f"{key}/fault")
    )
    return BuiltScript(fault.name, wire.timed(scaled(fault.script(script, setting), context.speed), usage))


def _streamed(wire: Wire, answer: ModelAnswer, usage: TokenUsage, pace: Pace, rng: Random) -> Iterator[Step]:
    """The healthy answer as a stream."""
    wait_s = first_wait_s(pace, rng)
    yield SendHead(200, wire.head, after_s=wait_s * HEAD_SHARE)
    gaps = iter([wait_s * (1 - HEAD_SHARE), *gaps_s(pace, len(answer.pieces), rng)])
    for send in wire.stream(answer, usage):
        generated = is_progress(send) or send.kind == "finish"
        yield replace(send, after_s=next(gaps, 0.0)) if generated else send
    yield EndBody()


def _complete(wire: Wire, answer: ModelAnswer, usage: TokenUsage, pace: Pace, rng: Random) -> Script:
    """The healthy answer as one document, after the time it takes to generate it."""
    wait_s = first_wait_s(pace, rng) + sum(gaps_s(pace, len(answer.pieces), rng))
    return (replace(wire.whole(answer, usage), after_s=wait_s),)


def _usage(request: ChatRequest, answer: ModelAnswer) -> TokenUsage:
    """Token counts: one output token per piece, input tokens estimated by length."""
    chars = sum(len(message.text) for message in request.messages)
    tools = sum(len(tool.function.description) + 40 for tool in request.tools or ())
    prompt = (chars + tools) // CHARS_PER_TOKEN + 4 * len(request.messages)
    return TokenUsage(max(1, prompt), len(answer.pieces), answer.count("reasoning"))
