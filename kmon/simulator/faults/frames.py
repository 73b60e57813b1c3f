"""Faults of one event or event-stream frame: broken JSON, a wrong checksum, an exception frame."""

from __future__ import annotations

from typing import ClassVar, Literal

from kmon.dialects.eventstream_writer import exception
from kmon.simulator.faults.base import EVENT_STREAM, TEXT_FRAMED, Fault, Setting, TokensSpan, tokens_in
from kmon.simulator.script import EndBody, Script, SendChunk, split
from kmon.simulator.sse import to_json
from kmon.simulator.wire import Trait

EXCEPTIONS = {
    "throttlingException": "Too many requests, please wait before trying again.",
    "modelStreamErrorException": "The model encountered an unexpected error during processing.",
    "internalServerException": "The system encountered an unexpected error during processing.",
    "serviceUnavailableException": "Bedrock is unable to process your request.",
    "validationException": "The model returned the following errors: invalid tool use.",
    "modelTimeoutException": "Model has timed out in processing the request.",
}
"""The message of each. The last is not in the stream's model, so botocore raises it without code and message."""


class MalformedFrame(Fault, frozen=True, tag="malformed-frame"):
    """One event is cut in the middle of its JSON; the stream goes on after it."""

    needs: ClassVar[frozenset[Trait]] = TEXT_FRAMED  # for frames, with lengths and checksums: crc-error, half-frame
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, (cut, *after) = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(cut, SendChunk)
        broken = cut.data[: len(cut.data) // 2] + b"\n\n"
        return (*before, SendChunk(broken, "error", cut.after_s), *after)


class ExceptionFrame(Fault, frozen=True, tag="exception-frame"):
    """An exception frame after some tokens, in a response of status 200 that then ends cleanly."""

    needs: ClassVar[frozenset[Trait]] = EVENT_STREAM
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
        assert isinstance(after, SendChunk)
        frame = exception(self.exception, to_json({"message": EXCEPTIONS[self.exception]}))
        return (*before, SendChunk(frame, "error", after.after_s), EndBody())


class CrcError(Fault, frozen=True, tag="crc-error"):
    """One wrong bit in one frame; the stream goes on after it."""

    needs: ClassVar[frozenset[Trait]] = EVENT_STREAM
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, (wrong, *after) = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(wrong, SendChunk)
        return (*before, SendChunk(wrong.data[:-1] + bytes((wrong.data[-1] ^ 1,)), "error", wrong.after_s), *after)


class HalfFrame(Fault, frozen=True, tag="half-frame"):
    """The body ends cleanly in the middle of a frame."""

    needs: ClassVar[frozenset[Trait]] = EVENT_STREAM
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, (cut, *_) = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(cut, SendChunk)
        return (*before, SendChunk(cut.data[: len(cut.data) // 2], "error", cut.after_s), EndBody())
