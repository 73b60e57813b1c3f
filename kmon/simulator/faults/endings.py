"""Faults that end a stream in a wrong way, and healthy ones that look like them."""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from kmon.simulator.faults.base import CHAT_CHUNKS, Fault, Setting, TokensSpan, tokens_in
from kmon.simulator.http import Headers, chunk, response_head
from kmon.simulator.script import Close, EndBody, Raw, Reset, Script, SendChunk, SendHead, Step, split
from kmon.simulator.wire import Carrier, Trait

_REASON = re.compile(rb'"finish_reason":\s*"\w+"')


class TruncatedNoFinish(Fault, frozen=True, tag="truncated-no-finish"):
    """The body ends cleanly in the middle: no finish reason, no last event, no error."""

    carrier: ClassVar[Carrier | None] = "http"
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], EndBody())


class FinishWithoutDone(Fault, frozen=True, tag="finish-without-done"):
    """The whole answer without the last event; the body ends cleanly."""

    needs: ClassVar[frozenset[Trait]] = frozenset({"terminal-event"})

    def script(self, script: Script, setting: Setting) -> Script:
        return tuple(step for step in script if not (isinstance(step, SendChunk) and step.kind == "done"))


class DoneWithoutFinish(Fault, frozen=True, tag="done-without-finish"):
    """The last event without a finish reason before it."""

    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS

    def script(self, script: Script, setting: Setting) -> Script:
        return tuple(step for step in script if not (isinstance(step, SendChunk) and step.kind == "finish"))


class FinishWithFailure(Fault, frozen=True, tag="finish-with-failure"):
    """The answer ends after some words, cleanly, with a finish reason that reports a failure."""

    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS
    after_tokens: TokensSpan = 20
    reason: str = "network_error"

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        end = (step for step in after if isinstance(step, EndBody) or getattr(step, "kind", "") in ("finish", "done"))
        return (*before, *map(self._failed, end))

    def _failed(self, step: Step) -> Step:
        if not isinstance(step, SendChunk) or step.kind != "finish":
            return step
        reason = b'"finish_reason":' + msgspec.json.encode(self.reason)
        return replace(step, data=_REASON.sub(lambda _: reason, step.data))


class ResetMidChunk(Fault, frozen=True, tag="reset-mid-chunk"):
    """The connection is reset in the middle of an HTTP chunk."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(after[0], SendChunk)
        return (*before, Reset(after[0].data))


class FinMidChunk(Fault, frozen=True, tag="fin-mid-chunk"):
    """The connection is closed in the middle of an HTTP chunk."""

    carrier: ClassVar[Carrier | None] = "http"
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(after[0], SendChunk)
        announced = chunk(after[0].data)
        return (*before, Raw(announced[: len(announced) // 2], after[0].after_s), Close(0.05))


class ContentLengthShort(Fault, frozen=True, tag="content-length-short"):
    """A body with a Content-Length, closed in its middle."""

    carrier: ClassVar[Carrier | None] = "http"
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        sent, _ = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*_sized(script)[: sum(isinstance(step, SendHead | SendChunk) for step in sent)], Close(0.05))


class SizedBody(Fault, frozen=True, tag="sized-body"):
    """Healthy: a stream with a Content-Length."""

    carrier: ClassVar[Carrier | None] = "http"
    healthy: ClassVar[bool] = True

    def script(self, script: Script, setting: Setting) -> Script:
        return _sized(script)


def _sized(script: Script) -> Script:
    head, *rest = script
    assert isinstance(head, SendHead)
    sends = [step for step in rest if isinstance(step, SendChunk)]
    headers: Headers = (*head.headers, ("content-length", str(sum(len(send.data) for send in sends))))
    first = Raw(response_head(head.status, headers), head.after_s)
    return (first, *(Raw(send.data, send.after_s) for send in sends))


class PlainTextType(Fault, frozen=True, tag="plain-text-type"):
    """Healthy: an event stream with the content type of plain text."""

    healthy: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS

    def script(self, script: Script, setting: Setting) -> Script:
        head, *rest = script
        assert isinstance(head, SendHead)
        others = tuple((name, value) for name, value in head.headers if name != "content-type")
        return (replace(head, headers=(*others, ("content-type", "text/plain; charset=utf-8"))), *rest)


class ErrorIn200(Fault, frozen=True, tag="error-in-200"):
    """An error event after some tokens, in a response of status 200 that then ends cleanly."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        error = setting.frames.error("Provider returned error: upstream overloaded", 502, "server_error")
        assert isinstance(after[0], SendChunk)
        return (*before, SendChunk(error, "error", after[0].after_s), EndBody())


class ErrorFirst(Fault, frozen=True, tag="error-first"):
    """A response of status 200 whose only event is an error."""

    def script(self, script: Script, setting: Setting) -> Script:
        message = "Failed to call a function. Please adjust your prompt."
        error = setting.frames.error(message, 400, "invalid_request_error", named=True)
        return (script[0], SendChunk(error, "error", 0.1), EndBody())


class UnframedError(Fault, frozen=True, tag="unframed-error"):
    """An error after some tokens as a bare line of JSON, not as an event; then a clean end."""

    needs: ClassVar[frozenset[Trait]] = CHAT_CHUNKS
    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        before, after = split(script, tokens_in(self.after_tokens, setting.rng))
        assert isinstance(after[0], SendChunk)
        error = setting.frames.error("engine is overloaded, please try again later", 503, "engine_overloaded_error")
        return (*before, SendChunk(error.removeprefix(b"data: "), "error", after[0].after_s), EndBody())
