"""One exchange that passes through the proxy, reported as a run. It is decoded beside the passing, never before."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from kmon.blame.local_monitor import LocalMonitor
from kmon.dialects.bounds import MESSAGE_LIMIT_CHARS, NAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import Decoder, FinishWords
from kmon.dialects.framing import SSE_TYPE
from kmon.dialects.http_answer import answer_error
from kmon.dialects.sse_deltas import STREAMED, PlainDecoder
from kmon.dialects.text import clean
from kmon.engine.ended import RunFacts, run_ended
from kmon.findings.content import RequestFacts
from kmon.logs import log
from kmon.probe.recorder import AttemptId, AttemptOutcome, AttemptRecorder, coalesced, fatal
from kmon.probe.request_secrets import keys_in
from kmon.proxy.provider_call import OnCall, ProviderCall
from kmon.proxy.relay.head import RequestHead, ResponseHead
from kmon.proxy.relay.observer import Abort, Delivery, End, Side
from kmon.proxy.request import overheard
from kmon.proxy.tunnel import Tunnel
from kmon.stream import events as ev
from kmon.transport.http import Unpacker
from kmon.transport.phase import Phase
from kmon.transport.tcp_info import TcpSampler

PEEK_LIMIT_BYTES = 4 * 1024 * 1024
"""How much of a request is parsed; a conversation with pictures is longer, and has its model early."""
WHOLE_LIMIT_BYTES = 1024 * 1024
"""How much of an answer that is no stream is parsed."""
WAITING_LIMIT_BYTES = 8 * 1024 * 1024
"""How much may wait for the decoder. Above it the rest of the exchange is passed on unread, with a notice."""
STEP_BYTES = 4_096
"""Decoded in one step, well under a millisecond, between two chances to pass bytes on."""
ANNOUNCE_S = 0.5
"""A request whose body takes longer than this is shown before its model is known."""


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """What all exchanges of one proxy share."""

    upstream: str
    """Its name on the screen."""
    origin: str
    stall_s: float
    monitor: LocalMonitor
    emit: Callable[[ev.Event], None]
    over: Callable[[ProxiedExchange, ev.RunEnded], None]
    """Called at the end of each exchange."""
    on_call: OnCall | None = None
    end_event: bool = True
    """Whether the upstream's streams have a terminal event."""


