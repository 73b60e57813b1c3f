"""Ways to be silent or slow, and the healthy ones that look alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.faults.base import (
    CHAT_CHUNKS,
    SSE,
    EverySeconds,
    Fault,
    SecondsSpan,
    Setting,
    TokensSpan,
    later,
    seconds_in,
    tokens_in,
)
from kmon.simulator.script import PROGRESS, Beat, Head, Script, Send, Silence, Step, Whole, split
from kmon.simulator.wire import Trait

CALLS: frozenset[Trait] = frozenset({"tools"})
Times = Annotated[int, Meta(ge=1, le=1_000)]
Factor = Annotated[float, Meta(gt=0, le=1_000)]


class RepeatedStalls(Fault, frozen=True, tag="repeated-stalls"):
    """Stands still again and again, each time long enough to be a stall, and ends well."""

    after_tokens: TokensSpan = 30
    every_tokens: TokensSpan = 30
    times: Times = 3
    duration_s: SecondsSpan = (7.0, 9.0)

    def script(self, script: Script, setting: Setting) -> Script:
        struck: Script = ()
        position = tokens_in(self.after_tokens, setting.rng)
        for _ in range(self.times):
            before, script = split(script, position)
            if not script or not isinstance(script[0], Send) or script[0].kind not in PROGRESS:
                return (*struck, *before, *script)
            struck, script = (*struck, *before), later(script, seconds_in(self.duration_s, setting.rng))
            position = max(1, tokens_in(self.every_tokens, setting.rng))
        return (*struck, *script)


class Pauses(RepeatedStalls, frozen=True, tag="pauses"):
    """Healthy: pauses now and then, each well under the usual threshold."""

    duration_s: SecondsSpan = (1.5, 3.0)


class EmptyDeltas(Fault, frozen=True, tag="empty-deltas"):
    """Some tokens, then chunks without content until the client gives up."""

    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS  # only there may an empty delta stand anywhere
    after_tokens: TokensSpan = 60
    every_s: EverySeconds = 1.0

    def script(self, script: Script, setting: Setting) -> Script:
        before, _ = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, Beat(_empty(script), self.every_s))


class EmptyDeltasThenContent(EmptyDeltas, frozen=True, tag="empty-deltas-then-content"):
    """Healthy: some chunks without content in between."""

    every_s: EverySeconds = 0.5
    duration_s: SecondsSpan = (2.0, 3.5)

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, Beat(_empty(script), self.every_s, seconds_in(self.duration_s, setting.rng)), *after)


def _empty(script: Script) -> bytes:
    """The chunk that only announces the role: an empty delta."""
    return next(step.data for step in script if isinstance(step, Send) and step.kind == "role")


class KeepalivesThenContent(Fault, frozen=True, tag="keepalives-then-content"):
    """Healthy: keep-alives during a pause under the usual threshold, then more of the answer."""

    needs: ClassVar[frozenset[Trait]] = SSE
    after_tokens: TokensSpan = 60
    every_s: EverySeconds = 0.5
    duration_s: SecondsSpan = (2.0, 3.5)

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        sign = setting.frames.keepalive()
        assert sign is not None
        return (*before, Beat(sign, self.every_s, seconds_in(self.duration_s, setting.rng)), *after)


class SlowHeaders(Fault, frozen=True, tag="slow-headers"):
    """Healthy: reads a long prompt before it sends the status line."""

    streams_only: ClassVar[bool] = False
    duration_s: SecondsSpan = (6.0, 10.0)

    def script(self, script: Script, setting: Setting) -> Script:
        first = script[0]
        assert isinstance(first, Head | Whole)
        wait_s = seconds_in(self.duration_s, setting.rng)
        return (replace(first, after_s=first.after_s + wait_s), *script[1:])


class SlowPrefillMute(Fault, frozen=True, tag="slow-prefill-mute"):
    """Healthy: headers, then a long prompt is read without a sign of life, then the answer."""

    duration_s: SecondsSpan = (6.0, 10.0)

    def script(self, script: Script, setting: Setting) -> Script:
        return (script[0], *later(script[1:], seconds_in(self.duration_s, setting.rng)))


class ToolArgumentsNever(Fault, frozen=True, tag="tool-arguments-never"):
    """A tool is named, its arguments never come. An answer without a call is left alone."""

    needs: ClassVar[frozenset[Trait]] = CALLS

    def script(self, script: Script, setting: Setting) -> Script:
        at = _first_call(script)
        return script if at is None else (*script[: at + 1], Silence())


class ToolArgumentsHeld(Fault, frozen=True, tag="tool-arguments-held"):
    """Healthy: a tool is named, its arguments are held back until they are whole and come in one burst."""

    needs: ClassVar[frozenset[Trait]] = CALLS
    duration_s: SecondsSpan = (8.0, 12.0)

    def script(self, script: Script, setting: Setting) -> Script:
        at = _first_call(script)
        if at is None:
            return script
        held = [replace(s, after_s=0.0) if isinstance(s, Send) and s.kind == "tool" else s for s in script[at + 1 :]]
        return (*script[: at + 1], *later(tuple(held), seconds_in(self.duration_s, setting.rng)))


def _first_call(script: Script) -> int | None:
    return next((i for i, step in enumerate(script) if isinstance(step, Send) and step.kind == "tool"), None)


class SlowingDown(Fault, frozen=True, tag="slowing-down"):
    """Each quarter of the answer is ``factor`` times as slow as the one before."""

    factor: Factor = 2.2

    def script(self, script: Script, setting: Setting) -> Script:
        return _stretched(script, lambda share: self.factor ** (4 * share))


class SlowButSteady(Fault, frozen=True, tag="slow-but-steady"):
    """Healthy: ``factor`` times as slow as usual, from the first token to the last."""

    factor: Factor = 6.0

    def script(self, script: Script, setting: Setting) -> Script:
        return _stretched(script, lambda _: self.factor)


class Drip(SlowButSteady, frozen=True, tag="drip"):
    """So slow that no usual timeout waits for the end, though it never stops."""

    factor: Factor = 40.0


def _stretched(script: Script, factor_at: Callable[[float], float]) -> Script:
    """The script with every gap between tokens multiplied, by how far the answer has got (0 to 1)."""
    count = sum(isinstance(step, Send) and step.kind in PROGRESS for step in script)
    steps: list[Step] = []
    done = 0
    for step in script:
        if isinstance(step, Send) and step.kind in PROGRESS:
            if done:
                step = replace(step, after_s=step.after_s * factor_at(done / count))
            done += 1
        steps.append(step)
    return tuple(steps)
