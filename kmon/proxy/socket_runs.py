"""A WebSocket that passes through the proxy and carries a dialect in turns: each turn is a run.

The socket itself is none, so what passes between two turns belongs to no run, nor does a close there. A client that
asks before an answer has ended waits: its run begins when its answer is due.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from functools import partial

from msgspec.structs import replace

from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.socket_turns import SocketTurns, Turn
from kmon.dialects.websocket import ABNORMAL, WebSocketMessage, close_error
from kmon.findings.signature import fatal
from kmon.findings.websocket import broken_turn_signature
from kmon.probe.recorder import AttemptOutcome
from kmon.proxy.proxied_run import Caller, ProxiedRun, RunSettings
from kmon.proxy.relay.head import ResponseHead
from kmon.proxy.relay.observer import Delivery, End, Side
from kmon.proxy.request import Overheard, overheard
from kmon.proxy.tunnel import readers_of
from kmon.transport.tcp_info import TcpSampler

MESSAGE_LIMIT_BYTES = 8 * 1024 * 1024
"""How much of one message is read; a conversation with pictures is longer, and has its model early."""
ANSWERS_LIMIT = 64
"""Answers of a socket that a later request can go on with, and kmon knows what was asked."""
PROMPT_LIMIT_CHARS = 1_000_000
WARM_UP = "warm-up"
"""The scenario of a request that asks for no output."""


class SocketRuns:
    """The runs of one socket. ``number`` is that of the first, if it is taken already."""

    def __init__(
        self, turns: SocketTurns, opened: ResponseHead, caller: Caller, settings: RunSettings, number: int | None
    ) -> None:
        self._turns, self._opened = turns, opened
        self._caller, self._settings, self._number = caller, settings, number
        self._readers = readers_of(opened, MESSAGE_LIMIT_BYTES)
        self._runs: dict[Turn, ProxiedRun] = {}
        """Those of the turns that have not ended."""
        self._asked: OrderedDict[str, Overheard] = OrderedDict()
        """The request by the id of its answer."""
        self._closed = False
        self.sampler: TcpSampler | None = None
        self.delivery: Delivery | None = None

    def feed(self, t_ns: int, side: Side, data: bytes) -> None:
        """Read what ``side`` sent. After what is no valid WebSocket, nothing more of the socket is read."""
        reader = self._readers.get(side)
        if reader is None:
            for run in self._runs.values() if side == "upstream" else ():
                run.recorder.bytes(t_ns, len(data))
            return
        for message in reader.feed(data):
            if message.kind == "close":
                self._on_close(t_ns, side, message)
            elif side == "client":
                self._on_request(t_ns, message)
            else:
                self._on_answer(t_ns, message)
        if reader.violation is not None:
            self.read_no_more(t_ns, f"the {side} sends what is no valid WebSocket: {reader.violation.message}")

    def read_no_more(self, t_ns: int, why: str) -> None:
        """Pass the rest on unread."""
        self._readers.clear()
        for run in self._runs.values():
            run.warn(f"it is passed on unread, {why}")
            run.recorder.unread(t_ns, stream=True)

    def ended(self, end: End) -> None:
        """The connection has ended; without a turn that is nothing."""
        lost = close_error(WebSocketMessage("close", b"", ABNORMAL))
        for run in self._take_all():
            if end.how in ("client-left", "aborted"):
                run.end(run.broken_off(end))
            else:
                run.end(self._judged(run, end.error or lost, whole=False))

    # -- the client ----------------------------------------------------------------------------------------------------

    def _on_request(self, t_ns: int, message: WebSocketMessage) -> None:
        if message.kind not in ("text", "binary"):
            return
        cut = len(message.data) >= MESSAGE_LIMIT_BYTES
        turn = self._turns.asked(message.data, cut=cut)
        if turn is not None:
            self._begin(t_ns, turn, cut=cut)

    def _begin(self, t_ns: int, turn: Turn, *, cut: bool = False) -> ProxiedRun:
        """The run of a new turn."""
        number, self._number = self._number, None
        run = self._runs[turn] = ProxiedRun(t_ns, self._caller, self._settings, number)
        asked = overheard(self._caller.head.path, turn.request, whole=not cut)
        before = self._asked.get(turn.continues)
        if before is not None:  # what was said before is not said again
            prompt = f"{before.prompt}\n{asked.prompt}"[-PROMPT_LIMIT_CHARS:]
            asked = replace(asked, prompt=prompt, tools=asked.tools or before.tools)
        run.announce(asked, asked.dialect, WARM_UP if turn.prepares else "proxied")
        if self._turns.is_due(turn):
            self._due(t_ns, run)
        return run

    def _due(self, t_ns: int, run: ProxiedRun) -> None:
        """From now on the upstream is to answer this run."""
        run.started(t_ns)
        recorder, opened = run.recorder, self._opened
        if self.sampler is not None:
            recorder.stalls.on_sampler(self.sampler)
        if self.delivery is not None:
            recorder.stalls.client_waiting_ns = self.delivery.waiting_ns
        recorder.phase("request_sent", t_ns, "")
        recorder.phase("headers", t_ns, str(opened.status))
        recorder.headers(t_ns, opened.status, opened.headers, opened.content_type)

    # -- the upstream --------------------------------------------------------------------------------------------------

    def _on_answer(self, t_ns: int, message: WebSocketMessage) -> None:
        if message.kind in ("ping", "pong"):
            self._on_life(t_ns, message)
            return
        said = self._turns.said(message.data, cut=len(message.data) >= MESSAGE_LIMIT_BYTES)
        for turn in said.turns:
            run = self._runs.get(turn) or self._begin(t_ns, turn)
            flowing = run.recorder.timeline.progress.first_ns is not None
            run.first_byte_ns = run.first_byte_ns or t_ns
            run.recorder.record(t_ns, said.delta)
            if not flowing and run.recorder.timeline.progress.first_ns is not None:
                run.report_call()
            if said.ends:
                self._on_end(turn, run)
        for turn in said.due:
            self._due(t_ns, self._runs[turn])

    def _on_life(self, t_ns: int, message: WebSocketMessage) -> None:
        """A ping shows that the upstream is there; a pong only answers a ping of the client."""
        for turn, run in self._runs.items():
            if self._turns.is_due(turn):
                if message.kind == "ping":
                    run.recorder.record(t_ns, Delta(keepalive=True, chunk=False))
                else:
                    run.recorder.bytes(t_ns, message.size)

    def _on_end(self, turn: Turn, run: ProxiedRun) -> None:
        del self._runs[turn]
        if (answer_id := run.recorder.transcript.response_id) is not None:
            self._asked[answer_id] = run.request
            if len(self._asked) > ANSWERS_LIMIT:
                self._asked.popitem(last=False)
        run.end(self._judged(run, run.recorder.transcript.error, whole=run.request.read and not turn.prepares))

    def _on_close(self, t_ns: int, side: Side, message: WebSocketMessage) -> None:
        """The first close frame: a client that sends it has left, and an upstream that does ends its answers."""
        first, self._closed = not self._closed, True
        if not first:
            return
        closed = close_error(message)
        for run in self._take_all():
            if side == "client":
                run.end(
                    run.broken_off(End("client-left", StreamError("cancelled", f"the client left: {closed.message}")))
                )
            else:
                run.end(self._judged(run, closed, whole=False))

    # -- the end -------------------------------------------------------------------------------------------------------

    def _take_all(self) -> list[ProxiedRun]:
        """The open runs, which are over now. One whose answer was not due yet begins and ends at once."""
        runs = self._runs
        self._runs = {}
        for turn, run in runs.items():
            if not self._turns.is_due(turn):
                run.started(time.monotonic_ns())
        return list(runs.values())

    @staticmethod
    def _judged(run: ProxiedRun, error: StreamError | None, *, whole: bool) -> AttemptOutcome:
        recorder = run.recorder
        if recorder.timeline.watched == "byte":
            return recorder.end("failed" if fatal(error) else "done", error)
        return recorder.end(recorder.judge(error), error, whole=whole, named=partial(broken_turn_signature, error, 0))
