"""Faults that pause, go slowly or stop without an end, and healthy answers that look like them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.faults.base import (
    CHAT_CHUNKS,
    KEEPALIVES,
    TOOL_PIECES,
    EverySeconds,
    Fault,
    SecondsSpan,
    Setting,
    TokensSpan,
    later,
    seconds_in,
    tokens_in,
)
from kmon.simulator.script import (
    EndBody,
    Hold,
    KeepAlives,
    KeepOpen,
    Script,
    SendChunk,
    SendHead,
    Step,
    Whole,
    is_progress,
    split,
)
from kmon.simulator.wire import Carrier, Trait

Times = Annotated[int, Meta(ge=1, le=1_000)]
Factor = Annotated[float, Meta(gt=0, le=1_000)]


class MidStreamStall(Fault, frozen=True, tag="stall"):
    """A pause in the middle, then the rest of the answer at its usual rate."""

    after_tokens: TokensSpan = (60, 240)
    duration_s: SecondsSpan = (15.0, 30.0)

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, *later(after, seconds_in(self.duration_s, setting.rng)))


class StallWhenTools(MidStreamStall, frozen=True, tag="stall-when-tools"):
    """The stall of the first field report: only for a request that offers tools."""

    def script(self, script: Script, setting: Setting) -> Script:
        return super().script(script, setting) if setting.tools else script


class RepeatedStalls(Fault, frozen=True, tag="repeated-stalls"):
    """Several pauses, each longer than the usual stall threshold, and a good end."""

    after_tokens: TokensSpan = 30
    every_tokens: TokensSpan = 30
    times: Times = 3
    duration_s: SecondsSpan = (7.0, 9.0)

    def script(self, script: Script, setting: Setting) -> Script:
        done: Script = ()
        position = tokens_in(self.after_tokens, setting.rng)
        for _ in range(self.times):
            before, script = split(script, position)
            if not script or not is_progress(script[0]):
                return (*done, *before, *script)
            done, script = (*done, *before), later(script, seconds_in(self.duration_s, setting.rng))
            position = max(1, tokens_in(self.every_tokens, setting.rng))
        return (*done, *script)


class Pauses(RepeatedStalls, frozen=True, tag="pauses"):
    """Healthy: several pauses, each well under the usual stall threshold."""

    healthy: ClassVar[bool] = True
    duration_s: SecondsSpan = (1.5, 3.0)


class HangMidStream(Fault, frozen=True, tag="hang-mid-stream"):
    """Some tokens, then nothing more; the connection stays open."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], KeepOpen())


