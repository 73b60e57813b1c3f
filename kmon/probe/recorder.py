"""Records one attempt: clocks, transcript and stalls while it runs, its signature at the end; emits its events.

A probe feeds it with its own exchange, the proxy with one that it only watches, so the same rules judge both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kmon.blame.adaptive_threshold import TargetGaps, ThresholdLearner
from kmon.blame.local_monitor import LocalMonitor
from kmon.blame.stall_monitor import StallMonitor
from kmon.blame.weigh import local_failure
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.http_answer import kept, server_times, server_wait
from kmon.dialects.unread_dialects import unread_words
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.content import RequestFacts
from kmon.findings.signature import EndedAttempt, Signature, decide, describe, ending
from kmon.stream import events as ev
from kmon.stream.blame import Blame
from kmon.stream.sanitize import Sanitizer
from kmon.stream.timeline import Timeline
from kmon.stream.view import fold_chunk
from kmon.transport.phase import Phase


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """How an attempt ended, with its output."""

    state: ev.Ending
    signature: Signature
    error: StreamError | None
    transcript: Transcript
    timeline: Timeline
    request_ids: dict[str, str]
    end_ns: int
    sanitizer: Sanitizer
    """Removes the request's keys from text of the response."""
    blame: Blame | None = None
    unread: bool = False
    """Whether it is a stream that kmon does not read."""
    unread_dialect: str = ""
    """The name of its dialect, where kmon recognises it."""
    late_ns: int = 0
    """For how long kmon itself stood still meanwhile."""


class AttemptId(NamedTuple):
    """Identifies an attempt."""

    run: str
    number: int
    role: ev.AttemptRole
    turn: int = 1
    """The number of its request in the conversation, from 1."""
    aimed: str = ""
    """Its target, if that differs from the run's own."""


