"""Ways for a connection or a body to end, or not to begin; and the healthy ones that look alike."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace

from kmon.simulator.faults.base import CHAT_CHUNKS, Fault, Setting, TokensSpan, tokens_in
from kmon.simulator.http import Headers, chunk, response_head
from kmon.simulator.script import Close, End, Head, Raw, Reset, Script, Send, split
from kmon.simulator.wire import Trait


class CloseBeforeHeaders(Fault, frozen=True, tag="close-before-headers"):
    """The request is taken and the connection closed without a word."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (Close(0.1),)


class ResetBeforeHeaders(Fault, frozen=True, tag="reset-before-headers"):
    """The request is taken and the connection reset."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (Reset(b"", 0.1),)


class NotHttp(Fault, frozen=True, tag="not-http"):
    """Another protocol answers."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 0.1), Close(0.1))


class Overloaded(Fault, frozen=True, tag="overloaded"):
    """529, as overloaded providers say it, before any stream."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (replace(setting.frames.refusal(529, "Overloaded", "overloaded_error"), after_s=0.1),)


class UnknownModel(Fault, frozen=True, tag="unknown-model"):
    """404 for the model that was asked for."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        message = "The model does not exist or you do not have access to it"
        return (replace(setting.frames.refusal(404, message, "invalid_request_error", "model_not_found"), after_s=0.1),)


class FinMidChunk(Fault, frozen=True, tag="fin-mid-chunk"):
    """The connection is closed in the middle of an HTTP chunk."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(after[0], Send)
        announced = chunk(after[0].data)
        return (*before, Raw(announced[: len(announced) // 2], after[0].after_s), Close(0.05))


class ContentLengthShort(Fault, frozen=True, tag="content-length-short"):
    """A body of known length, closed in its middle."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        sent, _ = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*_sized(script)[: sum(isinstance(step, Head | Send) for step in sent)], Close(0.05))


class SizedBody(Fault, frozen=True, tag="sized-body"):
    """Healthy: a stream whose length is known from the start."""

    def script(self, script: Script, setting: Setting) -> Script:
        return _sized(script)


def _sized(script: Script) -> Script:
    head, *rest = script
    assert isinstance(head, Head)
    sends = [step for step in rest if isinstance(step, Send)]
    headers: Headers = (*head.headers, ("content-length", str(sum(len(send.data) for send in sends))))
    began = Raw(response_head(head.status, headers), head.after_s)
    return (began, *(Raw(send.data, send.after_s) for send in sends))


class PlainTextType(Fault, frozen=True, tag="plain-text-type"):
    """Healthy: an event stream that calls itself plain text."""

    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS

    def script(self, script: Script, setting: Setting) -> Script:
        head, *rest = script
        assert isinstance(head, Head)
        others = tuple((name, value) for name, value in head.headers if name != "content-type")
        return (replace(head, headers=(*others, ("content-type", "text/plain; charset=utf-8"))), *rest)


class DoneWithoutFinish(Fault, frozen=True, tag="done-without-finish"):
    """The last event comes, but no finish reason before it."""

    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS

    def script(self, script: Script, setting: Setting) -> Script:
        return tuple(step for step in script if not (isinstance(step, Send) and step.kind == "finish"))


class UnframedError(Fault, frozen=True, tag="unframed-error"):
    """An error after some tokens as a bare line of JSON, in no frame of the stream's; then a clean end."""

    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(after[0], Send)
        error = setting.frames.error("engine is overloaded, please try again later", 503, "engine_overloaded_error")
        return (*before, Send(error.removeprefix(b"data: "), "error", after[0].after_s), End())