class HeldUntilNext(Fault, frozen=True, tag="held-until-next"):
    """A pause that lasts until the next message of the same conversation arrives."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, Hold(), *after)


class HeadersThenNothing(Fault, frozen=True, tag="headers-then-nothing"):
    """Response headers, then nothing more; the connection stays open."""

    def script(self, script: Script, setting: Setting) -> Script:
        return (script[0], KeepOpen())


class LingerAfterDone(Fault, frozen=True, tag="linger-after-done"):
    """The whole answer with its last event, but the body never ends."""

    carrier: ClassVar[Carrier | None] = "http"

    def script(self, script: Script, setting: Setting) -> Script:
        return (*(step for step in script if not isinstance(step, EndBody)), KeepOpen())


class KeepalivesOnly(Fault, frozen=True, tag="keepalives-only"):
    """Some tokens, then keep-alives until the client gives up."""

    needs: ClassVar[frozenset[Trait]] = KEEPALIVES
    after_tokens: TokensSpan = 60
    every_s: EverySeconds = 1.0

    def script(self, script: Script, setting: Setting) -> Script:
        before, _ = split(script, tokens_in(self.after_tokens, setting.rng))
        keepalive = setting.frames.keepalive()
        return (*before, KeepAlives(keepalive, self.every_s) if keepalive else KeepOpen())


class KeepalivesThenContent(Fault, frozen=True, tag="keepalives-then-content"):
    """Healthy: keep-alives during a pause under the usual stall threshold, then the rest of the answer."""

    healthy: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = KEEPALIVES
    after_tokens: TokensSpan = 60
    every_s: EverySeconds = 0.5
    duration_s: SecondsSpan = (2.0, 3.5)

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        keepalive = setting.frames.keepalive()
        assert keepalive is not None
        return (*before, KeepAlives(keepalive, self.every_s, seconds_in(self.duration_s, setting.rng)), *after)


class EmptyDeltas(Fault, frozen=True, tag="empty-deltas"):
    """Some tokens, then chunks without content until the client gives up."""

    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS  # elsewhere an empty delta is not allowed everywhere
    after_tokens: TokensSpan = 60
    every_s: EverySeconds = 1.0

    def script(self, script: Script, setting: Setting) -> Script:
        before, _ = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, KeepAlives(_empty(script), self.every_s))


class EmptyDeltasThenContent(EmptyDeltas, frozen=True, tag="empty-deltas-then-content"):
    """Healthy: chunks without content for a while, then the rest of the answer."""

    healthy: ClassVar[bool] = True
    every_s: EverySeconds = 0.5
    duration_s: SecondsSpan = (2.0, 3.5)

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, KeepAlives(_empty(script), self.every_s, seconds_in(self.duration_s, setting.rng)), *after)


def _empty(script: Script) -> bytes:
    """The chunk that only announces the role, which is an empty delta."""
    return next(step.data for step in script if isinstance(step, SendChunk) and step.kind == "role")


class ToolArgumentsNever(Fault, frozen=True, tag="tool-arguments-never"):
    """A tool is named, and its arguments never come. An answer without a call stays as it is."""

    needs: ClassVar[frozenset[Trait]] = TOOL_PIECES

    def script(self, script: Script, setting: Setting) -> Script:
        at = _first_call(script)
        return script if at is None else (*script[: at + 1], KeepOpen())


class ToolArgumentsHeld(Fault, frozen=True, tag="tool-arguments-held"):
    """Healthy: a tool is named, and its arguments come later in one burst."""

    healthy: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = TOOL_PIECES
    duration_s: SecondsSpan = (8.0, 12.0)

    def script(self, script: Script, setting: Setting) -> Script:
        at = _first_call(script)
        if at is None:
            return script
        burst = [
            replace(s, after_s=0.0) if isinstance(s, SendChunk) and s.kind == "tool" else s for s in script[at + 1 :]
        ]
        return (*script[: at + 1], *later(tuple(burst), seconds_in(self.duration_s, setting.rng)))


def _first_call(script: Script) -> int | None:
    return next((i for i, step in enumerate(script) if isinstance(step, SendChunk) and step.kind == "tool"), None)


class SlowHeaders(Fault, frozen=True, tag="slow-headers"):
    """Healthy: the status line comes late, as after a long prompt."""

    healthy: ClassVar[bool] = True
    streams_only: ClassVar[bool] = False
    duration_s: SecondsSpan = (6.0, 10.0)

    def script(self, script: Script, setting: Setting) -> Script:
        first = script[0]
        assert isinstance(first, SendHead | Whole)
        wait_s = seconds_in(self.duration_s, setting.rng)
        return (replace(first, after_s=first.after_s + wait_s), *script[1:])


class SlowPrefillMute(Fault, frozen=True, tag="slow-prefill-mute"):
    """Healthy: headers, then a long wait without keep-alives, then the answer."""

    healthy: ClassVar[bool] = True
    duration_s: SecondsSpan = (6.0, 10.0)

    def script(self, script: Script, setting: Setting) -> Script:
        return (script[0], *later(script[1:], seconds_in(self.duration_s, setting.rng)))


class SlowFirstToken(Fault, frozen=True, tag="slow-first-token"):
    """Healthy: a long wait for the first token, with keep-alives in the dialects that have them."""

    healthy: ClassVar[bool] = True
    duration_s: SecondsSpan = (5.0, 12.0)
    every_s: EverySeconds = 1.0

    def script(self, script: Script, setting: Setting) -> Script:
        prefill_s = seconds_in(self.duration_s, setting.rng)
        keepalive = setting.frames.keepalive()
        if keepalive is None:
            return (script[0], *later(script[1:], prefill_s))
        return (script[0], KeepAlives(keepalive, self.every_s, prefill_s), *script[1:])


class SlowBursts(Fault, frozen=True, tag="slow-bursts"):
    """Healthy: tokens in bursts with pauses between them, as behind a buffering proxy."""

    healthy: ClassVar[bool] = True
    burst_tokens: Annotated[int, Meta(ge=1, le=100_000)] = 40
    duration_s: SecondsSpan = (1.5, 3.5)

    def script(self, script: Script, setting: Setting) -> Script:
        steps: list[Step] = []
        sent = 0
        for step in script:
            if is_progress(step):
                first = sent % self.burst_tokens == 0
                step = replace(step, after_s=seconds_in(self.duration_s, setting.rng) if first else 0.0)
                sent += 1
            steps.append(step)
        return tuple(steps)


class SlowingDown(Fault, frozen=True, tag="slowing-down"):
    """Each quarter of the answer is ``factor`` times as slow as the one before."""

    factor: Factor = 2.2

    def script(self, script: Script, setting: Setting) -> Script:
        return _stretched(script, lambda share: self.factor ** (4 * share))


class SlowButSteady(Fault, frozen=True, tag="slow-but-steady"):
    """Healthy: ``factor`` times as slow as usual, from the first token to the last."""

    healthy: ClassVar[bool] = True
    factor: Factor = 6.0

    def script(self, script: Script, setting: Setting) -> Script:
        return _stretched(script, lambda _: self.factor)


class Drip(SlowButSteady, frozen=True, tag="drip"):
    """``factor`` times as slow as usual, so that the answer takes longer than usual timeouts."""

    healthy: ClassVar[bool] = False
    factor: Factor = 40.0


def _stretched(script: Script, factor_at: Callable[[float], float]) -> Script:
    """The script with each gap between tokens multiplied by ``factor_at`` its share of the answer (0 to 1)."""
    count = sum(is_progress(step) for step in script)
    steps: list[Step] = []
    done = 0
    for step in script:
        if is_progress(step):
            if done:
                step = replace(step, after_s=step.after_s * factor_at(done / count))
            done += 1
        steps.append(step)
    return tuple(steps)
