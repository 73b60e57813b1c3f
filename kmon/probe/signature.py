"""The name of what broke in one attempt, with the evidence line a support engineer would accept."""

from __future__ import annotations

from typing import NamedTuple

from kmon.dialects.delta import StreamError
from kmon.probe.events import Ending
from kmon.probe.timeline import S, Timeline


class Signature(NamedTuple):
    """``name`` is kebab-case, or None for an attempt with nothing to report."""

    name: str | None
    evidence: str


ERROR_NAMES = {
    "dns": "dns-failure",
    "connect": "connect-failure",
    "tls": "tls-failure",
    "reset": "reset-mid-stream",
    "cut": "cut-mid-body",
    "protocol": "protocol-error",
    "not-a-stream": "not-a-stream",
    "in-stream": "error-in-stream",
    "corrupt-frame": "corrupt-frame",
    "credentials": "no-credentials",
    "not-sent": "not-sent",
}
"""Signature by the kind of the error that ended an attempt."""


def decide(
    ending: Ending,
    timeline: Timeline,
    *,
    error: StreamError | None,
    malformed_frames: int,
    end_ns: int,
) -> Signature:
    """Name an ended attempt from its clocks and its error."""
    evidence = describe(timeline, end_ns)
    if error is not None and ending == "failed":
        if error.kind == "http":
            return Signature(_http_name(error.status), f"HTTP {error.status}; {evidence}")
        name = ERROR_NAMES.get(error.kind, "network-error")
        if error.kind == "reset" and timeline.t_headers is None:
            name = "reset-before-headers"
        return Signature(name, evidence)
    if ending == "timed-out":
        return Signature(_silence_name(timeline), evidence)
    if ending == "incomplete":
        cut = "inside a frame" if malformed_frames else "cleanly"
        return Signature("truncated-no-finish", f"the body ended {cut}, without finish reason or end event; {evidence}")
    if ending == "done" and malformed_frames:
        return Signature("malformed-frame", f"{malformed_frames} frame(s) could not be read; {evidence}")
    if ending == "done" and timeline.t_done is None:
        return Signature("finish-without-done", f"a finish reason but no end event; {evidence}")
    resumed_ms = [s.duration_ms for s in timeline.stalls if s.ended and s.phase != "before-first-token"]
    if ending == "done" and resumed_ms:  # a slow first token that came is slow, not broken
        longest_ms = max(resumed_ms)
        return Signature("stall-resumed", f"longest silence {longest_ms / 1000:.1f} s, then it went on; {evidence}")
    return Signature(None, evidence)


def _http_name(status: int | None) -> str:
    if status == 429:
        return "rate-limited"
    return "http-server-error" if status is not None and status >= 500 else "http-error"


def _silence_name(timeline: Timeline) -> str:
    if timeline.t_request_sent is None:
        return "connect-timeout"
    if timeline.t_headers is None:
        return "no-headers"
    last_progress_ns = timeline.progress.last_ns
    if timeline.life.last_ns is not None and timeline.life.last_ns > (last_progress_ns or 0):
        return "keep-alives-only"
    if last_progress_ns is None:
        return "no-first-token"
    if timeline.open_gap_ns(timeline.byte.last_ns or 0) == 0 and not timeline.stalls:
        return "total-timeout"
    return "hang-mid-stream" if timeline.stalls and not timeline.stalls[-1].ended else "total-timeout"


def describe(timeline: Timeline, now_ns: int) -> str:
    """The facts in one line: headers, chunks, last progress, keep-alives."""
    parts = []
    if timeline.t_request_sent is not None and timeline.t_headers is not None:
        parts.append(f"headers after {(timeline.t_headers - timeline.t_request_sent) / S:.2f} s")
    elif timeline.t_request_sent is not None:
        parts.append(f"request sent {(now_ns - timeline.t_request_sent) / S:.1f} s ago, no headers")
    else:
        parts.append("no request was sent")
    if timeline.t_headers is not None:
        parts.append(_counted(timeline.chunk.ticks, "chunk"))
    if timeline.progress.last_ns is not None:
        parts.append(f"last progress {(now_ns - timeline.progress.last_ns) / S:.1f} s before the end")
    if timeline.life.ticks:
        parts.append(_counted(timeline.life.ticks, "keep-alive"))
    return ", ".join(parts)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
