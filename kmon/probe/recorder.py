"""What is known of one attempt while it goes on: clocks, transcript, stalls; and at its end, its name.

Whoever has the bytes feeds it: the probe with its own exchange, the proxy with one it only watches. It emits the
events of the attempt, so both speak the same language and are judged by the same rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kmon.blame.adaptive_threshold import Habits, Lessons
from kmon.blame.local_monitor import LocalMonitor
from kmon.blame.stall_monitor import StallMonitor
from kmon.blame.weigh import own_fault
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.http_answer import SERVER_LATENCY, kept
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.content import Asked
from kmon.findings.signature import Ended, Signature, decide, describe
from kmon.stream import events as ev
from kmon.stream.blame import Blame
from kmon.stream.sanitize import Sanitizer
from kmon.stream.timeline import Timeline
from kmon.stream.view import fold_chunk
from kmon.transport.connect import Phase


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, with all it said."""

    state: ev.Ending
    signature: Signature
    error: StreamError | None
    transcript: Transcript
    timeline: Timeline
    request_ids: dict[str, str]
    end_ns: int
    safe: Sanitizer
    """Takes out of what the attempt said the keys it was asked with."""
    blame: Blame | None = None
    unread: bool = False
    """A stream that kmon does not read."""


class AttemptId(NamedTuple):
    """Which attempt it is."""

    run: str
    number: int
    role: ev.AttemptRole
    turn: int = 1
    """Which request of the conversation."""
    aimed: str = ""
    """Its target, where that is not the run's own."""


