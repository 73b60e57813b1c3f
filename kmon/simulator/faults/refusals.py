"""Faults that answer with no stream at all: nothing, an HTTP error, or another document."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Annotated, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.faults.base import Fault, Setting
from kmon.simulator.http import Headers
from kmon.simulator.script import Close, KeepOpen, Raw, Reset, Script, Whole, duration_s
from kmon.simulator.wire import Carrier, Trait


class NoHeaders(Fault, frozen=True, tag="no-headers"):
    """The request is read and never answered."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (KeepOpen(),)


class CloseBeforeHeaders(Fault, frozen=True, tag="close-before-headers"):
    """The request is read and the connection closed without an answer."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (Close(0.1),)


class ResetBeforeHeaders(Fault, frozen=True, tag="reset-before-headers"):
    """The request is read and the connection reset."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (Reset(b"", 0.1),)


class NotHttp(Fault, frozen=True, tag="not-http"):
    """Another protocol answers: SSH."""

    carrier: ClassVar[Carrier | None] = "http"
    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 0.1), Close(0.1))


class RateLimited(Fault, frozen=True, tag="rate-limited"):
    """429 with a Retry-After in seconds, as an HTTP date, as ``retry-after-ms``, or without one."""

    streams_only: ClassVar[bool] = False
    retry_after_s: Annotated[int, Meta(ge=0, le=86_400)] = 3
    written: Literal["seconds", "date", "milliseconds", "absent"] = "seconds"

    def script(self, script: Script, setting: Setting) -> Script:
        refused = setting.frames.refusal(
            429, "Rate limit reached for requests", "rate_limit_error", "rate_limit_exceeded"
        )
        value = str(self.retry_after_s)
        if self.written == "date":
            value = formatdate(time.time() + self.retry_after_s, usegmt=True)
        headers = () if self.written == "absent" else (("retry-after", value),)
        if self.written == "milliseconds":
            headers = (("retry-after-ms", str(self.retry_after_s * 1000)),)
        return (replace(refused, headers=(*refused.headers, *headers), after_s=0.1),)


class Http500(Fault, frozen=True, tag="http-500"):
    """500 before any stream."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        message = "The server had an error while processing your request"
        return (replace(setting.frames.refusal(500, message, "server_error"), after_s=0.1),)


class Overloaded(Fault, frozen=True, tag="overloaded"):
    """529, the status of overloaded providers, before any stream."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        return (replace(setting.frames.refusal(529, "Overloaded", "overloaded_error"), after_s=0.1),)


class UnknownModel(Fault, frozen=True, tag="unknown-model"):
    """404 for the requested model."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        message = "The model does not exist or you do not have access to it"
        return (replace(setting.frames.refusal(404, message, "invalid_request_error", "model_not_found"), after_s=0.1),)


class CaptiveRedirect(Fault, frozen=True, tag="captive-redirect"):
    """302 to a sign-in page, as from a captive portal."""

    carrier: ClassVar[Carrier | None] = "http"
    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        headers: Headers = (("location", "http://portal.example/sign-in"), ("content-type", "text/html"))
        return (Whole(302, headers, b"<html><body>Sign in to use this network.</body></html>", 0.1),)


class Html200(Fault, frozen=True, tag="html-200"):
    """A web page with status 200, as from a captive portal."""

    carrier: ClassVar[Carrier | None] = "http"
    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        page = b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
        return (Whole(200, (("content-type", "text/html; charset=utf-8"),), page, 0.1),)


class Json200(Fault, frozen=True, tag="json-200"):
    """The whole answer as one JSON document, though the request wants a stream."""

    carrier: ClassVar[Carrier | None] = "http"
    needs: ClassVar[frozenset[Trait]] = frozenset({"stream-in-body"})

    def script(self, script: Script, setting: Setting) -> Script:
        return (replace(setting.whole, after_s=duration_s(script)),)
