"""What can go wrong in any dialect, one small value each: a name, its parameters, what it does to a healthy answer.

A fault may change what is said (:meth:`Fault.answer`) and what is sent (:meth:`Fault.script`). Both are pure. A
``*_tokens`` position beyond the end of an answer means its middle; ``duration_s`` is seconds or ``[min, max]``.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from random import Random
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from kmon.simulator.answers import Answer, reasoning
from kmon.simulator.dialects.registry import names_with
from kmon.simulator.pacing import Seconds
from kmon.simulator.request import ChatRequest
from kmon.simulator.script import (
    PROGRESS,
    Beat,
    End,
    Hold,
    Reset,
    Script,
    Send,
    Silence,
    Step,
    Whole,
    duration_s,
    split,
)
from kmon.simulator.wire import Frames, ServerDialect, Trait

SSE: frozenset[Trait] = frozenset({"sse"})
CHAT_CHUNKS: frozenset[Trait] = frozenset({"chat-chunks"})

Tokens = Annotated[int, Meta(ge=0, le=1_000_000)]
EverySeconds = Annotated[float, Meta(ge=0.01, le=3600)]
# Two bounds, checked in Fault: a fixed-length tuple beside a bounded number crashes msgspec 0.22's converter.
SecondsSpan = Seconds | tuple[Seconds, ...]
TokensSpan = Tokens | tuple[Tokens, ...]


class Setting(Struct, frozen=True):
    """Where a fault strikes: the request's relevant facts, the encoder, and the fault's own random numbers."""

    tools: bool
    frames: Frames
    whole: Whole
    """The same answer as one document, for providers that ignore ``stream``."""
    rng: Random


class Fault(Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault"):
    """A way for an answer to go wrong.

    ``streams_only``: it needs a stream and leaves other answers alone. ``needs`` are the
    traits of the dialects that can have it.
    """

    streams_only: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = frozenset()

    @property
    def name(self) -> str:
        tag = self.__struct_config__.tag
        assert isinstance(tag, str)
        return tag

    def heard(self, request: ChatRequest) -> ChatRequest:
        """What the model takes the request for."""
        return request

    def answer(self, answer: Answer) -> Answer:
        return answer

    def script(self, script: Script, setting: Setting) -> Script:
        return script

    def refusal(self, dialect: ServerDialect) -> str:
        """A sentence for who asks for it in a dialect that cannot have it; empty when it can."""
        if self.needs <= dialect.traits:
            return ""
        return f"{dialect.name} cannot have the fault {self.name}; {' and '.join(names_with(self.needs))} can"

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            span = getattr(self, name)
            if not isinstance(span, tuple):
                continue
            if len(span) != 2:
                raise ValueError(f"{name} is {len(span)} numbers; write one, or two as [min, max]")
            if span[0] > span[1]:
                raise ValueError(f"{name} goes from {span[0]:g} down to {span[1]:g}; write the smaller one first")


def seconds_in(span: SecondsSpan, rng: Random) -> float:
    """A duration: the one given, or one of the span."""
    return rng.uniform(span[0], span[1]) if isinstance(span, tuple) else span


def tokens_in(span: TokensSpan, rng: Random) -> int:
    """A position of tokens: the one given, or one of the span."""
    return rng.randint(span[0], span[1]) if isinstance(span, tuple) else span


def later(steps: Script, delay_s: float) -> Script:
    """The same steps after a delay; the first must be a ``Send``."""
    first = steps[0]
    assert isinstance(first, Send)
    return (replace(first, after_s=first.after_s + delay_s), *steps[1:])


class Smooth(Fault, frozen=True, tag="smooth"):
    """Nothing goes wrong."""

    streams_only: ClassVar[bool] = False


class Stall(Fault, frozen=True, tag="stall"):
    """Nothing for a while in the middle, then it goes on as if nothing had been."""

    after_tokens: TokensSpan = (60, 240)
    duration_s: SecondsSpan = (15.0, 30.0)

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, *later(after, seconds_in(self.duration_s, setting.rng)))


class StallWhenTools(Stall, frozen=True, tag="stall-when-tools"):
    """The stall of the first field report: only when the request offers tools."""

    def script(self, script: Script, setting: Setting) -> Script:
        return Stall.script(self, script, setting) if setting.tools else script


class HangMidStream(Fault, frozen=True, tag="hang-mid-stream"):
    """Some tokens, then nothing, for good; the connection stays open."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], Silence())


class NoHeaders(Fault, frozen=True, tag="no-headers"):
    """The request is taken and never answered."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (Silence(),)


class HeadersThenNothing(Fault, frozen=True, tag="headers-then-nothing"):
    """Response headers, and no body."""

    def script(self, script: Script, setting: Setting) -> Script:
        return (script[0], Silence())


class KeepalivesOnly(Fault, frozen=True, tag="keepalives-only"):
    """Some tokens, then keep-alives until the client gives up."""

    needs: ClassVar[frozenset[Trait]] = SSE  # Bedrock sends none
    after_tokens: TokensSpan = 60
    every_s: EverySeconds = 1.0

    def script(self, script: Script, setting: Setting) -> Script:
        before, _ = split(script, tokens_in(self.after_tokens, setting.rng))
        sign = setting.frames.keepalive()
        return (*before, Beat(sign, self.every_s) if sign else Silence())


class SlowFirstToken(Fault, frozen=True, tag="slow-first-token"):
    """Healthy, but it reads for long before it writes; where there are keep-alives, they tell that it lives."""

    duration_s: SecondsSpan = (5.0, 12.0)
    every_s: EverySeconds = 1.0

    def script(self, script: Script, setting: Setting) -> Script:
        prefill_s = seconds_in(self.duration_s, setting.rng)
        sign = setting.frames.keepalive()
        if sign is None:
            return (script[0], *later(script[1:], prefill_s))
        return (script[0], Beat(sign, self.every_s, prefill_s), *script[1:])


class SlowBursts(Fault, frozen=True, tag="slow-bursts"):
    """Healthy, but what was generated comes in bursts with pauses between, as behind a buffering proxy."""

    burst_tokens: Annotated[int, Meta(ge=1, le=100_000)] = 40
    duration_s: SecondsSpan = (1.5, 3.5)

    def script(self, script: Script, setting: Setting) -> Script:
        return tuple(self._steps(script, setting.rng))

    def _steps(self, script: Script, rng: Random) -> list[Step]:
        steps: list[Step] = []
        sent = 0
        for step in script:
            if isinstance(step, Send) and step.kind in PROGRESS:
                first = sent % self.burst_tokens == 0
                step = replace(step, after_s=seconds_in(self.duration_s, rng) if first else 0.0)
                sent += 1
            steps.append(step)
        return steps


class TruncatedNoFinish(Fault, frozen=True, tag="truncated-no-finish"):
    """The body ends cleanly in the middle: no finish reason, no last event, no error."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], End())


