"""One attempt, from the first packet to its name: sends a request, stamps what comes, tells what happened.

The probe never decides what to do next; it emits events and returns an :class:`Outcome`. Cancelling its task closes
the socket and ends the attempt as ``cancelled``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpcore
import httpx

from kmon.catalog.credential import Credential
from kmon.catalog.model import Message, Scenario, Target
from kmon.dialects import dialect
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.wire import Decoder
from kmon.probe import events as ev
from kmon.probe.asking import ask, url_of
from kmon.probe.content import Asked
from kmon.probe.failure import answer_error, is_stream
from kmon.probe.habits import Habits, Lessons
from kmon.probe.sightings import Sightings
from kmon.probe.signature import Signature, decide
from kmon.probe.stall import StallWatch
from kmon.probe.timeline import Timeline
from kmon.probe.translate import Translator
from kmon.probe.view import fold_chunk
from kmon.transport.errors import NotSentError, stream_error
from kmon.transport.headers import SERVER_LATENCY, kept
from kmon.transport.http import ERROR_BODY_LIMIT_BYTES, ERROR_BODY_WAIT_S, Answer
from kmon.transport.network import Network
from kmon.transport.phase import Phase
from kmon.transport.proxy import proxy_for, shown

FINISH_GRACE_S = 2.0
"""How long to wait after a finish reason, or an error, for usage, late content and ``[DONE]``."""
DONE_GRACE_S = 0.5
"""How long to wait after the terminal event for the peer to close; servers linger."""


BREATH_DELTAS = 200
HEADER_LIMIT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds of one attempt, in seconds. ``timeout_s`` bounds it as a whole."""

    stall_s: float
    timeout_s: float
    connect_timeout_s: float


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


