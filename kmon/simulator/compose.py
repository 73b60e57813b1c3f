"""From a request to what will be sent for it: picks the fault, writes the answer, lets the fault have its way.

Pure: the same seed, request and ordinal give the same script, byte for byte and gap for gap, on any day.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from random import Random

from msgspec import Struct

from kmon.simulator.answers import answer, is_nudge
from kmon.simulator.chat import JSON_HEADERS, ChatRequest, ChatWire
from kmon.simulator.choice import from_model
from kmon.simulator.faults import Fault, HeldUntilNext, Setting, Smooth
from kmon.simulator.profile import Facts, Profile
from kmon.simulator.reply import complete, streamed, whole_answer
from kmon.simulator.script import Script, scaled

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
        self._counts: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def next(self, provider: str, model: str, conversation: str) -> int:
        key = (provider, model, conversation)
        self._counts[key] = ordinal = self._counts.pop(key, 0) + 1
        if len(self._counts) > KEY_LIMIT:
            self._counts.popitem(last=False)
        return ordinal


def compose(
    request: ChatRequest,
    profile: Profile,
    *,
    provider: str,
    seed: int,
    ordinal: int,
    speed: float = 1.0,
    asked: Fault | None = None,
    releases: bool = False,
) -> Composed:
    """What is sent for ``request``.

    ``asked`` is the fault of the request's header; otherwise the model's name decides, then the profile.
    ``releases``: the request lets a held answer go on, and is therefore not held itself.
    """
    key = f"{seed}/{provider}/{request.model}/{conversation_hash(request)}/{ordinal}"
    fault = _choose(request, profile, provider, asked, Random(f"{key}/rule"))
    if (releases and isinstance(fault, HeldUntilNext)) or (fault.streams_only and not request.stream):
        fault = Smooth()
    rng = Random(key)
    pace = profile.pace(provider, request.model)
    wire = ChatWire(f"chatcmpl-{rng.getrandbits(96):024x}", request.model)
    said = fault.answer(answer(request, pace.reasoning_tokens, rng))
    write = streamed if request.stream else complete
    script = write(request, wire, said, pace, rng)
    setting = Setting(
        tools=bool(request.tools),
        frames=wire,
        whole=whole_answer(request, wire, said, 0.0),
        json_headers=JSON_HEADERS,
        rng=Random(f"{key}/fault"),
    )
    return Composed(fault.name, scaled(fault.script(script, setting), speed))


def _choose(request: ChatRequest, profile: Profile, provider: str, asked: Fault | None, rng: Random) -> Fault:
    facts = Facts(
        provider=provider,
        model=request.model,
        tools=bool(request.tools),
        tool_result=request.tool_result,
        nudge=is_nudge(request),
    )
    return asked or from_model(request.model) or profile.fault(facts, rng)
