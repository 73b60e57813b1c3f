"""One exchange that passes through the proxy, told as a run. Decoding happens beside the passing, never before it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import httpx

from kmon.blame.local_monitor import LocalMonitor
from kmon.dialects.bounds import MESSAGE_LIMIT_CHARS, NAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import FinishWords
from kmon.dialects.http_error import answer_error
from kmon.dialects.plain import EVENTS, STREAMED, PlainDecoder
from kmon.dialects.text import clean
from kmon.dialects.wire import Decoder
from kmon.engine.ended import RunFacts, run_ended
from kmon.findings.content import Asked
from kmon.probe.recorder import AttemptId, AttemptRecorder, Outcome, coalesced, fatal
from kmon.probe.request_secrets import keys_in
from kmon.proxy.call import OnCall, ProviderCall
from kmon.proxy.relay.head import RequestHead, ResponseHead
from kmon.proxy.relay.observer import Abort, Delivery, End, Side
from kmon.proxy.request import overheard
from kmon.proxy.tunnel import Tunnel
from kmon.stream import events as ev
from kmon.transport.content_encoding import Unpacker
from kmon.transport.phase import Phase
from kmon.transport.tcp_info import TcpSampler

PEEK_LIMIT_BYTES = 4 * 1024 * 1024
"""How much of a request is read along; a conversation with pictures is longer, and says its model early."""
WHOLE_LIMIT_BYTES = 1024 * 1024
"""How much of an answer that is no stream is read along."""
WAITING_LIMIT_BYTES = 8 * 1024 * 1024
"""What may wait for the decoder. Past it the exchange goes on unread, and it is said."""
STEP_BYTES = 4_096
"""Decoded at a time, for well under a millisecond, before what is to be passed on has its turn again."""
ANNOUNCE_S = 0.5
"""A request whose body takes longer than this is shown before its model is known."""


class ExchangeSettings(NamedTuple):
    """What all exchanges of a proxy share."""

    upstream: str
    """Its name."""
    origin: str
    """Its scheme, host and port."""
    stall_s: float
    machine: LocalMonitor
    emit: Callable[[ev.Event], None]
    on_call: OnCall | None = None


class Proxied:
    """Implements :class:`kmon.proxy.relay.observer.Watcher`; ``over`` is called with its last word."""

    def __init__(
        self,
        number: int,
        t_ns: int,
        head: RequestHead,
        abort: Abort,
        *,
        host: ExchangeSettings,
        over: Callable[[Proxied, ev.RunEnded], None],
    ) -> None:
        self.name = f"p{number}"
        self._number, self._t_ns, self._head, self._abort = number, t_ns, head, abort
        self._upstream, self._emit, self._over, self._on_call = host.upstream, host.emit, over, host.on_call
        secrets = keys_in(head.headers, head.target.partition("?")[2])
        self._account = AttemptRecorder(
            AttemptId(self.name, 1, "first"),
            asked=Asked(""),
            secrets=secrets,
            stall_s=host.stall_s,
            machine=host.machine,
            emit=self._tell,
        )
        self._path = self._account.translate.redacted(head.path, NAME_LIMIT_CHARS)
        self._request = overheard(head.path, b"", whole=False)
        self._asked_body = bytearray()
        self._asked_whole = True
        self._untold: list[ev.Event] | None = []
        self._announcing = asyncio.get_running_loop().call_later(ANNOUNCE_S, self._announce)
        self._account.started(t_ns, f"{host.origin}{self._path}")
        if not self._request.dialect:
            self._account.unread(t_ns, stream=False)
        self._answer: ResponseHead | None = None
        self._decoder: Decoder | None = None
        self._unpack = Unpacker("")
        self._whole: bytearray | None = None
        """Of an answer that is no stream, what is read at its end."""
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

    # -- what others ask -------------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        model = self._account.translate.redacted(self._request.model, NAME_LIMIT_CHARS)
        return bounded(f"{self._upstream}/{model}", NAME_LIMIT_CHARS) if model else self._upstream

    @property
    def scenario(self) -> str:
        known = self._request.dialect and self._tunnel is None
        return "proxied" if known else f"{clean(self._head.method)} {self._path}"

    def call(self) -> ProviderCall:
        """This exchange as it stands now."""
        timeline, ended = self._account.timeline, self._ended
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
        """Close it on both sides, now."""
        self._cancelled = True
        self._abort()

    async def settled(self) -> None:
        """Wait until all that came has been decoded."""
        if self._working is not None:
            await asyncio.wait([self._working])

    # -- Watcher -----------------------------------------------------------------------------------------------------

    def request_body(self, t_ns: int, payload: bytes) -> None:
        room = PEEK_LIMIT_BYTES - len(self._asked_body)
        self._asked_body += payload[:room]
        if len(payload) > room:
            self._asked_whole = False
            self._announce()

    def phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self._account.phase(phase, t_ns, detail)
        if phase == "request_sent":
            self._announce()

    def upstream_line(self, line: TcpSampler) -> None:
        self._account.stalls.on_line(line)

    def delivered_by(self, delivery: Delivery) -> None:
        self._account.stalls.client_waiting_ns = delivery.waiting_ns

    def answered(self, t_ns: int, head: ResponseHead) -> None:
        self._announce()
        self._answer, self._first_byte_ns = head, t_ns
        self._account.phase("headers", t_ns, str(head.status))
        self._account.headers(t_ns, head.status, head.headers, head.content_type)
        self._unpack = Unpacker(head.headers.get("content-encoding", ""))
        if head.status == 101:
            self._tunnel = Tunnel(head, self._account.translate.learn)
            self._account.unread(t_ns, stream=True)
        elif 200 <= head.status < 300 and head.content_type in STREAMED:
            self._decoder = self._reader(t_ns, head.content_type)
        elif head.status >= 400 or (self._request.dialect and "json" in head.content_type):
            self._whole = bytearray()
        else:
            self._account.unread(t_ns, stream=False)
        self._tell_call()

    def _reader(self, t_ns: int, content_type: str) -> Decoder | None:
        """What reads a stream of this type; None where no more than its bytes is known."""
        spoken = self._request.format
        if spoken is not None and spoken.content_type == content_type:
            return spoken.decoder()
        self._account.unread(t_ns, stream=True)
        return PlainDecoder() if content_type == EVENTS else None

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
                self._say(f"it is passed on unread, {error}")
                self._read_no_more(t_ns)
            self._waiting_bytes -= len(data)
        if self._end is not None and self._ended is None:
            self._conclude(self._end)

    def _read(self, t_ns: int, data: bytes, side: Side) -> None:
        account = self._account
        if self._tunnel is not None:
            for delta in self._tunnel.feed(side, data):
                account.take(t_ns, delta)
        elif self._decoder is None and self._whole is None:
            account.bytes(t_ns, len(data))
        else:
            for piece in self._unpack(data):
                if self._decoder is None:
                    account.bytes(t_ns, len(piece))
                    if self._whole is not None:
                        self._whole += piece[: WHOLE_LIMIT_BYTES - len(self._whole)]
                    continue
                deltas = coalesced(self._decoder.feed(piece))
                if not deltas:
                    account.bytes(t_ns, len(piece))
                for delta in deltas:
                    account.take(t_ns, delta)
        if not self._flowing and account.timeline.progress.first_ns is not None:
            self._flowing = True
            self._tell_call()

    def _read_no_more(self, t_ns: int) -> None:
        """What still comes is passed on unread."""
        self._decoder = self._whole = None
        self._account.unread(t_ns, stream=True)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _conclude(self, end: End) -> None:
        if self._unread_bytes:
            self._say(f"{self._unread_bytes} bytes were passed on unread: decoding could not keep up")
            self._read_no_more(time.monotonic_ns())
        outcome = self._judged(end)
        facts = RunFacts(self.name, self.label, self.label, self.scenario, self._number, self._t_ns)
        self._ended = run_ended(outcome, facts)
        self._emit(self._ended)
        self._tell_call()
        self._over(self, self._ended)

    def _judged(self, end: End) -> Outcome:
        account = self._account
        error = self._last_words() if end.how == "complete" else end.error
        error = account.transcript.error if error is None or fatal(account.transcript.error) else error
        if end.how in ("client-left", "aborted"):
            if account.finished:
                return account.end("done", None)
            who = end.error.message if end.error is not None else self._who_left(end)
            return account.end("cancelled", StreamError("cancelled", who), note=who)
        if self._tunnel is not None and end.error is None and self._tunnel.cut:
            error = StreamError("cut", "the upstream closed the WebSocket without a close frame (1006, abnormal)")
        unread = account.timeline.watched == "byte"
        if end.error is not None or (unread and error is not None):
            return account.end("done" if account.timeline.t_done is not None else "failed", error)
        if unread:
            return account.end("done", None)
        state = account.judge(error)  # without the request, nobody can say whether the answer is right
        return account.end(state, error, whole=self._request.read)

    def _who_left(self, end: End) -> str:
        if self._cancelled:
            return "cancelled by the user of kmon"
        return "the client closed the connection" if end.how == "client-left" else "kmon proxy was stopped"

    def _last_words(self) -> StreamError | None:
        """Decode what only the end of the body completes."""
        now_ns, answer = time.monotonic_ns(), self._answer
        if self._decoder is not None:
            for delta in self._decoder.end():
                self._account.take(now_ns, delta)
            return None
        if answer is None or self._whole is None:
            return None
        body, asked = bytes(self._whole), self._request
        last_ns = self._account.timeline.byte.last_ns or now_ns
        said = None
        if answer.status < 400 and not asked.stream and asked.format is not None:
            said = asked.format.whole_answer(body)
        if said is not None:
            self._account.take(last_ns, said)
            return None
        return answer_error(answer.status, answer.content_type, answer.headers, body, spoken=asked.format)

    # -- telling -----------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        """Tell that there is a run, once it is known what it asks for or there is no more time to wait for that."""
        untold, self._untold = self._untold, None
        self._announcing.cancel()
        if untold is None:
            return
        asked = overheard(self._head.path, bytes(self._asked_body), whole=self._asked_whole)
        self._asked_body.clear()
        self._request = asked
        self._account.asked = Asked(
            asked.model,
            asked.tools,
            asked.prompt,
            asked.wants_usage,
            finish_words=FinishWords() if asked.format is None else asked.format.finish_words,
        )
        agent = self._account.translate.redacted(self._head.headers.get("user-agent", ""), NAME_LIMIT_CHARS)
        dialect = "websocket" if self._head.upgrade else asked.dialect or "http"
        queued = ev.RunQueued(
            self._t_ns, self.name, self.label, self.label, self.scenario, self._number, dialect, agent
        )
        for event in (queued, *untold):
            self._emit(event)
        self._tell_call()

    def _tell(self, event: ev.Event) -> None:
        if self._untold is None:
            self._emit(event)
        else:
            self._untold.append(event)

    def _tell_call(self) -> None:
        if self._on_call is not None:
            self._on_call(self.call())

    def _say(self, what: str) -> None:
        said = self._account.translate.redacted(what, MESSAGE_LIMIT_CHARS)
        self._emit(ev.Notice(time.monotonic_ns(), "warning", f"{self.name}: {said}"))
