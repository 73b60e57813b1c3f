"""One attempt over HTTP, from the first packet to its name: sends a request, stamps what comes, tells what happened."""

from __future__ import annotations

import asyncio
import time

from kmon.dialects import dialect
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.wire import Decoder
from kmon.probe import events as ev
from kmon.probe.asking import ask, url_of
from kmon.probe.attempt import Attempt
from kmon.probe.attempt import Limits as Limits
from kmon.probe.attempt import Outcome as Outcome
from kmon.probe.failure import answer_error, is_stream
from kmon.transport.headers import kept
from kmon.transport.http import ERROR_BODY_LIMIT_BYTES, ERROR_BODY_WAIT_S, Answer

BREATH_DELTAS = 200
HEADER_LIMIT_CHARS = 200


class Probe(Attempt):
    """An attempt over HTTP."""

    def prepare(self) -> None:
        self._wire = dialect(self._target.dialect)
        self._request = self._wire.request(self._target, self._scenario, self._messages)

    def url(self) -> str:
        return url_of(self._target, self._request, self._credential)

    async def exchange(self, deadline: asyncio.Timeout) -> StreamError | None:
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