class Probe:
    """An attempt in progress. ``timeline`` and ``transcript`` may be read at any time (a nudge does)."""

    def __init__(
        self,
        *,
        run: str,
        attempt: int,
        role: ev.AttemptRole,
        target: Target,
        scenario: Scenario,
        messages: Sequence[Message],
        credential: Credential,
        limits: Limits,
        network: Network,
        emit: Callable[[ev.Event], None],
        habits: Habits | None = None,
    ) -> None:
        self.run, self.attempt, self.role = run, attempt, role
        self._target, self._credential, self._limits = target, credential, limits
        self._network, self._emit = network, emit
        self._wire = dialect(target.dialect)
        self._request = self._wire.request(target, scenario, messages)
        self._translate = Translator(run, attempt, secrets=credential.secrets)
        self.timeline = Timeline(time.monotonic_ns(), int(limits.stall_s * 1e9))
        self.transcript = Transcript()
        self._stalls = StallWatch(run, attempt, self.timeline, emit)
        self._lessons = None if habits is None else Lessons(habits, run, attempt, self.timeline, emit)
        self._request_ids: dict[str, str] = {}
        self._seen = Sightings()
        self._asked = Asked(
            target.model,
            scenario.tools,
            prompt="\n".join(message.content for message in messages),
            wants_usage=target.stream_options,
        )
        self._lingered = False
        self._graced = False
        self._total_deadline_s = 0.0

    async def go(self) -> Outcome:
        """Run the attempt to its end. Never raises for what the network or the provider does."""
        url = url_of(self._target, self._request, self._credential)
        self.timeline.t_start = time.monotonic_ns()
        self._emit(
            ev.AttemptStarted(self.timeline.t_start, self.run, self.attempt, self.role, url, shown(proxy_for(url)))
        )
        if self._lessons is not None:
            self._lessons.begin(self.timeline.t_start)
        self._total_deadline_s = asyncio.get_running_loop().time() + self._limits.timeout_s
        error: StreamError | None = None
        state: ev.Ending
        try:
            async with asyncio.timeout(self._limits.timeout_s) as deadline:
                error = await self._stream(deadline)
            state = self._judge(error)
        except TimeoutError:
            error = self.transcript.error
            state = self._judge(error) if self._settled else "timed-out"
            self._lingered = self.timeline.t_done is not None
            if state == "timed-out":
                error = StreamError("timeout", f"no end within {self._limits.timeout_s:g} s")
        except asyncio.CancelledError:
            state, error = "cancelled", StreamError("cancelled", "cancelled by the user")
        except NotSentError as exc:
            error, state = exc.error, "failed"
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpx.HTTPError) as exc:
            error = stream_error(exc)
            state = "done" if self.timeline.t_done is not None else "failed"
        except (OSError, httpcore.ProxyError, httpcore.UnsupportedProtocol, ValueError) as exc:
            error, state = stream_error(exc), "failed"
        except Exception as exc:  # whatever it was, an attempt that began must end, and say so
            error, state = (
                StreamError("internal", f"kmon itself failed in this attempt: {type(exc).__name__}"),
                "failed",
            )
        finally:
            self._stalls.stop()
        return self._end(state, error)

    def never_began(self) -> Outcome:
        """End an attempt that was cancelled before it could send anything."""
        self._emit(ev.AttemptStarted(self.timeline.t_start, self.run, self.attempt, self.role, self._target.base_url))
        return self._end("cancelled", StreamError("cancelled", "cancelled before it began"))

    # -- the exchange --------------------------------------------------------------------------------------------------

    async def _stream(self, deadline: asyncio.Timeout) -> StreamError | None:
        async with ask(
            self._target,
            self._request,
            credential=self._credential,
            network=self._network,
            on_phase=self._on_phase,
            on_socket=self._stalls.on_socket,
            connect_timeout_s=self._limits.connect_timeout_s,
        ) as answer:
            self._request_ids = {
                name: self._translate.redacted(value)[:HEADER_LIMIT_CHARS]
                for name, value in kept(answer.headers).items()
            }
            self._emit(
                ev.HeadersReceived(
                    answer.headers_ns, self.run, self.attempt, answer.status, self._request_ids, answer.content_type
                )
            )
            if not is_stream(answer.status, answer.content_type, self._wire.content_type):
                left_s = self._total_deadline_s - asyncio.get_running_loop().time()
                body = await answer.body(ERROR_BODY_LIMIT_BYTES, min(ERROR_BODY_WAIT_S, left_s * 0.9))
                return answer_error(answer.status, answer.content_type, answer.headers, body, code=answer.error_code)
            await self._read(answer, self._wire.decoder(), deadline)
        return self.transcript.error

    async def _read(self, answer: Answer, decoder: Decoder, deadline: asyncio.Timeout) -> None:
        async for t_ns, data in answer.reads():
            deltas = coalesced(decoder.feed(data))
            if not deltas:
                self.timeline.on_bytes(t_ns)
                self._emit(ev.BytesArrived(t_ns, self.run, self.attempt, len(data)))
            for i, delta in enumerate(deltas):
                if self.timeline.t_done is not None:
                    break  # what follows the end is no part of the answer
                self._take(t_ns, delta)
                self._shorten(deadline, delta)
                if i % BREATH_DELTAS == BREATH_DELTAS - 1:
                    await asyncio.sleep(0)  # one stream in a hurry must not keep the others waiting
            if self._wire.final and self.timeline.t_done is not None:
                return
        for delta in decoder.end():
            self._take(time.monotonic_ns(), delta)

    def _shorten(self, deadline: asyncio.Timeout, delta: Delta) -> None:
        """Once the outcome is known, wait for the rest no longer than a grace that only progress renews."""
        if self.timeline.t_done is not None:
            grace_s = DONE_GRACE_S
        elif self._settled and (delta.progress or not self._graced):
            grace_s, self._graced = FINISH_GRACE_S, True
        else:
            return
        deadline.reschedule(min(self._total_deadline_s, asyncio.get_running_loop().time() + grace_s))

    @property
    def _finished(self) -> bool:
        return self.timeline.t_finish is not None or self.timeline.t_done is not None

    @property
    def _settled(self) -> bool:
        """Whether the outcome is known and only the rest of the stream is still to come."""
        return self._finished or _fatal(self.transcript.error)

    def _take(self, t_ns: int, delta: Delta) -> None:
        self.transcript.add(delta)
        self._seen.add(t_ns, delta)
        if delta.server_ms is not None:
            self._request_ids = self._request_ids | {SERVER_LATENCY: f"{delta.server_ms:g}"}
        event = self._translate(t_ns, delta)
        stall = fold_chunk(self.timeline, event)
        if stall is not None:
            self._stalls.ended(t_ns, stall)
        self._emit(event)
        if self._lessons is not None and delta.progress:
            self._lessons.review(t_ns, self.timeline.stall_phase())
        self._stalls.arm(t_ns)

    def _on_phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self.timeline.on_phase(phase, t_ns)
        if phase != "headers":
            self._emit(ev.PhaseReached(t_ns, self.run, self.attempt, phase, detail))
        if phase == "request_sent":
            self._stalls.arm(t_ns)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _judge(self, error: StreamError | None) -> ev.Ending:
        if _fatal(error):
            return "failed"
        return "done" if self._finished else "incomplete"

    def _end(self, state: ev.Ending, error: StreamError | None) -> Outcome:
        end_ns = time.monotonic_ns()
        left_open = self.timeline.on_closed(end_ns)
        if left_open is not None:
            self._stalls.left_open(end_ns, left_open)
        error = None if error is None or state == "done" else self._translate.error(error)
        found = decide(
            state,
            self.timeline,
            asked=self._asked,
            said=self.transcript,
            seen=self._seen,
            error=error,
            lingered=self._lingered,
            end_ns=end_ns,
        )
        signature = Signature(found.name, self._translate.redacted(found.evidence))
        self._emit(
            ev.AttemptEnded(
                end_ns,
                self.run,
                self.attempt,
                self.role,
                state,
                signature.name,
                signature.evidence,
                error,
                chunks=self.transcript.chunks,
            )
        )
        return Outcome(state, signature, error, self.transcript, self.timeline, self._request_ids, end_ns)


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


def _fatal(error: StreamError | None) -> bool:
    """Whether an error ends an attempt. A frame that could not be read alone does not."""
    return error is not None and error.kind != "malformed-frame"
