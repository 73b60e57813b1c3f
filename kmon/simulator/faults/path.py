"""Faults between the model and the client: a peer that vanishes, buffering proxies, slow links, a wrong clock."""

from __future__ import annotations

import time
import zlib
from email.utils import formatdate
from typing import Annotated, ClassVar

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.faults.base import TEXT_FRAMED, Fault, SecondsSpan, Setting, TokensSpan, seconds_in, tokens_in
from kmon.simulator.script import (
    Cut,
    DropInput,
    EndBody,
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

PadBytes = Annotated[int, Meta(ge=1, le=1_000_000)]
BufferBytes = Annotated[int, Meta(ge=1, le=10_000_000)]
GZIP_WINDOW_BITS = 31


class HalfOpen(Fault, frozen=True, tag="half-open"):
    """Some tokens, then a peer that acknowledges nothing more and sends no FIN or RST (Linux)."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], DropInput(), KeepOpen())


class NoCloseNotify(Fault, frozen=True, tag="no-close-notify"):
    """The connection is closed in the middle, over TLS without close_notify."""

    after_tokens: TokensSpan = 60

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], Cut())


class PaddedStream(Fault, frozen=True, tag="padded-stream"):
    """Healthy: a long comment after each token, which fills the receive window of a client that does not read."""

    healthy: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = frozenset({"comments"})
    pad_bytes: PadBytes = 16_384

    def script(self, script: Script, setting: Setting) -> Script:
        pad = SendChunk(b": %s\n\n" % (b"." * self.pad_bytes), "comment")
        steps: list[Step] = []
        for step in script:
            steps.append(step)
            if is_progress(step):
                steps.append(pad)
        return tuple(steps)


class GzipFlushed(Fault, frozen=True, tag="gzip-flushed"):
    """Healthy: gzip that the client did not accept, flushed after each event."""

    carrier: ClassVar[Carrier | None] = "http"
    healthy: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = TEXT_FRAMED  # botocore does not decompress an event stream

    def script(self, script: Script, setting: Setting) -> Script:
        return _gzipped(script, 1)


class GzipBuffered(GzipFlushed, frozen=True, tag="gzip-buffered"):
    """Healthy: bursts, as behind a proxy that compresses and flushes after ``buffer_bytes``."""

    healthy: ClassVar[bool] = True
    buffer_bytes: BufferBytes = 4_096

    def script(self, script: Script, setting: Setting) -> Script:
        return _gzipped(script, self.buffer_bytes)


def _gzipped(script: Script, buffer_bytes: int) -> Script:
    """The body as one gzip stream, flushed after each ``buffer_bytes`` of uncompressed data."""
    head, *rest = script
    assert isinstance(head, SendHead)
    gzip = zlib.compressobj(wbits=GZIP_WINDOW_BITS)
    steps: list[Step] = [replace(head, headers=(*head.headers, ("content-encoding", "gzip")))]
    compressed, held_bytes, wait_s = b"", 0, 0.0
    for step in rest:
        if isinstance(step, SendChunk):
            compressed += gzip.compress(step.data)
            held_bytes, wait_s = held_bytes + len(step.data), wait_s + step.after_s
            if held_bytes >= buffer_bytes:
                steps.append(SendChunk(compressed + gzip.flush(zlib.Z_SYNC_FLUSH), "text", wait_s))
                compressed, held_bytes, wait_s = b"", 0, 0.0
            continue
        if isinstance(step, EndBody):
            steps.append(SendChunk(compressed + gzip.flush(), "text", wait_s))
        steps.append(step)
    return tuple(steps)


class BandwidthCap(Fault, frozen=True, tag="bandwidth-cap"):
    """A link so slow that the answer takes longer than usual timeouts; each byte arrives."""

    bytes_per_s: Annotated[float, Meta(gt=0, le=1e9)] = 400.0

    def script(self, script: Script, setting: Setting) -> Script:
        steps: list[Step] = []
        for step in script:
            if isinstance(step, SendChunk):
                step = replace(step, after_s=max(step.after_s, len(step.data) / self.bytes_per_s))
            steps.append(step)
        return tuple(steps)


class NarrowLink(BandwidthCap, frozen=True, tag="narrow-link"):
    """Healthy: a link slower than the model, but fast enough."""

    healthy: ClassVar[bool] = True
    bytes_per_s: Annotated[float, Meta(gt=0, le=1e9)] = 4_000.0


class Jitter(Fault, frozen=True, tag="jitter"):
    """Healthy: a link that delays each piece by a random time and keeps their order."""

    healthy: ClassVar[bool] = True
    duration_s: SecondsSpan = (0.0, 1.2)

    def script(self, script: Script, setting: Setting) -> Script:
        sent_s = arrived_s = 0.0
        steps: list[Step] = []
        for step in script:
            if isinstance(step, SendChunk):
                sent_s += step.after_s
                due_s = max(arrived_s, sent_s + seconds_in(self.duration_s, setting.rng))
                step, arrived_s = replace(step, after_s=due_s - arrived_s), due_s
            steps.append(step)
        return tuple(steps)


class ClockSkew(Fault, frozen=True, tag="clock-skew"):
    """Healthy: a good answer with a wrong server clock in its Date, as in that of the list of models."""

    carrier: ClassVar[Carrier | None] = "http"
    healthy: ClassVar[bool] = True
    streams_only: ClassVar[bool] = False
    skew_s: Annotated[float, Meta(ge=-1e9, le=1e9)] = -3600.0

    def script(self, script: Script, setting: Setting) -> Script:
        first = script[0]
        assert isinstance(first, SendHead | Whole)
        return (replace(first, headers=(*first.headers, date_header(self.skew_s))), *script[1:])


def date_header(skew_s: float = 0.0) -> tuple[str, str]:
    """The header ``Date``, wrong by ``skew_s`` seconds."""
    return "date", formatdate(max(0.0, time.time() + skew_s), usegmt=True)
