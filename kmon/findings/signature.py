"""Decides the signature of one ended attempt, with its evidence line.

``kmon/catalog/signatures.toml`` defines the names and what they are easily confused with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kmon.catalog.signatures import KMON_LATE, OF_THIS_MACHINE, failure_name
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import CONNECT_TIMEOUT, StreamError
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.content import RequestFacts, content_finding, cut_short
from kmon.findings.endings import FINISH_FAILED, MALFORMED, TRUNCATED, UNSTREAMED, broken, unclosed
from kmon.findings.silence import SOCKET_OPEN, disturbed, out_of_time, resumed, unended
from kmon.findings.tool_call import shown
from kmon.stream.events import Ending
from kmon.stream.timeline import S, Timeline


class Signature(NamedTuple):
    """``name`` is kebab-case, or None for an attempt with nothing to report."""

    name: str | None
    evidence: str
    socket_open: bool = False
    """Whether the evidence says that the socket is open."""

    def refined(self, name: str | None, sentence: str) -> Signature:
        """Another name, with the sentence that decided it before the evidence."""
        return self._replace(name=name, evidence=f"{sentence}; {self.evidence}")


UNCLOSED = {
    "finish-without-done": "a finish reason but no end event",
    "done-without-finish": "an end event but no finish reason: complete or cut, nobody says",
}
"""The sentence by signature."""
BEFORE_HEADERS = {"reset": "reset-before-headers", "cut": "closed-before-headers"}
"""Signature by error kind, before the response headers."""


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """An ended attempt, with all facts that decide its signature."""

    ending: Ending
    timeline: Timeline
    request: RequestFacts
    transcript: Transcript
    stats: ChunkStats
    error: StreamError | None
    end_ns: int
    lingered: bool = False
    """Whether the body was still open some time after its terminal event."""
    late_ns: int = 0
    """For how long kmon itself stood still meanwhile."""


def decide(ended: EndedAttempt) -> Signature:
    """The signature of an ended attempt. The evidence may quote foreign text, which is raw. Never raises."""
    evidence = describe(ended.timeline, ended.end_ns)
    name, sentence = named(ended)
    socket_open = ended.ending == "timed-out" and name in SOCKET_OPEN
    said = ", ".join(part for part in (sentence, "socket open" * socket_open) if part)
    return Signature(name, f"{said}; {evidence}" if said else evidence, socket_open)


def ending(timeline: Timeline, error: StreamError | None) -> Ending:
    """How an attempt ended whose body has ended."""
    if fatal(error):
        return "failed"
    return "incomplete" if timeline.t_finish is None and timeline.t_done is None else "done"


def fatal(error: StreamError | None) -> bool:
    """Whether an error ends an attempt. A single malformed frame does not."""
    return error is not None and error.kind != MALFORMED


def named(ended: EndedAttempt) -> tuple[str | None, str]:
    """The name of what was wrong, and the sentence that decided it, which may be empty."""
    match ended.ending:
        case "failed" if ended.error is not None:
            return _failed(ended.error, ended.timeline, ended.stats)
        case "timed-out":
            if sentence := out_of_time(ended.timeline, ended.late_ns, ended.end_ns):
                return KMON_LATE, sentence
            return unended(ended.timeline, ended.request, ended.transcript, ended.stats, ended.end_ns)
        case "incomplete":
            return _broken(ended) or (None, "")
        case "done":
            return _done(ended)
    return None, ""


def _failed(error: StreamError, timeline: Timeline, stats: ChunkStats) -> tuple[str, str]:
    if error.kind == "http":
        return failure_name(error.kind, error.status), "" if error.status is None else f"HTTP {error.status}"
    if error.kind == "connect" and error.code == CONNECT_TIMEOUT:
        missing = "no TCP connection" if timeline.t_connect is None else "TCP is connected, no TLS"
        return "connect-timeout", f"nobody refused: {missing}"
    if error.kind == "in-stream":
        return "error-in-stream", "the first event" if stats.error_first else "after the stream had begun"
    if error.kind in OF_THIS_MACHINE:
        return failure_name(error.kind), error.message
    if timeline.t_headers is None and error.kind in BEFORE_HEADERS:
        return BEFORE_HEADERS[error.kind], ""
    return failure_name(error.kind, error.status), ""


def _done(ended: EndedAttempt) -> tuple[str | None, str]:
    broken_end = _broken(ended)
    if broken_end is not None and broken_end[0] != TRUNCATED:  # a WebSocket that closed cleanly has neither end
        return broken_end
    transcript = ended.transcript
    if found := content_finding(ended.request, transcript, ended.stats):
        return found.name, found.sentence
    asked = ended.request
    usual = asked.finish_reason and asked.finish_words.required
    if name := unclosed(transcript, end_event=asked.end_event, finish_reason=usual):
        return name, UNCLOSED[name]
    if silence := resumed(ended.timeline, ended.stats):
        return silence
    if ended.lingered:
        return "linger-after-done", "the end event came, the body did not end"
    if any(stall.own for stall in ended.timeline.stalls):
        return disturbed(ended.timeline)
    cut = cut_short(asked, transcript)
    return (None, "") if cut is None else (cut.name, cut.sentence)


def _broken(ended: EndedAttempt) -> tuple[str, str] | None:
    transcript = ended.transcript
    name = broken(transcript, ended.request.finish_words)
    if name == TRUNCATED:
        cut = "inside a frame" if transcript.cut_frames else "cleanly"
        return name, f"the body ended {cut}, without finish reason or end event"
    if name == MALFORMED:
        return name, f"{transcript.malformed_frames} frame(s) could not be read"
    if name == FINISH_FAILED:
        return name, f"finish reason {shown(transcript.finish_reason or '')}, which reports a failure"
    if name == UNSTREAMED:
        return name, "the answer came under message, not in deltas, and a client that reads deltas does not see it"
    return None


def describe(timeline: Timeline, now_ns: int) -> str:
    """The facts in one line: headers, chunks, last progress, keep-alives."""
    parts = []
    if timeline.t_request_sent is not None and timeline.t_headers is not None:
        parts.append(f"headers after {max(0, timeline.t_headers - timeline.t_request_sent) / S:.2f} s")
    elif timeline.t_request_sent is not None:
        parts.append(f"request sent {(now_ns - timeline.t_request_sent) / S:.1f} s ago, no headers")
    else:
        parts.append("no request was sent")
    if timeline.t_headers is not None:
        parts.append(f"{timeline.chunk.ticks} chunk{_s(timeline.chunk.ticks)}")
    last_ns, what = timeline.watched_clock.last_ns, "progress" if timeline.watched == "progress" else "byte"
    if last_ns is not None:
        parts.append(f"last {what} {(now_ns - last_ns) / S:.1f} s before the end")
    if timeline.life.ticks:
        parts.append(f"{timeline.life.ticks} keep-alive{_s(timeline.life.ticks)}")
    return ", ".join(parts)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