class FinishWithoutDone(Fault, frozen=True, tag="finish-without-done"):
    """Everything is said, but the last event never comes; the body ends cleanly."""

    needs: ClassVar[frozenset[Trait]] = frozenset({"terminal-event"})

    def script(self, script: Script, setting: Setting) -> Script:
        return tuple(step for step in script if not (isinstance(step, Send) and step.kind == "done"))


class ResetMidChunk(Fault, frozen=True, tag="reset-mid-chunk"):
    """The connection is reset in the middle of an HTTP chunk."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(after[0], Send)
        return (*before, Reset(after[0].data))


class ErrorIn200(Fault, frozen=True, tag="error-in-200"):
    """An error object after some tokens, inside a 200 that then ends cleanly."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        error = setting.frames.error("Provider returned error: upstream overloaded", 502, "server_error")
        assert isinstance(after[0], Send)
        return (*before, Send(error, "error", after[0].after_s), End())


class ErrorFirst(Fault, frozen=True, tag="error-first"):
    """A 200 whose only event is an error."""

    def script(self, script: Script, setting: Setting) -> Script:
        message = "Failed to call a function. Please adjust your prompt."
        error = setting.frames.error(message, 400, "invalid_request_error", named=True)
        return (script[0], Send(error, "error", 0.1), End())


class RateLimited(Fault, frozen=True, tag="rate-limited"):
    """429 with Retry-After: seconds, or an HTTP date that far ahead, or none at all."""

    streams_only: ClassVar[bool] = False
    retry_after_s: Annotated[int, Meta(ge=0, le=86_400)] = 3
    written: Literal["seconds", "date", "absent"] = "seconds"

    def script(self, script: Script, setting: Setting) -> Script:
        refused = setting.frames.refusal(
            429, "Rate limit reached for requests", "rate_limit_error", "rate_limit_exceeded"
        )
        asked = str(self.retry_after_s)
        if self.written == "date":
            asked = formatdate(time.time() + self.retry_after_s, usegmt=True)
        headers = () if self.written == "absent" else (("retry-after", asked),)
        return (replace(refused, headers=(*refused.headers, *headers), after_s=0.1),)


class Http500(Fault, frozen=True, tag="http-500"):
    """A plain server error before any stream."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        message = "The server had an error while processing your request"
        return (replace(setting.frames.refusal(500, message, "server_error"), after_s=0.1),)


class MalformedFrame(Fault, frozen=True, tag="malformed-frame"):
    """One event is cut in the middle of its JSON; the stream goes on after it."""

    needs: ClassVar[frozenset[Trait]] = SSE  # frames have lengths and checksums: crc-error, half-frame
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, (cut, *after) = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(cut, Send)
        broken = cut.data[: len(cut.data) // 2] + b"\n\n"
        return (*before, Send(broken, "error", cut.after_s), *after)


class HeldUntilNext(Fault, frozen=True, tag="held-until-next"):
    """Stands still until the next message of the same conversation arrives, then goes on."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, Hold(), *after)


class LingerAfterDone(Fault, frozen=True, tag="linger-after-done"):
    """Everything is said, the last event too, but the body never ends."""

    def script(self, script: Script, setting: Setting) -> Script:
        return (*(step for step in script if not isinstance(step, End)), Silence())


class Html200(Fault, frozen=True, tag="html-200"):
    """A web page with status 200, as a captive portal answers."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        page = b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
        return (Whole(200, (("content-type", "text/html; charset=utf-8"),), page, 0.1),)


class Json200(Fault, frozen=True, tag="json-200"):
    """The whole answer as one JSON document although a stream was asked for."""

    needs: ClassVar[frozenset[Trait]] = SSE  # on Bedrock, streaming is another operation

    def script(self, script: Script, setting: Setting) -> Script:
        return (replace(setting.whole, after_s=duration_s(script)),)


class EmptyAnswer(Fault, frozen=True, tag="empty-answer"):
    """The beginning and the end of an answer, and not a word in between."""

    streams_only: ClassVar[bool] = False

    def answer(self, answer: Answer) -> Answer:
        return Answer(())


class OnlyReasoning(Fault, frozen=True, tag="only-reasoning"):
    """It thinks until its token limit and never answers."""

    streams_only: ClassVar[bool] = False
    reasoning_tokens: Annotated[int, Meta(ge=1, le=100_000)] = 300

    def answer(self, answer: Answer) -> Answer:
        return Answer(tuple(reasoning(self.reasoning_tokens)), "length")