class AttemptRecorder:
    """``timeline`` and ``transcript`` may be read at any time (a nudge does). ``secrets`` never appear in an event.

    With ``target_gaps`` the stall thresholds are learned from them, and the gaps of this attempt are added to them.
    """

    def __init__(
        self,
        id: AttemptId,
        *,
        request: RequestFacts,
        secrets: Sequence[str],
        stall_s: float,
        monitor: LocalMonitor,
        emit: Callable[[ev.Event], None],
        target_gaps: TargetGaps | None = None,
    ) -> None:
        self.id = id
        run, attempt = self.run, self.attempt = id.run, id.number
        self.request = request
        self._emit, self._monitor = emit, monitor
        self.sanitizer = Sanitizer(run, attempt, secrets=secrets)
        self.timeline = Timeline(time.monotonic_ns(), int(stall_s * 1e9))
        self.transcript = Transcript()
        self.stalls = StallMonitor(run, attempt, self.timeline, monitor, emit)
        self._learner = (
            None if target_gaps is None else ThresholdLearner(target_gaps, run, attempt, self.timeline, emit)
        )
        self._request_ids: dict[str, str] = {}
        self._stats = ChunkStats()
        self._unread = False
        self._unread_dialect = ""

    @property
    def finished(self) -> bool:
        return self.timeline.t_finish is not None or self.timeline.t_done is not None

    def started(self, t_ns: int, url: str, proxy: str | None = None) -> None:
        self.timeline.t_start = t_ns
        if proxy is not None:
            self.stalls.intermediary = "proxy"
        url = self.sanitizer.redacted(url)
        run, attempt, role, turn, aimed = self.id
        self._emit(ev.AttemptStarted(t_ns, run, attempt, role, url, proxy, turn=turn, target=aimed))
        if self._learner is not None:
            self._learner.begin(t_ns)

    def phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self.timeline.on_phase(phase, t_ns)
        if phase != "headers":
            self._emit(ev.PhaseReached(t_ns, self.run, self.attempt, phase, detail))
        if phase == "request_sent":
            self.stalls.arm(t_ns)

    def headers(self, t_ns: int, status: int, headers: Mapping[str, str], content_type: str) -> None:
        self.identified(t_ns, status, kept(headers), content_type)

    def identified(self, t_ns: int, status: int, ids: Mapping[str, str], content_type: str = "") -> None:
        """The response began, with these request ids."""
        self._request_ids = self.sanitizer.headers(ids)
        content_type = self.sanitizer.named("content-type", content_type)
        self._emit(ev.HeadersReceived(t_ns, self.run, self.attempt, status, self._request_ids, content_type))

    def unread(self, t_ns: int, *, stream: bool, dialect: str = "") -> None:
        """From now on the response is not read: its bytes are watched, and only its transport is judged.

        ``dialect`` is the name of one that kmon recognises and does not read.
        """
        dialect = dialect or self._unread_dialect
        if self.timeline.watched == "byte" and (stream, dialect) == (self._unread, self._unread_dialect):
            return
        self._unread, self._unread_dialect = stream, dialect
        stall = self.timeline.watch_bytes(t_ns)
        if stall is not None:
            self.stalls.closed(t_ns, stall)
        self._emit(ev.Unread(t_ns, self.run, self.attempt, stream, dialect))

    def start_over(self) -> None:
        """The server started its answer again: discard the output so far and its error."""
        chunks = self.transcript.chunks
        self.transcript = Transcript()
        self.transcript.chunks = chunks

    def bytes(self, t_ns: int, size: int) -> None:
        """Record a read of ``size`` bytes that completed no chunk."""
        self.stalls.on_bytes(t_ns)
        self.timeline.on_bytes(t_ns)
        self._emit(ev.BytesArrived(t_ns, self.run, self.attempt, size))

    def record(self, t_ns: int, delta: Delta) -> bool:
        """Record one chunk or keep-alive; returns whether it brought output."""
        self.transcript.add(delta)
        if told := server_times(delta):
            self._request_ids = self._request_ids | told
        event = self.sanitizer(t_ns, delta)
        progress = any(event.output)
        self.stalls.on_bytes(t_ns)
        self._stats.add(t_ns, delta, progress=progress)
        stall = fold_chunk(self.timeline, event)
        if stall is not None:
            self.stalls.closed(t_ns, stall)
        self._emit(event)
        if self._learner is not None and progress:
            self._learner.review(t_ns, self.timeline.stall_phase())
        self.stalls.arm(t_ns)
        return progress

    def judge(self, error: StreamError | None) -> ev.Ending:
        """The ending of an attempt whose body has ended."""
        return ending(self.timeline, error)

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
    ) -> AttemptOutcome:
        """Close the clocks, decide the signature and emit the end.

        ``note`` is put before the evidence. Without ``whole`` (request or answer are not known completely) a finished
        answer is judged by its transport alone. ``named`` refines the signature. ``end_ns`` defaults to now.
        """
        end_ns = time.monotonic_ns() if end_ns is None else end_ns
        self.stalls.stop()
        self.stalls.on_bytes(end_ns)
        for late in self.sanitizer.rest(end_ns):
            self._emit(late)
        late_ns = self._monitor.late_ns(self.timeline.t_start, end_ns) or 0
        left_open = self.timeline.on_closed(end_ns)
        if left_open is not None:
            self.stalls.closed(end_ns, left_open)
        error = None if error is None or state == "done" else self.sanitizer.error(error)
        if state == "done" and (not whole or self.timeline.watched == "byte"):
            found = Signature(None, describe(self.timeline, end_ns))
        else:
            found = decide(
                EndedAttempt(
                    state,
                    self.timeline,
                    self.request,
                    self.transcript,
                    self._stats,
                    error,
                    end_ns,
                    lingered,
                    late_ns,
                )
            )
        found = found if named is None else named(found)
        evidence = "; ".join(
            part
            for part in (
                note,
                f"{unread_words(self._unread_dialect)}, judged by its transport alone" * self._unread,
                found.evidence,
                server_wait(self._request_ids),
            )
            if part
        )
        longest = self.stalls.longest
        if longest is not None and found.name is not None:
            facts = longest.beside_open if found.socket_open else longest.blame.evidence
            evidence += f"{', ' if left_open is not None else '; in its longest silence: '}{facts}"
        blame = local_failure(error) or (None if longest is None else longest.blame)
        signature = Signature(found.name, self.sanitizer.redacted(evidence))
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
        return AttemptOutcome(
            state,
            signature,
            error,
            self.transcript,
            self.timeline,
            self._request_ids,
            end_ns,
            self.sanitizer,
            blame,
            self._unread,
            self._unread_dialect,
            late_ns,
        )


def coalesced(deltas: list[Delta]) -> list[Delta]:
    """The deltas of one read, with consecutive keep-alives merged into one, since they have the same stamp."""
    if len(deltas) < 2:
        return deltas
    following = [*deltas[1:], None]
    return [
        d for d, after in zip(deltas, following, strict=True) if not (_idle(d) and after is not None and _idle(after))
    ]


def _idle(delta: Delta) -> bool:
    return delta.keepalive and not delta.chunk and not delta.done
