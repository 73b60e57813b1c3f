"""What goes wrong, or only looks so, between the model and the client: peers that vanish, proxies, narrow links."""

from __future__ import annotations

import time
import zlib
from email.utils import formatdate
from typing import Annotated, ClassVar

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.faults.base import SSE, Fault, SecondsSpan, Setting, TokensSpan, seconds_in, tokens_in
from kmon.simulator.http import Headers
from kmon.simulator.request import ChatMessage, ChatRequest
from kmon.simulator.script import PROGRESS, Cut, Deaf, End, Head, Script, Send, Silence, Step, Whole, split
from kmon.simulator.wire import Trait

PadBytes = Annotated[int, Meta(ge=1, le=1_000_000)]
BufferBytes = Annotated[int, Meta(ge=1, le=10_000_000)]
GZIP_WINDOW_BITS = 31


class HalfOpen(Fault, frozen=True, tag="half-open"):
    """Some tokens, then the peer is gone without FIN or RST: it acknowledges nothing any more (Linux)."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], Deaf(), Silence())


class NoCloseNotify(Fault, frozen=True, tag="no-close-notify"):
    """The connection is closed in the middle, over TLS without the close_notify that tells an end from a cut."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], Cut())


class PaddedStream(Fault, frozen=True, tag="padded-stream"):
    """Healthy, but wide: after each token a long comment, which fills the window of a client that does not read."""

    needs: ClassVar[frozenset[Trait]] = SSE
    pad_bytes: PadBytes = 16_384

    def script(self, script: Script, setting: Setting) -> Script:
        pad = Send(b": %s\n\n" % (b"." * self.pad_bytes), "comment")
        steps: list[Step] = []
        for step in script:
            steps.append(step)
            if isinstance(step, Send) and step.kind in PROGRESS:
                steps.append(pad)
        return tuple(steps)


class GzipFlushed(Fault, frozen=True, tag="gzip-flushed"):
    """Healthy: packed although nobody asked for it, but every event is let through at once."""

    needs: ClassVar[frozenset[Trait]] = SSE

    def script(self, script: Script, setting: Setting) -> Script:
        return _packed(script, 1)


class GzipBuffered(GzipFlushed, frozen=True, tag="gzip-buffered"):
    """Healthy, behind a proxy that packs and passes on only so much at once: the answer comes in bursts."""

    buffer_bytes: BufferBytes = 4_096

    def script(self, script: Script, setting: Setting) -> Script:
        return _packed(script, self.buffer_bytes)


def _packed(script: Script, buffer_bytes: int) -> Script:
    """The body as one gzip stream, passed on whenever so much of it has come together unpacked."""
    head, *rest = script
    assert isinstance(head, Head)
    pack = zlib.compressobj(wbits=GZIP_WINDOW_BITS)
    steps: list[Step] = [replace(head, headers=(*head.headers, ("content-encoding", "gzip")))]
    packed, held_bytes, wait_s = b"", 0, 0.0
    for step in rest:
        if isinstance(step, Send):
            packed += pack.compress(step.data)
            held_bytes, wait_s = held_bytes + len(step.data), wait_s + step.after_s
            if held_bytes >= buffer_bytes:
                steps.append(Send(packed + pack.flush(zlib.Z_SYNC_FLUSH), "text", wait_s))
                packed, held_bytes, wait_s = b"", 0, 0.0
            continue
        if isinstance(step, End):
            steps.append(Send(packed + pack.flush(), "text", wait_s))
        steps.append(step)
    return tuple(steps)


class BandwidthCap(Fault, frozen=True, tag="bandwidth-cap"):
    """A link so narrow that the answer takes longer than anybody waits; every byte comes."""

    bytes_per_s: Annotated[float, Meta(gt=0, le=1e9)] = 400.0

    def script(self, script: Script, setting: Setting) -> Script:
        steps: list[Step] = []
        for step in script:
            if isinstance(step, Send):
                step = replace(step, after_s=max(step.after_s, len(step.data) / self.bytes_per_s))
            steps.append(step)
        return tuple(steps)


class NarrowLink(BandwidthCap, frozen=True, tag="narrow-link"):
    """Healthy: a link narrower than the model is fast, but wide enough."""

    bytes_per_s: Annotated[float, Meta(gt=0, le=1e9)] = 4_000.0


class Jitter(Fault, frozen=True, tag="jitter"):
    """Healthy: a link that delays each piece by another time and keeps their order."""

    duration_s: SecondsSpan = (0.0, 1.2)

    def script(self, script: Script, setting: Setting) -> Script:
        sent_s = arrived_s = 0.0
        steps: list[Step] = []
        for step in script:
            if isinstance(step, Send):
                sent_s += step.after_s
                due_s = max(arrived_s, sent_s + seconds_in(self.duration_s, setting.rng))
                step, arrived_s = replace(step, after_s=due_s - arrived_s), due_s
            steps.append(step)
        return tuple(steps)


class CaptiveRedirect(Fault, frozen=True, tag="captive-redirect"):
    """A redirect to a page where one has to sign in, as a captive portal answers."""

    streams_only: ClassVar[bool] = False

    def script(self, script: Script, setting: Setting) -> Script:
        headers: Headers = (("location", "http://portal.example/sign-in"), ("content-type", "text/html"))
        return (Whole(302, headers, b"<html><body>Sign in to use this network.</body></html>", 0.1),)


class ClockSkew(Fault, frozen=True, tag="clock-skew"):
    """Healthy to read: the server's clock is wrong, as the Date of its answers and of its list of models tells."""

    streams_only: ClassVar[bool] = False
    skew_s: Annotated[float, Meta(ge=-1e9, le=1e9)] = -3600.0

    def script(self, script: Script, setting: Setting) -> Script:
        first = script[0]
        assert isinstance(first, Head | Whole)
        return (replace(first, headers=(*first.headers, date_header(self.skew_s))), *script[1:])


def date_header(skew_s: float = 0.0) -> tuple[str, str]:
    """A ``Date`` that is wrong by so much."""
    return "date", formatdate(max(0.0, time.time() + skew_s), usegmt=True)


class ToolCallLoop(Fault, frozen=True, tag="tool-call-loop"):
    """The model never sees what its tools answered, and makes the same call again and again."""

    streams_only: ClassVar[bool] = False

    def heard(self, request: ChatRequest) -> ChatRequest:
        asked: list[ChatMessage] = []
        for message in request.messages:
            if message.role == "assistant" and message.tool_calls:
                break
            asked.append(message)
        return replace(request, messages=asked or request.messages)
