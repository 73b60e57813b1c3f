"""One exchange that passes through the proxy, reported as a run. It is decoded beside the passing, never before."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

import httpx

from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import Decoder
from kmon.dialects.framing import SSE_TYPE
from kmon.dialects.http_answer import answer_error, may_stream
from kmon.dialects.one_answer import OneAnswer
from kmon.dialects.socket_turns import SocketTurns
from kmon.dialects.sse_deltas import STREAMED, PlainDecoder
from kmon.dialects.text import clean
from kmon.findings.signature import fatal
from kmon.logs import log
from kmon.probe.recorder import AttemptOutcome, coalesced
from kmon.probe.request_secrets import keys_in
from kmon.proxy.proxied_run import Caller, ProxiedRun, RunSettings
from kmon.proxy.relay.head import RequestHead, ResponseHead
from kmon.proxy.relay.observer import Abort, Delivery, End, Side
from kmon.proxy.request import overheard
from kmon.proxy.socket_runs import SocketRuns
from kmon.proxy.tunnel import Tunnel
from kmon.transport.http import BEGINNING_BYTES, Unpacker
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


class ProxiedExchange:
    """Implements :class:`kmon.proxy.relay.observer.ExchangeObserver`."""

    def __init__(
        self, t_ns: int, head: RequestHead, abort: Abort, settings: RunSettings, gone: Callable[[ProxiedExchange], None]
    ) -> None:
        secrets = keys_in(head.headers, head.target.partition("?")[2])
        log.hide_overheard(secrets)
        self._head, self._settings, self._gone = head, settings, gone
        self._caller = Caller(head, secrets, abort)
        self._run = ProxiedRun(t_ns, self._caller, settings)
        self._recorder = self._run.recorder
        self._request = overheard(head.path, b"", whole=False)
        spoken = self._request.format
        to_socket = head.upgrade and head.headers.get("upgrade", "").lower() == "websocket"
        self._turns = spoken.socket() if spoken is not None and to_socket else None
        """What an accepted upgrade will carry, if that is a dialect in turns."""
        self._asked_body = bytearray()
        self._asked_whole = True
        self._announcing = asyncio.get_running_loop().call_later(ANNOUNCE_S, self._announce)
        self._run.started(t_ns)
        if not self._request.dialect:
            self._recorder.unread(t_ns, stream=False)
        self._answer: ResponseHead | None = None
        self._decoder: Decoder | None = None
        self._unpack = Unpacker("")
        self._whole: bytearray | None = None
        """The body of an answer that is no stream, parsed at its end."""
        self._tunnel: Tunnel | None = None
        self._sockets: SocketRuns | None = None
        self._sampler: TcpSampler | None = None
        self._delivery: Delivery | None = None
        self._waiting: deque[tuple[int, bytes, Side]] = deque()
        self._waiting_bytes = 0
        self._unread_bytes = 0
        self._end: End | None = None
        self._working: asyncio.Task[None] | None = None
        self._concluded = False
        self._flowing = False

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
        if phase == "request_sent" and self._turns is None:  # an accepted upgrade to turns is no run
            self._announce()

    def upstream_sampler(self, sampler: TcpSampler) -> None:
        self._sampler = sampler
        self._recorder.stalls.on_sampler(sampler)

    def delivered_by(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._recorder.stalls.client_waiting_ns = delivery.waiting_ns

    def answered(self, t_ns: int, head: ResponseHead) -> None:
        self._answer, self._run.first_byte_ns = head, t_ns
        if head.status == 101 and self._turns is not None:
            self._carry(self._turns, t_ns, head)
            return
        self._announce()
        self._recorder.phase("headers", t_ns, str(head.status))
        self._recorder.headers(t_ns, head.status, head.headers, head.content_type)
        self._unpack = Unpacker(head.headers.get("content-encoding", ""))
        if head.status == 101:
            self._tunnel = Tunnel(head, self._learn)
            self._recorder.unread(t_ns, stream=True)
        elif may_stream(head.status) and self._is_streamed(head.content_type):
            self._decoder = self._decoder_of(t_ns, head.content_type)
        elif head.status >= 400 or (self._request.dialect and ("json" in head.content_type or self._request.stream)):
            self._whole = bytearray()
        else:
            self._recorder.unread(t_ns, stream=False)
        self._run.report_call()

    def _carry(self, turns: SocketTurns, t_ns: int, head: ResponseHead) -> None:
        """The upgrade was accepted: from now on each turn is a run, and this exchange is none, if it was not shown."""
        self._announcing.cancel()
        number = None if self._run.announced else self._run.number
        self._sockets = SocketRuns(turns, head, self._caller, self._settings, number)
        self._sockets.sampler, self._sockets.delivery = self._sampler, self._delivery
        if number is not None:
            self._run.forget()
        else:
            self._recorder.phase("headers", t_ns, str(head.status))
            self._recorder.headers(t_ns, head.status, head.headers, head.content_type)
            self._recorder.unread(t_ns, stream=False)
            self._run.end(self._recorder.end("done", None))

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
            return OneAnswer(known)
        self._recorder.unread(t_ns, stream=True)
        return PlainDecoder() if content_type == SSE_TYPE else None

    def answer_body(self, t_ns: int, payload: bytes) -> None:
        self._queue(t_ns, payload, "upstream")

    def tunnelled(self, t_ns: int, side: Side, data: bytes) -> None:
        self._queue(t_ns, data, side)

    def ended(self, t_ns: int, end: End) -> None:
        self._end = end
        if self._sockets is None:
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
                self._run.warn(f"it is passed on unread, {error}")
                self._read_no_more(t_ns)
            self._waiting_bytes -= len(data)
        if self._end is not None and not self._concluded:
            self._concluded = True
            self._conclude(self._end)
            self._gone(self)

    def _read(self, t_ns: int, data: bytes, side: Side) -> None:
        recorder = self._recorder
        if self._sockets is not None:
            self._sockets.feed(t_ns, side, data)
            return
        if self._tunnel is not None:
            for delta in self._tunnel.feed(side, data):
                recorder.record(t_ns, delta)
        elif self._decoder is None and self._whole is None:
            recorder.bytes(t_ns, len(data))
        else:
            for piece in self._unpack(data):
                if self._decoder is None:
                    recorder.bytes(t_ns, len(piece))
                    piece = self._kept(piece)
                if self._decoder is None:
                    continue
                deltas = coalesced(self._decoder.feed(piece))
                if isinstance(self._decoder, PlainDecoder) and self._decoder.dialect:
                    recorder.unread(t_ns, stream=True, dialect=self._decoder.dialect)
                if not deltas:
                    recorder.bytes(t_ns, len(piece))
                for delta in deltas:
                    recorder.record(t_ns, delta)
        if not self._flowing and recorder.timeline.progress.first_ns is not None:
            self._flowing = True
            self._run.report_call()

    def _kept(self, piece: bytes) -> bytes:
        """Keep ``piece`` of an answer that is no stream by its head. If it begins like one, decode all of it so far."""
        if self._whole is None:
            return piece
        undecided = len(self._whole.strip()) < BEGINNING_BYTES
        self._whole += piece[: WHOLE_LIMIT_BYTES - len(self._whole)]
        asked, answer = self._request, self._answer
        if undecided and asked.format is not None and asked.stream and answer is not None and may_stream(answer.status):
            so_far = bytes(self._whole)
            if asked.format.begins(so_far):
                self._decoder = OneAnswer(asked.format)
                return so_far
        return piece

    def _read_no_more(self, t_ns: int) -> None:
        """Pass the rest on unread."""
        self._decoder = self._whole = None
        self._recorder.unread(t_ns, stream=True)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _conclude(self, end: End) -> None:
        if self._sockets is not None:
            if self._unread_bytes:
                self._sockets.read_no_more(time.monotonic_ns(), "decoding could not keep up")
            self._sockets.ended(end)
            return
        if self._unread_bytes:
            self._run.warn(f"{self._unread_bytes} bytes were passed on unread: decoding could not keep up")
            self._read_no_more(time.monotonic_ns())
        self._run.end(self._judged(end))

    def _judged(self, end: End) -> AttemptOutcome:
        recorder = self._recorder
        error = self._decode_rest() if end.how == "complete" else end.error
        error = recorder.transcript.error if error is None or fatal(recorder.transcript.error) else error
        if end.how in ("client-left", "aborted"):
            return self._run.broken_off(end)
        if self._tunnel is not None and end.error is None and self._tunnel.cut:
            error = StreamError("cut", "the upstream closed the WebSocket without a close frame (1006, abnormal)")
        unread = recorder.timeline.watched == "byte"
        if end.error is not None or (unread and error is not None):
            return recorder.end("done" if recorder.timeline.t_done is not None else "failed", error)
        if unread:
            return recorder.end("done", None)
        state = recorder.judge(error)  # without the request the answer cannot be checked against it
        return recorder.end(state, error, whole=self._request.read)

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
        """Emit the run once its request is parsed, or after :data:`ANNOUNCE_S`."""
        self._announcing.cancel()
        if self._run.announced:
            return
        asked = self._request = overheard(self._head.path, bytes(self._asked_body), whole=self._asked_whole)
        self._asked_body.clear()
        known = asked.dialect and not self._head.upgrade
        scenario = "proxied" if known else f"{clean(self._head.method)} {self._run.path}"
        self._run.announce(asked, "websocket" if self._head.upgrade else asked.dialect or "http", scenario)
