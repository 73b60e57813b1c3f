"""Work that sends no output, in the dialects that say when it begins and ends: healthy, without end, or hung."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.answers import ModelAnswer, Piece
from kmon.simulator.faults.base import EverySeconds, Fault, SecondsSpan, Setting, later, seconds_in
from kmon.simulator.script import KeepAlives, KeepOpen, Script, SendChunk, Step
from kmon.simulator.wire import Trait

HIDDEN_WORK: frozenset[Trait] = frozenset({"hidden-work"})
SERVER_TOOLS: frozenset[Trait] = frozenset({"server-tools"})
Tokens = Annotated[int, Meta(ge=1, le=100_000)]


class _HiddenWork(Fault, frozen=True):
    """The answer begins with hidden work; what happens in it is decided by :meth:`during`."""

    needs: ClassVar[frozenset[Trait]] = HIDDEN_WORK
    reasoning_tokens: Tokens = 600
    """Reported in usage, and shown nowhere."""

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        shown = tuple(piece for piece in answer.pieces if piece.kind != "reasoning")
        return replace(answer, pieces=(*[Piece("reasoning", "")] * self.reasoning_tokens, *shown))

    def script(self, script: Script, setting: Setting) -> Script:
        end = next((i for i, step in enumerate(script) if isinstance(step, SendChunk) and step.kind == "hidden"), None)
        return script if end is None else (*script[:end], *self.during(script[end:], setting))

    def during(self, rest: Script, setting: Setting) -> Script:
        """What follows the beginning of the work; ``rest`` is its end and all after it."""
        return rest


class HiddenThinking(_HiddenWork, frozen=True, tag="hidden-thinking"):
    """Healthy: reasoning that is not shown, without a byte meanwhile, then the answer."""

    healthy: ClassVar[bool] = True
    duration_s: SecondsSpan = (8.0, 20.0)

    def during(self, rest: Script, setting: Setting) -> Script:
        return later(rest, seconds_in(self.duration_s, setting.rng))


class HiddenThinkingKeptAlive(HiddenThinking, frozen=True, tag="hidden-thinking-kept-alive"):
    """Healthy: reasoning that is not shown, with keep-alives meanwhile, then the answer."""

    healthy: ClassVar[bool] = True
    every_s: EverySeconds = 2.0

    def during(self, rest: Script, setting: Setting) -> Script:
        return (*_alive(setting, self.every_s, seconds_in(self.duration_s, setting.rng)), *rest)


class HiddenThinkingEndless(_HiddenWork, frozen=True, tag="hidden-thinking-endless"):
    """Reasoning that is not shown and does not end: no byte until the client gives up."""

    def during(self, rest: Script, setting: Setting) -> Script:
        return (KeepOpen(),)


class HiddenThinkingHang(_HiddenWork, frozen=True, tag="hidden-thinking-hang"):
    """Reasoning that is not shown, with keep-alives that stop; the connection stays open."""

    every_s: EverySeconds = 1.0
    duration_s: SecondsSpan = (5.0, 8.0)

    def during(self, rest: Script, setting: Setting) -> Script:
        return (*_alive(setting, self.every_s, seconds_in(self.duration_s, setting.rng)), KeepOpen())


class ServerToolWait(HiddenThinking, frozen=True, tag="server-tool-wait"):
    """Healthy: the server uses a tool of its own (a search, a program), without a byte meanwhile, then the answer."""

    healthy: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = SERVER_TOOLS

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, pieces=(Piece("search", ""), *answer.pieces))


def _alive(setting: Setting, every_s: float, duration_s: float) -> tuple[Step, ...]:
    keepalive = setting.frames.keepalive()
    assert keepalive is not None, "a dialect with hidden work has keep-alives"
    return (KeepAlives(keepalive, every_s, duration_s),)