class ProxiedExchange:
    """Implements :class:`kmon.proxy.relay.observer.ExchangeObserver`."""

    def __init__(self, number: int, t_ns: int, head: RequestHead, abort: Abort, settings: ExchangeSettings) -> None:
        self.name = f"p{number}"
        self._number, self._t_ns, self._head, self._abort = number, t_ns, head, abort
        self._settings, self._emit = settings, settings.emit
        secrets = keys_in(head.headers, head.target.partition("?")[2])
        log.hide_overheard(secrets)
        self._recorder = AttemptRecorder(
            AttemptId(self.name, 1, "first"),
            request=RequestFacts(""),
            secrets=secrets,
            stall_s=settings.stall_s,
            monitor=settings.monitor,
            emit=self._emit_or_hold,
        )
        self._path = self._recorder.sanitizer.redacted(head.path, NAME_LIMIT_CHARS)
        self._request = overheard(head.path, b"", whole=False)
        self._asked_body = bytearray()
        self._asked_whole = True
        self._held_events: list[ev.Event] | None = []
        """Events before the run is announced; None after it."""
        self._announcing = asyncio.get_running_loop().call_later(ANNOUNCE_S, self._announce)
        self._recorder.started(t_ns, f"{settings.origin}{self._path}")
        if not self._request.dialect:
            self._recorder.unread(t_ns, stream=False)
        self._answer: ResponseHead | None = None
        self._decoder: Decoder | None = None
        self._unpack = Unpacker("")
        self._whole: bytearray | None = None
        """The body of an answer that is no stream, parsed at its end."""
        self._tunnel: Tunnel | None = None
        self._waiting: deque[tuple[int, bytes, Side]] = deque()
        self._waiting_bytes = 0
        self._unread_bytes = 0
        self._end: End | None = None
        self._working: asyncio.Task[None] | None = None
        self._cancelled = False
        self._ended: ev.RunEnded | None = None
        self._first_byte_ns: int | None = None
        self._flowing = False

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        model = self._recorder.sanitizer.redacted(self._request.model, NAME_LIMIT_CHARS)
        upstream = self._settings.upstream
        return bounded(f"{upstream}/{model}", NAME_LIMIT_CHARS) if model else upstream

    @property
    def scenario(self) -> str:
        known = self._request.dialect and self._tunnel is None
        return "proxied" if known else f"{clean(self._head.method)} {self._path}"

    def call(self) -> ProviderCall:
        """A snapshot of this exchange."""
        timeline, ended = self._recorder.timeline, self._ended
        return ProviderCall(
            self.name,
            self._path,
            self._request.model,
            self._request.said_sha256,
            self._t_ns,
            self._first_byte_ns,
            timeline.watched_clock.last_ns,
            timeline.chunk.ticks,
            ended.t_ns if ended else None,
            ended.state if ended else None,
            ended.signature if ended else None,
            timeline.watched == "byte",
        )

    def cancel(self) -> None:
        """Close the connection on both sides, now."""
        self._cancelled = True
        self._abort()

    async def settled(self) -> None:
        """Wait until all bytes are decoded."""
        if self._working is not None:
            await asyncio.wait([self._working])

    # -- ExchangeObserver ----------------------------------------------------------------------------------------------

    def request_body(self, t_ns: int, payload: bytes) -> None:
        room = PEEK_LIMIT_BYTES - len(self._asked_body)
        self._asked_body += payload[:room]
        if len(payload) > room:
            self._asked_whole = False
            self._announce()

    def phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self._recorder.phase(phase, t_ns, detail)
        if phase == "request_sent":
            self._announce()

    def upstream_sampler(self, sampler: TcpSampler) -> None:
        self._recorder.stalls.on_sampler(sampler)

    def delivered_by(self, delivery: Delivery) -> None:
        self._recorder.stalls.client_waiting_ns = delivery.waiting_ns

    def answered(self, t_ns: int, head: ResponseHead) -> None:
        self._announce()
        self._answer, self._first_byte_ns = head, t_ns
        self._recorder.phase("headers", t_ns, str(head.status))
        self._recorder.headers(t_ns, head.status, head.headers, head.content_type)
        self._unpack = Unpacker(head.headers.get("content-encoding", ""))
        if head.status == 101:
            self._tunnel = Tunnel(head, self._learn)
            self._recorder.unread(t_ns, stream=True)
        elif 200 <= head.status < 300 and self._is_streamed(head.content_type):
            self._decoder = self._decoder_of(t_ns, head.content_type)
        elif head.status >= 400 or (self._request.dialect and "json" in head.content_type):
            self._whole = bytearray()
        else:
            self._recorder.unread(t_ns, stream=False)
        self._report_call()

    def _learn(self, keys: Sequence[str]) -> None:
        """Keep these keys of a WebSocket message out of the events and of the log."""
        log.hide_overheard(tuple(keys))
        self._recorder.sanitizer.learn(keys)

    def _is_streamed(self, content_type: str) -> bool:
        """Whether an answer of this type comes piece by piece."""
        asked = self._request
        known = asked.format is not None and asked.stream and content_type in asked.format.media_types
        return known or content_type in STREAMED

    def _decoder_of(self, t_ns: int, content_type: str) -> Decoder | None:
        """The decoder of a stream of this type; None where only its bytes can be counted."""
        known = self._request.format
        if known is not None and content_type in known.media_types:
            return known.decoder()
        self._recorder.unread(t_ns, stream=True)
        return PlainDecoder() if content_type == SSE_TYPE else None

    def answer_body(self, t_ns: int, payload: bytes) -> None:
        self._queue(t_ns, payload, "upstream")

    def tunnelled(self, t_ns: int, side: Side, data: bytes) -> None:
        self._queue(t_ns, data, side)

    def ended(self, t_ns: int, end: End) -> None:
        self._end = end
        self._announce()
        self._wake()

    # -- beside the passing --------------------------------------------------------------------------------------------

    def _queue(self, t_ns: int, data: bytes, side: Side) -> None:
        if self._unread_bytes or self._waiting_bytes + len(data) > WAITING_LIMIT_BYTES:
            self._unread_bytes += len(data)
            return
        self._waiting.append((t_ns, data, side))
        self._waiting_bytes += len(data)
        self._wake()

    def _wake(self) -> None:
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            t_ns, data, side = self._waiting.popleft()
            try:
                for at in range(0, len(data), STEP_BYTES):
                    self._read(t_ns, data[at : at + STEP_BYTES], side)
                    await asyncio.sleep(0)
            except httpx.DecodingError as error:
                self._warn(f"it is passed on unread, {error}")
                self._read_no_more(t_ns)
            self._waiting_bytes -= len(data)
        if self._end is not None and self._ended is None:
            self._conclude(self._end)

    def _read(self, t_ns: int, data: bytes, side: Side) -> None:
        recorder = self._recorder
        if self._tunnel is not None:
            for delta in self._tunnel.feed(side, data):
                recorder.record(t_ns, delta)
        elif self._decoder is None and self._whole is None:
            recorder.bytes(t_ns, len(data))
        else:
            for piece in self._unpack(data):
                if self._decoder is None:
                    recorder.bytes(t_ns, len(piece))
                    if self._whole is not None:
                        self._whole += piece[: WHOLE_LIMIT_BYTES - len(self._whole)]
                    continue
                deltas = coalesced(self._decoder.feed(piece))
                if not deltas:
                    recorder.bytes(t_ns, len(piece))
                for delta in deltas:
                    recorder.record(t_ns, delta)
        if not self._flowing and recorder.timeline.progress.first_ns is not None:
            self._flowing = True
            self._report_call()

    def _read_no_more(self, t_ns: int) -> None:
        """Pass the rest on unread."""
        self._decoder = self._whole = None
        self._recorder.unread(t_ns, stream=True)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _conclude(self, end: End) -> None:
        if self._unread_bytes:
            self._warn(f"{self._unread_bytes} bytes were passed on unread: decoding could not keep up")
            self._read_no_more(time.monotonic_ns())
        outcome = self._judged(end)
        facts = RunFacts(self.name, self.label, self.label, self.scenario, self._number, self._t_ns)
        self._ended = run_ended(outcome, facts)
        self._emit(self._ended)
        self._report_call()
        self._settings.over(self, self._ended)

    def _judged(self, end: End) -> AttemptOutcome:
        recorder = self._recorder
        error = self._decode_rest() if end.how == "complete" else end.error
        error = recorder.transcript.error if error is None or fatal(recorder.transcript.error) else error
        if end.how in ("client-left", "aborted"):
            if recorder.finished:
                return recorder.end("done", None)
            who = end.error.message if end.error is not None else self._who_left(end)
            return recorder.end("cancelled", StreamError("cancelled", who), note=who)
        if self._tunnel is not None and end.error is None and self._tunnel.cut:
            error = StreamError("cut", "the upstream closed the WebSocket without a close frame (1006, abnormal)")
        unread = recorder.timeline.watched == "byte"
        if end.error is not None or (unread and error is not None):
            return recorder.end("done" if recorder.timeline.t_done is not None else "failed", error)
        if unread:
            return recorder.end("done", None)
        state = recorder.judge(error)  # without the request the answer cannot be checked against it
        return recorder.end(state, error, whole=self._request.read)

    def _who_left(self, end: End) -> str:
        if self._cancelled:
            return "cancelled by the user of kmon"
        return "the client closed the connection" if end.how == "client-left" else "kmon proxy was stopped"

    def _decode_rest(self) -> StreamError | None:
        """Decode what is complete only at the end of the body; the error of an answer that is no stream."""
        now_ns, answer = time.monotonic_ns(), self._answer
        if self._decoder is not None:
            for delta in self._decoder.end():
                self._recorder.record(now_ns, delta)
            return None
        if answer is None or self._whole is None:
            return None
        body, asked = bytes(self._whole), self._request
        last_ns = self._recorder.timeline.byte.last_ns or now_ns
        complete = None
        if answer.status < 400 and not asked.stream and asked.format is not None:
            complete = asked.format.whole_answer(body)
        if complete is not None:
            self._recorder.record(last_ns, complete)
            return None
        return answer_error(answer.status, answer.content_type, answer.headers, body, spoken=asked.format)

    # -- events ------------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        """Emit the run once its request is parsed, or after :data:`ANNOUNCE_S`, with the events held until then."""
        held, self._held_events = self._held_events, None
        self._announcing.cancel()
        if held is None:
            return
        asked = overheard(self._head.path, bytes(self._asked_body), whole=self._asked_whole)
        self._asked_body.clear()
        self._request = asked
        self._recorder.request = RequestFacts(
            asked.model,
            asked.tools,
            asked.prompt,
            asked.wants_usage,
            ends_elsewhere=asked.ends_elsewhere,
            finish_words=FinishWords() if asked.format is None else asked.format.finish_words,
            end_event=self._settings.end_event,
        )
        agent = self._recorder.sanitizer.redacted(self._head.headers.get("user-agent", ""), NAME_LIMIT_CHARS)
        dialect = "websocket" if self._head.upgrade else asked.dialect or "http"
        queued = ev.RunQueued(
            self._t_ns, self.name, self.label, self.label, self.scenario, self._number, dialect, agent
        )
        for event in (queued, *held):
            self._emit(event)
        self._report_call()

    def _emit_or_hold(self, event: ev.Event) -> None:
        if self._held_events is None:
            self._emit(event)
        else:
            self._held_events.append(event)

    def _report_call(self) -> None:
        if self._settings.on_call is not None:
            self._settings.on_call(self.call())

    def _warn(self, message: str) -> None:
        message = self._recorder.sanitizer.redacted(message, MESSAGE_LIMIT_CHARS)
        self._emit(ev.Notice(time.monotonic_ns(), "warning", f"{self.name}: {message}"))
