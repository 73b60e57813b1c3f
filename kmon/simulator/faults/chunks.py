"""Faults of the chunks of Chat Completions: usage, names, order, framing; and healthy variations of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.faults.base import CHAT_CHUNKS, TEXT_FRAMED, Fault, Setting, TokensSpan, tokens_in
from kmon.simulator.script import PROGRESS, Script, SendChunk, Step, is_progress
from kmon.simulator.sse import event
from kmon.simulator.wire import Trait

Members = dict[str, Any]
BUFFER_BYTES = 16_384


class _Chunks(Fault, frozen=True):
    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS


def _edited(script: Script, change: Callable[[SendChunk, Members], Members | None]) -> Script:
    """The script with ``change`` made to the members of each data chunk; without the chunk where it returns None."""
    steps: list[Step] = []
    for step in script:
        if isinstance(step, SendChunk) and step.data.startswith(b"data: {"):
            members = change(step, json.loads(step.data.removeprefix(b"data: ")))
            if members is not None:
                steps.append(replace(step, data=event(members)))
        else:
            steps.append(step)
    return tuple(steps)


def _usage(script: Script) -> Members:
    """The usage that the script reports; {} for none."""
    for step in script:
        if isinstance(step, SendChunk) and step.kind == "usage":
            found: Members = json.loads(step.data.removeprefix(b"data: "))["usage"]
            return found
    return {}


class UsageMissing(_Chunks, frozen=True, tag="usage-missing"):
    """Each chunk has the member ``usage``, but the last chunk that should fill it never comes."""

    def script(self, script: Script, setting: Setting) -> Script:
        return _edited(script, lambda step, members: None if step.kind == "usage" else {**members, "usage": None})


class UsageUnannounced(_Chunks, frozen=True, tag="usage-unannounced"):
    """Healthy: a provider that never reports usage."""

    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        return _edited(script, lambda step, members: None if step.kind == "usage" else members)


class UsageOnFinish(_Chunks, frozen=True, tag="usage-on-finish"):
    """Healthy: usage on the chunk with the finish reason."""

    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        usage = _usage(script)

        def moved(step: SendChunk, members: Members) -> Members | None:
            if step.kind == "usage":
                return None
            return {**members, "usage": usage} if step.kind == "finish" else members

        return _edited(script, moved)


class UsageOnEveryChunk(_Chunks, frozen=True, tag="usage-on-every-chunk"):
    """Healthy: usage on each chunk, counting up."""

    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        usage, sent = _usage(script), 0

        def counted(step: SendChunk, members: Members) -> Members:
            nonlocal sent
            sent += step.kind in PROGRESS
            return members if step.kind == "usage" else {**members, "usage": {**usage, "completion_tokens": sent}}

        return _edited(script, counted)


class UsageWrong(_Chunks, frozen=True, tag="usage-wrong"):
    """Usage reports far fewer output tokens than were sent."""

    completion_tokens: Annotated[int, Meta(ge=0, le=1_000_000)] = 2

    def script(self, script: Script, setting: Setting) -> Script:
        return _counting(script, lambda _: self.completion_tokens)


class UsageZero(UsageWrong, frozen=True, tag="usage-zero"):
    """Usage reports no output tokens."""

    completion_tokens: Annotated[int, Meta(ge=0, le=0)] = 0


class HiddenReasoning(_Chunks, frozen=True, tag="hidden-reasoning"):
    """Healthy: reasoning that counts as output tokens, but is not sent."""

    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        return _counting(script, lambda tokens: tokens + 3_000)


def _counting(script: Script, count: Callable[[int], int]) -> Script:
    def changed(step: SendChunk, members: Members) -> Members:
        if step.kind != "usage":
            return members
        usage = members["usage"]
        return {**members, "usage": {**usage, "completion_tokens": count(usage["completion_tokens"])}}

    return _edited(script, changed)


class WrongModel(_Chunks, frozen=True, tag="wrong-model"):
    """Each chunk names another model than the request."""

    model: str = "moonshotai/Kimi-K2-Instruct-0711"

    def script(self, script: Script, setting: Setting) -> Script:
        return _edited(script, lambda _, members: {**members, "model": self.model})


class ModelAlias(WrongModel, frozen=True, tag="model-alias"):
    """Healthy: each chunk names the same model by another of its names."""

    healthy: ClassVar[bool] = True
    model: str = "accounts/fireworks/models/kimi-k2p6"


class UpstreamSwitched(_Chunks, frozen=True, tag="upstream-switched"):
    """An aggregator that names one host in the first half and another in the second."""

    first: str = "Together"
    then: str = "DeepInfra"

    def script(self, script: Script, setting: Setting) -> Script:
        half, sent = sum(isinstance(step, SendChunk) for step in script) // 2, 0

        def hosted(_: SendChunk, members: Members) -> Members:
            nonlocal sent
            sent += 1
            return {**members, "provider": self.first if sent <= half else self.then}

        return _edited(script, hosted)


class UpstreamNamed(UpstreamSwitched, frozen=True, tag="upstream-named"):
    """Healthy: an aggregator that names the same host in each chunk."""

    healthy: ClassVar[bool] = True
    then: str = "Together"


class DuplicateChunks(_Chunks, frozen=True, tag="duplicate-chunks"):
    """Some chunks are sent twice, the second time in one burst, as by a gateway that reconnected."""

    after_tokens: TokensSpan = 110
    tokens: Annotated[int, Meta(ge=1, le=100_000)] = 90

    def script(self, script: Script, setting: Setting) -> Script:
        progress = [i for i, step in enumerate(script) if is_progress(step)]
        stop = min(tokens_in(self.after_tokens, setting.rng), len(progress) - 1)
        if stop < 1:
            return script
        first, last = progress[max(0, stop - self.tokens)], progress[stop]
        again = [replace(step, after_s=0.0) if isinstance(step, SendChunk) else step for step in script[first:last]]
        return (*script[:last], *again, *script[last:])


class ReorderedChunks(_Chunks, frozen=True, tag="reordered-chunks"):
    """The finish reason comes before the last chunks of the answer."""

    tokens: Annotated[int, Meta(ge=1, le=100_000)] = 8

    def script(self, script: Script, setting: Setting) -> Script:
        progress = [i for i, step in enumerate(script) if is_progress(step)]
        finish = next((i for i, s in enumerate(script) if isinstance(s, SendChunk) and s.kind == "finish"), None)
        if finish is None or not progress:
            return script
        at = progress[-min(self.tokens, len(progress))]
        return (*script[:at], script[finish], *script[at:finish], *script[finish + 1 :])


class TextAfterFinish(ReorderedChunks, frozen=True, tag="text-after-finish"):
    """The finish reason comes before the last two chunks of the answer."""

    tokens: Annotated[int, Meta(ge=1, le=2)] = 2


class FinishInEveryChunk(_Chunks, frozen=True, tag="finish-in-every-chunk"):
    """Healthy: each chunk of the answer has the finish reason."""

    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        def finished(_: SendChunk, members: Members) -> Members:
            return {**members, "choices": [{**one, "finish_reason": "stop"} for one in members["choices"]]}

        return _edited(script, finished)


class _Framing(Fault, frozen=True):
    # in an event stream the times of the answer are set after the fault, which needs whole frames
    needs: ClassVar[frozenset[Trait]] = TEXT_FRAMED


class SplitAnywhere(_Framing, frozen=True, tag="split-anywhere"):
    """Healthy: each event in four pieces, cut at any byte, also inside a character."""

    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        steps: list[Step] = []
        for step in script:
            if isinstance(step, SendChunk):
                cuts = sorted(setting.rng.sample(range(1, len(step.data)), 3))
                first, *rest = (step.data[a:b] for a, b in pairwise([0, *cuts, len(step.data)]))
                steps += [replace(step, data=first), *(SendChunk(piece, "block") for piece in rest)]
            else:
                steps.append(step)
        return tuple(steps)


class CrLf(_Framing, frozen=True, tag="crlf"):
    """Healthy: lines that end with CR LF."""

    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        return tuple(
            replace(step, data=step.data.replace(b"\n", b"\r\n")) if isinstance(step, SendChunk) else step
            for step in script
        )


class MultiLineData(_Chunks, frozen=True, tag="multi-line-data"):
    """Healthy: the JSON of each event on two data lines."""

    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        return tuple(
            replace(step, data=step.data.replace(b'","', b'",\ndata: "', 1)) if isinstance(step, SendChunk) else step
            for step in script
        )


class ProxyBuffering(_Framing, frozen=True, tag="proxy-buffering"):
    """Healthy: bursts, as behind a proxy that sends its buffer only when it is full."""

    healthy: ClassVar[bool] = True
    buffer_bytes: Annotated[int, Meta(ge=1, le=10_000_000)] = BUFFER_BYTES

    def script(self, script: Script, setting: Setting) -> Script:
        steps: list[Step] = []
        held: list[bytes] = []
        wait_s = 0.0
        for step in script:
            if isinstance(step, SendChunk):
                held.append(step.data)
                wait_s += step.after_s
            if held and (not isinstance(step, SendChunk) or sum(map(len, held)) >= self.buffer_bytes):
                steps.append(SendChunk(b"".join(held), "text", wait_s))
                held, wait_s = [], 0.0
            if not isinstance(step, SendChunk):
                steps.append(step)
        return tuple(steps)
