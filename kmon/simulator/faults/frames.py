"""What can go wrong with event-stream frames: faults of Bedrock's dialect alone."""

from __future__ import annotations

from typing import ClassVar, Literal

from kmon.simulator.eventstream import exception
from kmon.simulator.faults.base import Fault, Setting, TokensSpan, tokens_in
from kmon.simulator.script import End, Script, Send, split
from kmon.simulator.sse import to_json
from kmon.simulator.wire import Trait

FRAMED: frozenset[Trait] = frozenset({"frames"})

EXCEPTIONS = {
    "throttlingException": "Too many requests, please wait before trying again.",
    "modelStreamErrorException": "The model encountered an unexpected error during processing.",
    "internalServerException": "The system encountered an unexpected error during processing.",
    "serviceUnavailableException": "Bedrock is unable to process your request.",
    "validationException": "The model returned the following errors: invalid tool use.",
    "modelTimeoutException": "Model has timed out in processing the request.",
}
"""What each says. The last is not in the stream's model: botocore raises it without code and message."""


class ExceptionFrame(Fault, frozen=True, tag="exception-frame"):
    """An exception frame after some tokens, inside a 200 that then ends cleanly."""

    needs: ClassVar[frozenset[Trait]] = FRAMED
    after_tokens: TokensSpan = 60
    exception: Literal[
        "throttlingException",
        "modelStreamErrorException",
        "internalServerException",
        "serviceUnavailableException",
        "validationException",
        "modelTimeoutException",
    ] = "throttlingException"

    def script(self, script: Script, setting: Setting) -> Script:
        before, (after, *_) = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(after, Send)
        frame = exception(self.exception, to_json({"message": EXCEPTIONS[self.exception]}))
        return (*before, Send(frame, "error", after.after_s), End())


class CrcError(Fault, frozen=True, tag="crc-error"):
    """One bit of one frame is wrong; the stream goes on after it."""

    needs: ClassVar[frozenset[Trait]] = FRAMED
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, (hit, *after) = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(hit, Send)
        return (*before, Send(hit.data[:-1] + bytes((hit.data[-1] ^ 1,)), "error", hit.after_s), *after)


class HalfFrame(Fault, frozen=True, tag="half-frame"):
    """The body ends cleanly in the middle of a frame."""

    needs: ClassVar[frozenset[Trait]] = FRAMED
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, (cut, *_) = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(cut, Send)
        return (*before, Send(cut.data[: len(cut.data) // 2], "error", cut.after_s), End())