class AttemptRecorder:
    """``timeline`` and ``transcript`` may be read at any time (a nudge does). ``secrets`` are never told.

    With ``habits`` what counts as a stall is learned from them and what happens here is added to them.
    """

    def __init__(
        self,
        id: AttemptId,
        *,
        asked: Asked,
        secrets: Sequence[str],
        stall_s: float,
        machine: LocalMonitor,
        emit: Callable[[ev.Event], None],
        habits: Habits | None = None,
    ) -> None:
        self.id = id
        run, attempt = self.run, self.attempt = id.run, id.number
        self.asked = asked
        self._emit = emit
        self.translate = Sanitizer(run, attempt, secrets=secrets)
        self.timeline = Timeline(time.monotonic_ns(), int(stall_s * 1e9))
        self.transcript = Transcript()
        self.stalls = StallMonitor(run, attempt, self.timeline, machine, emit)
        self._lessons = None if habits is None else Lessons(habits, run, attempt, self.timeline, emit)
        self._request_ids: dict[str, str] = {}
        self._seen = ChunkStats()
        self._unread = False

    @property
    def finished(self) -> bool:
        return self.timeline.t_finish is not None or self.timeline.t_done is not None

    def started(self, t_ns: int, url: str, proxy: str | None = None) -> None:
        self.timeline.t_start = t_ns
        if proxy is not None:
            self.stalls.between = "proxy"
        url = self.translate.redacted(url)
        run, attempt, role, turn, aimed = self.id
        self._emit(ev.AttemptStarted(t_ns, run, attempt, role, url, proxy, turn=turn, target=aimed))
        if self._lessons is not None:
            self._lessons.begin(t_ns)

    def phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self.timeline.on_phase(phase, t_ns)
        if phase != "headers":
            self._emit(ev.PhaseReached(t_ns, self.run, self.attempt, phase, detail))
        if phase == "request_sent":
            self.stalls.arm(t_ns)

    def headers(self, t_ns: int, status: int, headers: Mapping[str, str], content_type: str) -> None:
        self.identified(t_ns, status, kept(headers), content_type)

    def identified(self, t_ns: int, status: int, ids: Mapping[str, str], content_type: str = "") -> None:
        """The answer began, and has these ids at the other end."""
        self._request_ids = self.translate.headers(ids)
        content_type = self.translate.named("content-type", content_type)
        self._emit(ev.HeadersReceived(t_ns, self.run, self.attempt, status, self._request_ids, content_type))

    def unread(self, t_ns: int, *, stream: bool) -> None:
        """From now on nothing is read of what comes: its bytes are watched, and its transport is judged."""
        if self.timeline.watched == "byte" and stream == self._unread:
            return
        self._unread = stream
        stall = self.timeline.watch_bytes(t_ns)
        if stall is not None:
            self.stalls.closed(t_ns, stall)
        self._emit(ev.Unread(t_ns, self.run, self.attempt, stream))

    def start_over(self) -> None:
        """The other end began its answer anew: what was said, and the error it ended with, do not count."""
        chunks = self.transcript.chunks
        self.transcript = Transcript()
        self.transcript.chunks = chunks

    def bytes(self, t_ns: int, size: int) -> None:
        """A read that completed no chunk."""
        self.stalls.heard(t_ns)
        self.timeline.on_bytes(t_ns)
        self._emit(ev.BytesArrived(t_ns, self.run, self.attempt, size))

    def take(self, t_ns: int, delta: Delta) -> bool:
        """One chunk or keep-alive; returns whether it brought output."""
        self.transcript.add(delta)
        if delta.server_ms is not None:
            self._request_ids = self._request_ids | {SERVER_LATENCY: f"{delta.server_ms:g}"}
        event = self.translate(t_ns, delta)
        progress = any(event.output)
        self.stalls.heard(t_ns)
        self._seen.add(t_ns, delta, progress=progress)
        stall = fold_chunk(self.timeline, event)
        if stall is not None:
            self.stalls.closed(t_ns, stall)
        self._emit(event)
        if self._lessons is not None and progress:
            self._lessons.review(t_ns, self.timeline.stall_phase())
        self.stalls.arm(t_ns)
        return progress

    def judge(self, error: StreamError | None) -> ev.Ending:
        """How an attempt ended whose body came to its end."""
        if fatal(error):
            return "failed"
        return "done" if self.finished else "incomplete"

    def end(
        self,
        state: ev.Ending,
        error: StreamError | None,
        *,
        lingered: bool = False,
        note: str = "",
        whole: bool = True,
        named: Callable[[Signature], Signature] | None = None,
        end_ns: int | None = None,
    ) -> Outcome:
        """Close the clocks and name what happened. ``note`` stands before the evidence; an answer that is not known
        as a ``whole``, with what was asked for, is judged by its transport alone; ``named`` is asked where its carrier
        knows more than the stream tells; ``end_ns`` is when it ended where that is not now."""
        end_ns = time.monotonic_ns() if end_ns is None else end_ns
        self.stalls.stop()
        self.stalls.heard(end_ns)
        for late in self.translate.rest(end_ns):
            self._emit(late)
        left_open = self.timeline.on_closed(end_ns)
        if left_open is not None:
            self.stalls.closed(end_ns, left_open)
        error = None if error is None or state == "done" else self.translate.error(error)
        if state == "done" and (not whole or self.timeline.watched == "byte"):
            found = Signature(None, describe(self.timeline, end_ns))
        else:
            found = decide(
                Ended(state, self.timeline, self.asked, self.transcript, self._seen, error, end_ns, lingered)
            )
        found = found if named is None else named(found)
        evidence = "; ".join(
            part
            for part in (note, f"{ev.UNREAD}, judged by its transport alone" * self._unread, found.evidence)
            if part
        )
        blame = self.stalls.blame
        if blame is not None and found.name is not None:
            told = blame.evidence.removeprefix("socket open, ") if "socket open" in evidence else blame.evidence
            evidence += f"{', ' if left_open is not None else '; in its longest silence: '}{told}"
        blame = own_fault(error) or blame
        signature = Signature(found.name, self.translate.redacted(evidence))
        self._emit(
            ev.AttemptEnded(
                end_ns,
                self.run,
                self.attempt,
                self.id.role,
                state,
                signature.name,
                signature.evidence,
                error,
                blame,
                self.transcript.chunks,
            )
        )
        return Outcome(
            state,
            signature,
            error,
            self.transcript,
            self.timeline,
            self._request_ids,
            end_ns,
            self.translate,
            blame,
            self._unread,
        )


def coalesced(deltas: list[Delta]) -> list[Delta]:
    """The deltas of one read, with keep-alives that came in a row in it as one: they share their moment."""
    if len(deltas) < 2:
        return deltas
    following = [*deltas[1:], None]
    return [
        d for d, after in zip(deltas, following, strict=True) if not (_idle(d) and after is not None and _idle(after))
    ]


def _idle(delta: Delta) -> bool:
    return delta.keepalive and not delta.chunk and not delta.done


def fatal(error: StreamError | None) -> bool:
    """Whether an error ends an attempt. A frame that could not be read alone does not."""
    return error is not None and error.kind != "malformed-frame"
